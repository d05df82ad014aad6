"""A language model that answers: prefill of prompts, and decoding token by token over a paged cache.

Blocks of RMS norm, rotary attention and a gated feed-forward part, no biases (Touvron et al., arXiv 2302.13971).
Both phases write keys and values into the pages of their requests. Which tokens come is fixed beforehand: the
model's choice would not change what it computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.learning import elementwise, layers, paged
from hashwarden.kernels.workloads.learning.attention import attend, head_size
from hashwarden.kernels.workloads.learning.checks import check_output
from hashwarden.kernels.workloads.learning.elementwise import fill_random
from hashwarden.kernels.workloads.learning.gemm import GEMV_CHUNK, GEMV_ROWS, gemv
from hashwarden.kernels.workloads.learning.lazy_torch import torch_builder
from hashwarden.kernels.workloads.learning.llm_oracle import cached, oracle_decode, oracle_prefill
from hashwarden.kernels.workloads.learning.paged import PAGE
from hashwarden.kernels.workloads.learning.program import Program, Tensor
from hashwarden.kernels.workloads.learning.transformer import embed
from hashwarden.kernels.workloads.plan import Empty, Launch, Plan
from hashwarden.kernels.workloads.workload import Parameter, Settings, Workload

__all__ = ["WORKLOADS", "build_decode", "build_prefill"]

_PERIOD: Final = 4


@dataclass(frozen=True, slots=True)
class _Model:
    """What all layers need: sizes, the pages of each request, and who multiplies."""

    program: Program
    requests: int
    tokens: int
    width: int
    inner: int
    pages: int
    """Pages of a request."""

    @property
    def size(self) -> int:
        """Numbers of a head."""
        return head_size(self.width)

    def linear(self, x: Tensor, name: str, width: int) -> Tensor:
        """A product with a weight: large for many rows, `gemv` for few."""
        weight = self.program.weight(f"{name}.w", x.columns, width)
        if x.rows > GEMV_ROWS:
            return layers.product(self.program, x, weight)
        y = self.program.tensor("product", x.rows, width)
        part = self.program.scratch("part", -(-x.columns // GEMV_CHUNK) * x.rows * width)
        first, second = gemv((x.name, weight.name, part, y.name), x.rows, width, x.columns)
        self.program.launch(first, 2.0 * x.size * width)
        self.program.launch(second)
        return y


def _caches(model: _Model, name: str, lengths: NDArray[np.int32]) -> tuple[str, str]:
    """Key and value cache of a layer, filled where tokens are there already."""
    program, elements = model.program, model.requests * model.pages * PAGE * model.width
    names = f"{name}.keys", f"{name}.values"
    for cache in names:
        program.arrays[cache] = Empty((elements,), np.float32)
        if lengths.any():
            seed = np.uint32(program.random.integers(1 << 32))
            arguments = (cache, np.int64(elements), seed, np.float32(1))
            program.setup.append(Launch(fill_random, -(-elements // 4), arguments))
    return names


def _shared_arrays(model: _Model, lengths: NDArray[np.int32]) -> None:
    """Page table, lengths, and the turns of all positions."""
    program, size = model.program, model.size
    program.host("table", program.random.permutation(model.requests * model.pages).astype(np.int32))
    program.host("lengths", lengths)
    program.host("prompts", lengths)
    angles = np.arange(model.pages * PAGE)[:, None] / 10000.0 ** (np.arange(0, size, 2) / size)
    program.host("turns", np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float32))


def _attention(model: _Model, x: Tensor, name: str, caches: tuple[str, str]) -> Tensor:
    program, width, size = model.program, model.width, model.size
    q, k, v = (model.linear(x, f"{name}.{part}", width) for part in "qkv")
    for part in (q, k):
        program.run(
            paged.rotate, part.size // 2, part.name, "turns", "lengths", model.tokens, width, size, ops=3.0 * part.size
        )
    names = (k.name, v.name, "table", "lengths", *caches)
    program.run(paged.append, k.size, *names, model.tokens, width, model.pages)
    if model.tokens > 1:
        return attend(program, q, k, v, model.requests, causal=True)
    room = model.pages * PAGE
    scores = program.tensor("scores", model.requests * (width // size), room)
    out = program.tensor("attended", model.requests, width)
    known, sizes, ops = ("table", "lengths"), (width, size, model.pages), 2.0 * model.requests * width * room
    program.run(paged.paged_scores, scores.size, q.name, caches[0], *known, scores.name, *sizes, ops=ops)
    shares = layers.softmax(program, scores)
    program.run(paged.paged_values, out.size, shares.name, caches[1], *known, out.name, *sizes, ops=ops)
    return out


def _block(model: _Model, x: Tensor, name: str, lengths: NDArray[np.int32]) -> Tensor:
    program = model.program
    y = layers.rms_norm(program, x, f"{name}.n1")
    y = _attention(model, y, name, _caches(model, name, lengths))
    x = layers.add(program, x, model.linear(y, f"{name}.o", model.width))
    y = layers.rms_norm(program, x, f"{name}.n2")
    one, other = model.linear(y, f"{name}.gate", model.inner), model.linear(y, f"{name}.up", model.inner)
    y = program.tensor("gated", x.rows, model.inner)
    program.run(elementwise.gate, -(-y.size // 4), one.name, other.name, y.name, y.size, ops=6.0 * y.size)
    return layers.add(program, x, model.linear(y, f"{name}.down", model.width))


def _forward(model: _Model, settings: Settings, lengths: NDArray[np.int32], text: NDArray[np.int32]) -> Tensor:
    """Logits of every request's newest token."""
    program, count = model.program, model.requests * model.tokens
    _shared_arrays(model, lengths)
    program.host("text", text)
    table = program.weight("embedding", settings["vocabulary"], model.width, scale=1.0)
    x = embed(program, table, "text", count)
    for layer in range(settings["layers"]):
        x = _block(model, x, f"block{layer}", lengths)
    x = layers.rms_norm(program, x, "final")
    if model.tokens > 1:
        places = np.tile(np.arange(1, model.requests + 1) * model.tokens - 1, _PERIOD)
        x = embed(program, x, program.host("newest", places.astype(np.int32)), model.requests)
    return model.linear(x, "head", settings["vocabulary"])


