"""A transformer: training as a causal language model, and inference as an encoder that classifies.

Pre-norm blocks of attention and a GELU feed-forward part four times as wide (Vaswani et al., NeurIPS 2017; the
order of Radford et al., 2019), learned positions, Adam.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.learning import layers, oracle
from hashwarden.kernels.workloads.learning.attention import attend, head_size
from hashwarden.kernels.workloads.learning.checks import Parameters, check_output, check_training, parameters_of
from hashwarden.kernels.workloads.learning.elementwise import quads
from hashwarden.kernels.workloads.learning.embedding import copy_run, gather, scatter
from hashwarden.kernels.workloads.learning.lazy_torch import RHYTHM, RHYTHM_GPU, RHYTHM_SMALL, torch_builder
from hashwarden.kernels.workloads.learning.oracle import Value
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.plan import Launch, Plan
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "block", "build_inference", "build_training", "embed", "oracle_block"]

_PERIOD: Final = 4
"""Steps until the same text comes again."""


def embed(program: Program, table: Tensor, index: str, count: int) -> Tensor:
    """Rows of a table for ``count`` tokens of each step; ``index`` holds those of four steps."""
    y, columns = program.tensor("embedded", count, table.columns), np.int64(table.columns)

    def rows(step: int) -> Launch:
        arguments = (table.name, index, y.name, columns, np.int64(step % _PERIOD * count))
        return Launch(gather, quads(count, table.columns), arguments)

    program.launch(rows)

    def back() -> None:
        target, dy = program.gradient(table), program.gradient(y)
        if not program.writes(table):
            program.zero(target, table.size)
        size = count * table.columns
        program.launch(
            lambda step: Launch(scatter, size, (dy, index, target, columns, np.int64(step % _PERIOD * count)))
        )

    if program.training:
        program.tape.append(back)
    return y


def block(program: Program, x: Tensor, name: str, batch: int, causal: bool) -> Tensor:
    """One block: attention and feed-forward part, each behind a norm and beside a residual."""
    y = layers.layer_norm(program, x, f"{name}.n1")
    parts = [layers.linear(program, y, f"{name}.{part}", x.columns) for part in "qkv"]
    y = attend(program, parts[0], parts[1], parts[2], batch, causal)
    x = layers.add(program, x, layers.linear(program, y, f"{name}.o", x.columns))
    y = layers.layer_norm(program, x, f"{name}.n2")
    y = layers.linear(program, y, f"{name}.up", 4 * x.columns, layers.GELU)
    return layers.add(program, x, layers.linear(program, y, f"{name}.down", x.columns))


def oracle_block(parameters: Parameters, x: Value, name: str, heads: int, mask: NDArray[Any] | None) -> Value:
    """What `block` computes, on (batch, tokens, width)."""

    def linear(value: Value, part: str) -> Value:
        return value @ parameters[f"{name}.{part}.w"] + parameters[f"{name}.{part}.b"]

    y = oracle.layer_norm(x, parameters[f"{name}.n1.g"], parameters[f"{name}.n1.s"])
    x = x + linear(oracle.attention(linear(y, "q"), linear(y, "k"), linear(y, "v"), heads, mask), "o")
    y = oracle.layer_norm(x, parameters[f"{name}.n2.g"], parameters[f"{name}.n2.s"])
    return x + linear(oracle.gelu(linear(y, "up")), "down")


def _forward(program: Program, settings: Settings, index: str, causal: bool) -> Tensor:
    batch, tokens, width = settings["batch"], settings["tokens"], settings["width"]
    head_size(width)
    table = program.weight("table", settings["vocabulary"], width, scale=1.0)
    positions = program.weight("positions", tokens, width, scale=1.0)
    places = np.tile(np.arange(tokens, dtype=np.int32), batch * _PERIOD)
    x = embed(program, table, index, batch * tokens)
    x = layers.add(program, x, embed(program, positions, program.host("places", places), batch * tokens))
    for layer in range(settings["layers"]):
        x = block(program, x, f"block{layer}", batch, causal)
    x = layers.layer_norm(program, x, "final")
    return layers.linear(program, x, "head", settings["vocabulary"])


def _oracle(parameters: Parameters, settings: Settings, text: NDArray[Any], causal: bool) -> Value:
    tokens, width = settings["tokens"], settings["width"]
    kind = parameters["table"].data.dtype
    mask = np.triu(np.full((tokens, tokens), -1e9, kind), 1) if causal else None
    x = parameters["table"].take(text.reshape(-1, tokens)) + parameters["positions"]
    for layer in range(settings["layers"]):
        x = oracle_block(parameters, x, f"block{layer}", width // head_size(width), mask)
    x = oracle.layer_norm(x, parameters["final.g"], parameters["final.s"])
    logits = x @ parameters["head.w"] + parameters["head.b"]
    return logits.reshape(-1, settings["vocabulary"])


def _text(program: Program, settings: Settings) -> NDArray[Any]:
    """Tokens of four steps, rare ones rare: Zipf's law, as in real text."""
    count, words = settings["batch"] * settings["tokens"] * _PERIOD, settings["vocabulary"]
    chances = 1 / np.arange(1, words + 1)
    return program.random.choice(words, count, p=chances / chances.sum()).astype(np.int32)


