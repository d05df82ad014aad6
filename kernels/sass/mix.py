"""From cubins to the kernel mix table: the public entry, and what all engines share.

The engines count; here kernels are packed into batches, and counts become the table of table.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Final, Protocol, cast

import numpy as np
import numpy.typing as npt

from hashwarden.errors import UsageError
from hashwarden.kernels.sass import isa
from hashwarden.kernels.sass.batch import SCALAR_NAMES, Batch, Counts, batch_of, to_ragged
from hashwarden.kernels.sass.constants import PRIMITIVES
from hashwarden.kernels.sass.cubin import Cubin
from hashwarden.kernels.sass.primitives_scan import module_primitives
from hashwarden.kernels.sass.table import NESTED, SCALARS, MixTable, Ragged

__all__ = ["ENGINES", "analyse", "unknown_opcodes", "unsupported", "warm_up"]

ENGINES: Final = {
    "numba": "hashwarden.kernels.sass.engines.cpu",
    "reference": "hashwarden.kernels.sass.engines.reference",
    "numba_cuda": "hashwarden.kernels.sass.engines.numba_cuda",
    "cupy": "hashwarden.kernels.sass.engines.raw",
}
"""The engines, the default first, and the module of each."""

MIN_INSTRUCTIONS: Final = 8
"""Kernels with fewer instructions are not listed."""


def analyse(cubins: Sequence[Cubin], engine: str = "numba") -> MixTable:
    """Compute the kernel mix of every kernel.

    Parameters
    ----------
    cubins : sequence of Cubin
        Those of other architectures than `isa.ARCHITECTURES` are left out; `unsupported` counts them.
    engine : str, default "numba"
        One of `ENGINES`; all give the same table.

    Returns
    -------
    MixTable
        One row per kernel of at least eight instructions, in the order of the cubins and their
        kernels; text columns file, kernel and code_sha1.

    Raises
    ------
    UsageError
        If there is no such engine.
    MissingExtraError
        If the engine's package is not installed.
    """
    module = _engine(engine)
    parts = []
    for picked in _portions(cubins, module.BATCH_BYTES):
        batch = batch_of([c.code(k) for c, k in picked], [c.arch for c, _ in picked])
        parts.append(_table(picked, batch, module.run(batch)))
    return MixTable.concat(parts)


def warm_up(engine: str = "numba") -> None:
    """Compile or load an engine, so that workers can be forked from a warm parent."""
    code = bytes(isa.INSTRUCTION_BYTES * MIN_INSTRUCTIONS)
    _engine(engine).run(batch_of([code], [90]))


def unsupported(cubins: Sequence[Cubin]) -> dict[int, int]:
    """Kernels of architectures that are not read, counted by architecture."""
    return dict(Counter(c.arch for c in cubins for _ in c.names if not isa.is_supported(c.arch)))


def unknown_opcodes(table: MixTable) -> dict[int, dict[int, int]]:
    """Instructions whose 12-bit code has no known mnemonic.

    Returns
    -------
    dict of int to dict of int to int
        By architecture and 12-bit code, how many; empty where everything is known.
    """
    ops = table.nested["op"]
    strange = np.flatnonzero(~isa.known_op12()[ops.columns["op12"]])
    arch = table.scalars["arch"][ops.kernel_index()[strange]]
    rows = zip(arch.tolist(), ops.columns["op12"][strange].tolist(), ops.columns["n"][strange].tolist(), strict=True)
    found: dict[int, dict[int, int]] = {}
    for at, op12, n in rows:
        by_op = found.setdefault(at, {})
        by_op[op12] = by_op.get(op12, 0) + n
    return found


class _Engine(Protocol):
    """What an engine's module offers."""

    BATCH_BYTES: int

    def run(self, batch: Batch) -> Counts: ...


def _engine(name: str) -> _Engine:
    """The module of an engine, imported when it is used."""
    if name not in ENGINES:
        raise UsageError(f"engine {name!r}", f"one of {', '.join(ENGINES)}", "Name one of them.")
    return cast(_Engine, import_module(ENGINES[name]))


def _portions(cubins: Sequence[Cubin], most: int) -> Iterator[list[tuple[Cubin, int]]]:
    """Kernels in lists of at most ``most`` bytes; one kernel may be larger by itself."""
    picked: list[tuple[Cubin, int]] = []
    size = 0
    for cubin in cubins:
        if not isa.is_supported(cubin.arch):
            continue
        for kernel, bytes_ in enumerate(cubin.sizes.tolist()):
            if picked and size + bytes_ > most:
                yield picked
                picked, size = [], 0
            picked.append((cubin, kernel))
            size += bytes_
    if picked:
        yield picked


def _table(picked: list[tuple[Cubin, int]], batch: Batch, counts: Counts) -> MixTable:
    scalars = dict(zip(SCALAR_NAMES, counts.scalars.T.copy(), strict=True))
    scalars["arch"] = batch.arch
    scalars["regs"] = np.array([cubin.regs[kernel] for cubin, kernel in picked], np.int64)
    scalars["shared"] = np.array([cubin.shared[kernel] for cubin, kernel in picked], np.int64)
    nested = {name: to_ragged(name, *entries) for name, entries in counts.nested.items()}
    nested["const_module"] = _module_constants(picked)
    text = {
        "file": [cubin.where for cubin, _ in picked],
        "kernel": [cubin.names[kernel] for cubin, kernel in picked],
        "code_sha1": [cubin.sha1[kernel] for cubin, kernel in picked],
    }
    table = MixTable(
        {name: scalars[name] for name in SCALARS},
        counts.rotate,
        counts.funnel,
        {name: nested[name] for name in NESTED},
        {name: np.array(values, object) for name, values in text.items()},
    )
    listed = scalars["n_instr"] >= MIN_INSTRUCTIONS
    return table if listed.all() else table.take(listed)


def _module_constants(picked: list[tuple[Cubin, int]]) -> Ragged:
    """Per kernel, the constants of its module: counted once for each module."""
    found: dict[int, npt.NDArray[np.int64]] = {}
    for cubin, _ in picked:
        if id(cubin) not in found:
            found[id(cubin)] = module_primitives(cubin.constants)
    per_kernel = np.array([found[id(cubin)] for cubin, _ in picked]).reshape(-1, len(PRIMITIVES))
    kernel, primitive = np.nonzero(per_kernel)
    offsets = np.searchsorted(kernel, np.arange(len(picked) + 1))
    return Ragged(offsets.astype(np.int64), {"primitive": primitive, "n": per_kernel[kernel, primitive]})
