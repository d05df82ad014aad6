"""Which unit of an SM each instruction occupies, and what a row of the kernel tables asks of each unit.

Trip counts are not in the code. The instructions that matter are those of the inner loops: every level of a loop is
taken to run `TURNS` times, and where a part has a core (its tensor instructions, say), only the core's level counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass.opcodes import MNEMONICS
from hashwarden.kernels.sass.table import MEM_KINDS, MixTable

__all__ = ["CORES", "PIPES", "TENSOR", "UNITS", "WIDTHS", "pipe_shares"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

UNITS: Final[dict[str, str]] = {
    "alu": "LOP3 SHF PRMT IADD3 VIADD LEA ISETP SEL FSEL FMNMX FMNMX3 FSET FSETP IMNMX VIMNMX VIMNMX3 VIADDMNMX VHMNMX "
    "IABS VABSDIFF VABSDIFF4 PLOP3 P2R R2P SGXT BMSK HSETP2 HSET2 HMNMX2 CLMAD I2IP F2FP F2IP I2FP",
    "product": "IMAD IDP",
    "fma": "FMUL FADD FFMA FFMA2 FMUL2 FADD2 FSWZADD",
    "half": "HADD2 HFMA2 HMUL2",
    "double": "DMUL DADD DFMA DSETP",
    "special": "MUFU F2F F2I I2F I2I FRND FLO BREV POPC FCHK",
    "hmma": "HMMA",
    "hgmma": "HGMMA QGMMA",
    "imma": "IMMA BMMA",
    "igmma": "IGMMA BGMMA",
    "utcmma": "UTCHMMA",
    "qmma": "QMMA OMMA",
    "dmma": "DMMA",
    "shared": "LDS STS LDSM STSM ATOMS SHFL MOVM",
    "global": "LDG LD STG ST LDGSTS ATOM ATOMG RED REDG UTMALDG UBLKCP LDL STL TEX",
}
"""The instructions that each unit, or kind of tensor instruction, executes. ALU and FMA: what NVIDIA staff say of the
pipes since Volta (developer forum, topic 108729)."""

PIPES: Final = (*UNITS, "other")
"""Units and kinds of tensor instruction; ``other`` takes an issue slot and nothing else."""

TENSOR: Final = ("hmma", "hgmma", "imma", "igmma", "utcmma", "qmma", "dmma")
"""The kinds of tensor instruction."""

CORES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"": (), "tensor": TENSOR, "int8": ("imma", "igmma"), "fma": ("fma",), "double": ("double", "dmma")}
)
"""The units that a part may be made of."""

WIDTHS: Final = np.array([1.0, 1.0, 2.0, 2.0, 4.0, 8.0, 16.0, 4.0])
"""Bytes a lane of the 3-bit width field."""

TURNS: Final = 32.0
_GLOBAL: Final = ("ldg", "ld", "atom", "stg", "st", "ldgsts", "tex")
_SHARED: Final = ("lds", "sts")


@cache
def _pipe_of_opcode() -> I64:
    """The index into `PIPES` of each 9-bit opcode, shape (512,)."""
    of_name = {n: PIPES.index(pipe) for pipe, names in UNITS.items() for n in names.split()}
    pipes = np.full(512, PIPES.index("other"))
    for opcode, (_, name) in MNEMONICS.items():
        pipes[opcode] = of_name.get(name, PIPES.index("other"))
    return pipes


def _depth_weights(depth: I64, count: F64, is_core: npt.NDArray[np.bool_]) -> F64:
    """What one instruction at each depth 0 to 4 counts; shape (5,)."""
    core = np.bincount(depth[is_core], count[is_core], 5)
    if core.any():
        only: F64 = (np.arange(5) == int(core.argmax())).astype(np.float64)
        return only
    weights: F64 = TURNS ** np.minimum(np.arange(5.0), 3)
    return weights


def pipe_shares(row: MixTable, core: str) -> tuple[F64, F64]:
    """What one kernel asks of the units, for each warp instruction that it issues.

    Parameters
    ----------
    row : MixTable
        One kernel.
    core : str
        One of `CORES`: only the loop level with most of these instructions counts; empty for all levels.

    Returns
    -------
    pipes : float64 array, shape (len(PIPES),)
        Share of the instructions by unit; the sum is 1.
    bytes_ : float64 array, shape (3,)
        Bytes a lane for each instruction: to and from global memory (loads, stores), and shared memory.
    """
    op, mem = row.nested["op"].columns, row.nested["mem"].columns
    kind, count = _pipe_of_opcode()[op["op12"] & 511], op["n"].astype(np.float64)
    is_core = np.isin(kind, [PIPES.index(name) for name in CORES[core]])
    weight = _depth_weights(np.minimum(op["depth"], 4), count, is_core)
    pipes = np.bincount(kind, count * weight[np.minimum(op["depth"], 4)], len(PIPES))
    total = max(float(pipes.sum()), 1e-9)
    moved = mem["n"] * WIDTHS[mem["width"] & 7] * weight[np.minimum(mem["depth"], 4)]
    names = np.array(MEM_KINDS)[mem["kind"]]
    stores = np.isin(names, ("stg", "st", "atom"))
    here = np.isin(names, _GLOBAL)
    bytes_ = [moved[here & ~stores].sum(), moved[stores].sum(), moved[np.isin(names, _SHARED)].sum()]
    return pipes / total, np.array(bytes_) / total
