"""What an adversary or another compiler does to a kernel, done to its counts."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.kernel.counts import BLOCKS, DEPTH_WEIGHTS, SCALAR_FIELDS, Counts, block

__all__ = ["PADDINGS", "hide_constants", "pad", "pad_with", "padding"]

_N, _IN_LOOP, _RUN = (SCALAR_FIELDS.index(name) for name in ("n_instr", "in_loop", "longest_alu_run"))

_RECIPES: Final[dict[str, tuple[dict[str, float], dict[str, float], dict[str, float]]]] = {
    "float": ({"float": 1.0}, {"float>float": 2.0}, {}),
    "tensor": ({"fmma": 0.5, "imma": 0.5}, {"tensor>tensor": 3.0}, {}),
    "memory": (
        {"load": 0.5, "store": 0.2, "add": 0.3},
        {"add>load": 0.7, "load>store": 0.3, "add>add": 0.3},
        {"global.clean": 0.5, "store.clean": 0.2},
    ),
}
PADDINGS: Final = tuple(_RECIPES)
"""Kinds of dummy work: floating-point, tensor and memory instructions, per added instruction."""


def padding(kind: str) -> Counts:
    """One instruction of dummy work of a kind, as counts at depth 1 (inside the loop that hashes)."""
    ops, flows, mems = _RECIPES[kind]
    counts = np.zeros((1, sum(len(names) for names in BLOCKS.values())), np.float32)

    def put(name: str, shares: dict[str, float], times: float = 1.0) -> None:
        for column, share in shares.items():
            counts[0, block(name).start + BLOCKS[name].index(column)] += share * times

    put("op", ops)
    put("op_weighted", ops, DEPTH_WEIGHTS[1])
    put("mem", mems)
    put("mem_weighted", mems, DEPTH_WEIGHTS[1])
    put("mem_width", {f"{m.partition('.')[0]}.w32": share for m, share in mems.items()})
    put("flow", flows)
    put("flow_inner", flows)
    scalars = np.zeros((1, len(SCALAR_FIELDS)), np.float32)
    scalars[0, _N] = scalars[0, _IN_LOOP] = 1
    return Counts(counts, scalars, np.zeros((1, 0), np.float32))


def pad(kernels: Counts, ratio: float | npt.NDArray[np.float32], kind: str) -> Counts:
    """Add dummy work of a kind: ``ratio`` added instructions per instruction that is there."""
    return pad_with(kernels, padding(kind), np.broadcast_to(np.float32(ratio), len(kernels)))


def pad_with(kernels: Counts, added: Counts, ratio: npt.NDArray[np.float32]) -> Counts:
    """Run other work beside each kernel in the same code.

    Parameters
    ----------
    kernels : Counts, K rows
    added : Counts, K rows or 1
    ratio : float32 array, shape (K,)
        Instructions added per instruction that is there.

    Returns
    -------
    Counts
        Sums; sizes that do not add up (registers, chains, depth) stay those of the kernel.
    """
    times = (ratio * kernels.scalars[:, _N] / np.maximum(added.scalars[:, _N], 1))[:, None].astype(np.float32)
    scalars = kernels.scalars.copy()
    for field in (_N, _IN_LOOP):
        scalars[:, field] += times[:, 0] * added.scalars[:, field]
    return Counts(kernels.counts + times * added.counts, scalars, kernels.constants)


def hide_constants(kernels: Counts, hidden: npt.NDArray[np.bool_]) -> Counts:
    """Take the known constants out of the kernels marked in ``hidden``, as an obfuscator does."""
    return Counts(kernels.counts, kernels.scalars, kernels.constants * ~hidden[:, None])
