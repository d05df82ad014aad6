"""The oracle of the language model: prefill and decoding in NumPy, with the cache laid out plainly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.learning import oracle
from hashwarden.kernels.workloads.learning.attention import head_size
from hashwarden.kernels.workloads.learning.checks import Parameters, parameters_of
from hashwarden.kernels.workloads.learning.oracle import Value
from hashwarden.kernels.workloads.learning.paged import PAGE
from hashwarden.kernels.workloads.learning.program import Program
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["cached", "oracle_decode", "oracle_prefill"]

_Floats = NDArray[Any]


def cached(
    results: Mapping[str, _Floats], name: str, table: NDArray[Any], width: int, tokens: int
) -> tuple[_Floats, _Floats]:
    """Keys and values of a layer as (requests, tokens, width), read through the page table."""
    keys = results[f"{name}.keys"].reshape(-1, width // 4, PAGE, 4)[table]
    values = results[f"{name}.values"].reshape(-1, PAGE, width)[table]
    plain = keys.transpose(0, 1, 3, 2, 4).reshape(len(table), -1, width)
    return plain[:, :tokens], values.reshape(len(table), -1, width)[:, :tokens]


def _turned(x: _Floats, positions: _Floats, size: int) -> _Floats:
    """Rotary positions: pairs of numbers as complex ones, turned by the position's angles."""
    angles = np.asarray(positions)[..., None] / 10000.0 ** (np.arange(0, size, 2) / size)
    pairs = x.astype(np.float64).reshape(*x.shape[:-1], -1, size // 2, 2)
    turned = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * angles)[..., None, :]
    return np.stack([turned.real, turned.imag], -1).reshape(x.shape).astype(x.dtype)


def _gated(parameters: Parameters, x: _Floats, name: str) -> _Floats:
    y = oracle.rms_norm(Value(x), parameters[f"{name}.n2.g"])
    inner = oracle.silu(y @ parameters[f"{name}.gate.w"]) * (y @ parameters[f"{name}.up.w"])
    return np.asarray(x + (inner @ parameters[f"{name}.down.w"]).data)


def _projections(parameters: Parameters, x: _Floats, name: str) -> list[_Floats]:
    y = oracle.rms_norm(Value(x), parameters[f"{name}.n1.g"])
    return [(y @ parameters[f"{name}.{part}.w"]).data for part in "qkv"]


def _logits(parameters: Parameters, x: _Floats) -> _Floats:
    return (oracle.rms_norm(Value(x), parameters["final.g"]) @ parameters["head.w"]).data


def oracle_prefill(
    program: Program, results: Mapping[str, _Floats], settings: Settings, text: NDArray[Any]
) -> tuple[_Floats, list[_Floats], list[_Floats]]:
    """Logits of the last token of each prompt, and each layer's keys and values."""
    parameters, width = parameters_of(program, results), settings["width"]
    size, tokens = head_size(width), text.shape[1]
    x = parameters["embedding"].data[text]
    mask = np.triu(np.full((tokens, tokens), -1e9, x.dtype), 1)
    all_keys, all_values = [], []
    for layer in range(settings["layers"]):
        name = f"block{layer}"
        q, k, v = _projections(parameters, x, name)
        q, k = (_turned(part, np.arange(tokens), size) for part in (q, k))
        y = oracle.attention(Value(q), Value(k), Value(v), width // size, mask)
        x = _gated(parameters, x + (y @ parameters[f"{name}.o.w"]).data, name)
        all_keys.append(k)
        all_values.append(v)
    return _logits(parameters, x[:, -1]), all_keys, all_values


def oracle_decode(
    program: Program, results: Mapping[str, _Floats], settings: Settings, text: NDArray[Any], lengths: NDArray[Any]
) -> _Floats:
    """Logits of each request's new token, given the cache of the tokens before it."""
    parameters, width = parameters_of(program, results), settings["width"]
    size, pages = head_size(width), settings["pages"]
    table = results["table"].reshape(len(text), pages)
    x = parameters["embedding"].data[text]
    for layer in range(settings["layers"]):
        name = f"block{layer}"
        q, k, v = _projections(parameters, x, name)
        q, k = (_turned(part, lengths, size) for part in (q, k))
        held = cached(results, name, table, width, pages * PAGE)
        y = np.zeros_like(x)
        for request, length in enumerate(lengths):
            keys = np.concatenate([held[0][request, :length], k[request][None]]).astype(x.dtype)
            values = np.concatenate([held[1][request, :length], v[request][None]]).astype(x.dtype)
            asked, known, told = (Value(part[None]) for part in (q[request][None], keys, values))
            y[request] = oracle.attention(asked, known, told, width // size).data[0, 0]
        x = _gated(parameters, x + (Value(y) @ parameters[f"{name}.o.w"]).data, name)
    return _logits(parameters, x)