def build_training(settings: Settings, seed: int) -> Plan:
    """Plan steps of a causal language model: forward pass, backward pass, Adam."""
    program = Program(seed, training=True)
    count = settings["batch"] * settings["tokens"]
    text = _text(program, settings)
    program.host("text", text)
    program.host("next", np.roll(text, -1))
    labels = program.scratch("labels", count, np.int32)
    logits = _forward(program, settings, "text", causal=True)
    program.launch(lambda step: _labels(step, labels, count))
    loss = layers.cross_entropy(program, logits, labels)
    program.backward()
    program.update()

    def losses(parameters: Parameters) -> Value:
        return _oracle(parameters, settings, text[:count], causal=True).surprise(text[1 : count + 1])

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        check_training(results, program, loss, losses)

    return program.plan(count, check)


def _labels(step: int, labels: str, count: int) -> Launch:
    """Copy the tokens that are to be foretold."""
    return Launch(copy_run, count, ("next", labels, np.int64(step % _PERIOD * count)))


def build_inference(settings: Settings, seed: int) -> Plan:
    """Plan passes of an encoder whose every token attends to all others, with softmax over the vocabulary."""
    program = Program(seed)
    count = settings["batch"] * settings["tokens"]
    text = _text(program, settings)
    program.host("text", text)
    shares = layers.softmax(program, _forward(program, settings, "text", causal=False))

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        sample = text[: min(settings["batch"], 2) * settings["tokens"]]
        expected = _oracle(parameters_of(program, results), settings, sample, causal=False).softmax().data
        check_output("shares", results[shares.name][: expected.size], expected)

    return program.plan(count, check)


PARAMETERS: Final = (
    Parameter("batch", "sequences", 1, 4096, "sequences of a step"),
    Parameter("tokens", "tokens", 2, 8192, "tokens of a sequence"),
    Parameter("width", "", 16, 8192, "width of the residual stream, a multiple of 16"),
    Parameter("layers", "", 1, 128, "blocks"),
    Parameter("vocabulary", "tokens", 2, 1 << 18, "different tokens"),
)

SMALL: Final = {"batch": 1, "tokens": 6, "width": 16, "layers": 1, "vocabulary": 12}

WORKLOADS: Final = (
    Workload(
        name="transformer-training",
        label="training",
        family="transformer",
        bound="float",
        summary="Training of a causal transformer: attention with online softmax, GELU, layer norm, Adam",
        unit="token",
        parameters=(*PARAMETERS, *RHYTHM),
        sizes={
            "small": {**SMALL, **RHYTHM_SMALL},
            "trace": {**RHYTHM_SMALL, "batch": 1, "tokens": 32, "width": 128, "layers": 1, "vocabulary": 512},
            "gpu": {**RHYTHM_GPU, "batch": 4, "tokens": 512, "width": 512, "layers": 4, "vocabulary": 8192},
        },
        build=build_training,
        torch=torch_builder("torch_transformer", "transformer_training"),
    ),
    Workload(
        name="transformer-inference",
        label="inference",
        family="transformer",
        bound="float",
        summary="A transformer encoder over batches of sequences, softmax over the vocabulary for every token",
        unit="token",
        parameters=PARAMETERS,
        sizes={
            "small": SMALL,
            "trace": {"batch": 1, "tokens": 48, "width": 128, "layers": 2, "vocabulary": 512},
            "gpu": {"batch": 4, "tokens": 512, "width": 1024, "layers": 4, "vocabulary": 8192},
        },
        build=build_inference,
        torch=torch_builder("torch_transformer", "encoder_inference"),
    ),
)