def build_prefill(settings: Settings, seed: int) -> Plan:
    """Plan steps that read new prompts and fill the cache."""
    program, tokens, requests = Program(seed), settings["tokens"], settings["requests"]
    model = _Model(program, requests, tokens, settings["width"], settings["inner"], -(-tokens // PAGE))
    text = program.random.integers(0, settings["vocabulary"], _PERIOD * requests * tokens).astype(np.int32)
    logits = _forward(model, settings, np.zeros(requests, np.int32), text)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        some = min(requests, 2)
        expected, keys, values = oracle_prefill(program, results, settings, text[: some * tokens].reshape(some, -1))
        check_output("logits", results[logits.name][: expected.size], expected)
        for layer in range(settings["layers"]):
            table = results["table"].reshape(requests, model.pages)[:some]
            held = cached(results, f"block{layer}", table, model.width, tokens)
            check_output("cached keys", held[0], keys[layer])
            check_output("cached values", held[1], values[layer])

    return program.plan(requests * tokens, check)


def build_decode(settings: Settings, seed: int) -> Plan:
    """Plan steps that add one token to every request, whose context grows until its pages are full."""
    program, requests = Program(seed), settings["requests"]
    model = _Model(program, requests, 1, settings["width"], settings["inner"], settings["pages"])
    room = model.pages * PAGE
    lengths = program.random.integers(room // 2, max(room // 2 + 1, room - 2), requests).astype(np.int32)
    text = program.random.integers(0, settings["vocabulary"], _PERIOD * requests).astype(np.int32)
    logits = _forward(model, settings, lengths, text)
    program.run(paged.grow, requests, "lengths", "prompts", room)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        expected = oracle_decode(program, results, settings, text[:requests], lengths)
        check_output("logits", results[logits.name], expected)
        longer = np.where(lengths + 1 >= room, lengths, lengths + 1)
        check_output("lengths", results["lengths"], longer)

    return program.plan(requests, check)


_COMMON: Final = (
    Parameter("width", "", 16, 16384, "width of the residual stream, a multiple of 16"),
    Parameter("inner", "", 1, 65536, "width of the feed-forward part"),
    Parameter("layers", "", 1, 128, "blocks"),
    Parameter("vocabulary", "tokens", 2, 1 << 18, "different tokens"),
)

_SERVED: Final = {"slots": 2, "context": 16, "prompt": 6, "answer": 5, "arrivals": 300}
_SERVED_GPU: Final = {"slots": 32, "context": 2048, "prompt": 1024, "answer": 512, "arrivals": 40}

WORKLOADS: Final = (
    Workload(
        name="llm-prefill",
        label="inference",
        family="llm",
        bound="float",
        summary="Prefill of prompts by a gated transformer with rotary attention, into a paged cache",
        unit="token",
        parameters=(
            Parameter("requests", "requests", 1, 1024, "prompts of a step"),
            Parameter("tokens", "tokens", 2, 1 << 17, "tokens of a prompt"),
            *_COMMON,
        ),
        sizes={
            "small": {"requests": 1, "tokens": 9, "width": 16, "inner": 20, "layers": 1, "vocabulary": 12},
            "trace": {"requests": 2, "tokens": 32, "width": 128, "inner": 352, "layers": 2, "vocabulary": 2000},
            "gpu": {"requests": 8, "tokens": 512, "width": 1024, "inner": 2816, "layers": 2, "vocabulary": 32000},
        },
        build=build_prefill,
        torch=torch_builder("torch_llm", "llm_prefill"),
    ),
    Workload(
        name="llm-decode",
        label="inference",
        family="llm",
        bound="memory",
        summary="Decoding of up to eight requests over a paged cache that grows with every step (SOSP 2023)",
        unit="token",
        parameters=(
            Parameter("requests", "requests", 1, GEMV_ROWS, "requests that are answered together"),
            Parameter("pages", "pages", 1, 1 << 13, "pages of 16 tokens of each request"),
            *_COMMON,
        ),
        sizes={
            "small": {"requests": 2, "pages": 1, "width": 16, "inner": 20, "layers": 1, "vocabulary": 12},
            "trace": {"requests": 4, "pages": 8, "width": 384, "inner": 1024, "layers": 1, "vocabulary": 4000},
            "gpu": {"requests": 8, "pages": 64, "width": 4096, "inner": 11008, "layers": 4, "vocabulary": 32000},
        },
        build=build_decode,
        torch=torch_builder("torch_llm", "llm_decode"),
    ),
    Workload(
        name="llm-serving",
        label="inference",
        family="llm",
        bound="memory",
        summary="Serving of requests that arrive at random, with prefill and decoding in one batch (OSDI 2022)",
        unit="token",
        parameters=(
            Parameter("slots", "requests", 1, 1024, "requests that are answered together"),
            Parameter("context", "tokens", 2, 1 << 17, "tokens of a request at most"),
            Parameter("prompt", "tokens", 1, 1 << 17, "tokens of a prompt at most, less than the context"),
            Parameter("answer", "tokens", 1, 1 << 17, "tokens of an answer at most"),
            Parameter("arrivals", "requests", 0, 1_000_000, "requests that arrive in a thousand steps, on average"),
            *_COMMON,
        ),
        sizes={
            "small": {**_SERVED, "width": 16, "inner": 20, "layers": 1, "vocabulary": 12},
            "trace": {**_SERVED, "width": 128, "inner": 352, "layers": 2, "vocabulary": 2000},
            "gpu": {**_SERVED_GPU, "width": 2048, "inner": 5632, "layers": 16, "vocabulary": 32000},
        },
        torch=torch_builder("torch_llm", "llm_serving"),
    ),
)
