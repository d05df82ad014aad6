"""The classes of instructions that instructions.py measures: kernels, machine code, published rates.

Not a command; it writes nothing but cubins into a folder that it is given.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hashwarden.errors import HashwardenError
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.sass.flow import branch_targets
from hashwarden.kernels.sass.opcodes import MNEMONICS

__all__ = ["KINDS", "PLAIN", "WGMMA", "Kind", "arch_of", "compiled", "hot_loops", "named", "share", "wanted"]

FOLDER: Final = Path(__file__).parent
PLAIN, WGMMA = "instructions", "instructions_wgmma"
L2_RING, DRAM_RING = 1 << 24, 1 << 31
"""Bytes: the first fits into the L2 of any GPU that has GPM, the second into none."""


@dataclass(frozen=True)
class Kind:
    """One class of instructions.

    ``opcodes`` are the 9-bit numbers of the instruction that the loop of ``kernel`` is made of, and ``least`` the share
    of the loop's instructions that it has at least. A warp's instruction does ``per_warp`` units of work; "lanes" are
    results of single threads. ``per_clock`` are units a clock and SM on compute capability 9.0, as NVIDIA publishes
    them: the CUDA programming guide's table of arithmetic throughput, and for tensor cores the H100's peaks without
    sparsity, divided by SMs and clock (XLA's cuda_core_info_table.cc has the same for integers, floating point and
    tensor cores). None: not published. ``ring`` are the bytes that are read over and over.
    """

    name: str
    kernel: str
    opcodes: tuple[int, ...]
    mnemonic: str
    unit: str
    per_warp: int
    per_clock: int | None
    least: float = 0.7
    ring: int = 0

    @property
    def source(self) -> str:
        """Name of the file with the kernel, without its ending."""
        return WGMMA if self.name.startswith("wgmma") else PLAIN

    @property
    def shape(self) -> tuple[int, int]:
        """Blocks on each SM, and threads in each."""
        return (4, 128) if self.source == WGMMA else (4, 256)


def _plain(name: str, opcode: int, mnemonic: str, per_clock: int | None) -> Kind:
    return Kind(name, f"{name}_loop", (opcode,), mnemonic, "lanes", 32, per_clock)


def _tensor(name: str, opcode: int, mnemonic: str, rate: tuple[int, int], least: float = 0.7) -> Kind:
    return Kind(name, f"{name}_loop", (opcode,), mnemonic, "multiply-adds", *rate, least)


_ALL: Final = (
    _plain("lop3", 0x012, "LOP3", 64),
    _plain("imad", 0x024, "IMAD", 64),
    _tensor("wgmma_s8", 0x1F1, "IGMMA.64x128x32.S8.S8", (16 * 128 * 32, 4096)),
    _tensor("wgmma_e4m3", 0x1F3, "QGMMA.64x128x32.F32.E4M3.E4M3", (16 * 128 * 32, 4096)),
    _tensor("wgmma_f16", 0x1F0, "HGMMA.64x128x16.F32", (16 * 128 * 16, 2048)),
    _tensor("mma_s8", 0x037, "IMMA.16832.S8.S8", (16 * 8 * 32, 4096)),
    _tensor("mma_f16", 0x03C, "HMMA.16816.F32", (16 * 8 * 16, 2048)),
    # sm_90 has no fp8 mma.sync: the compiler makes F2FP, HMMA and FADD of it, and the loop is not of one opcode.
    _tensor("mma_e4m3", 0x03C, "HMMA.16816.F32", (16 * 8 * 16, 4096), 0.15),
    _plain("shf", 0x019, "SHF", 64),
    _plain("iadd3", 0x010, "IADD3", 64),
    _plain("dp4a", 0x026, "IDP.4A", None),
    _plain("ffma", 0x023, "FFMA", 128),
    _plain("imad_wide", 0x025, "IMAD.WIDE.U32", None),
    # The compiler gives them to two pipes in turn: HFMA2 and HFMA2.MMA.
    Kind("hfma2", "hfma2_loop", (0x031, 0x035), "HFMA2", "half lanes", 64, 256),
    _plain("dfma", 0x02B, "DFMA", 64),
    Kind("dram_read", "global_read_loop", (0x181,), "LDG.E.128", "bytes", 512, None, ring=DRAM_RING),
    Kind("l2_read", "global_read_loop", (0x181,), "LDG.E.128", "bytes", 512, None, ring=L2_RING),
    Kind("shared_read", "shared_read_loop", (0x184,), "LDS.128", "bytes", 512, 128),
    _plain("popc", 0x109, "POPC", 16),
    _plain("mufu", 0x108, "MUFU", 16),
    # Half of this loop are instructions that do nothing, which the compiler puts between two DMMA.
    _tensor("mma_f64", 0x03F, "DMMA.8x8x4", (8 * 8 * 4, 128), 0.45),
)
KINDS: Final = {kind.name: kind for kind in _ALL}
"""By name, the most asked for first: should the time not suffice, the last are left out."""


def arch_of(source: str, capability: str) -> str:
    """What a source is compiled for on a GPU of this compute capability, such as ``9.0``; empty: it cannot be."""
    if source == WGMMA:
        return "sm_90a" if capability == "9.0" else ""
    return "sm_" + capability.replace(".", "")


def compiled(source: str, arch: str) -> bytes:
    """Compile one of the sources, by NVRTC or else by nvcc."""
    path = FOLDER / f"{source}.cu"
    try:
        from cuda.core import Program, ProgramOptions

        return bytes(Program(path.read_text(), "c++", ProgramOptions(arch=arch)).compile("cubin").code)
    except Exception as error:  # not installed, or too old for the architecture: there is another compiler
        said = f"{type(error).__name__}: {error}"
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "cubin"
        command = ["nvcc", "-cubin", f"-arch={arch}", "-o", str(cubin), str(path)]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True)
            return cubin.read_bytes()
        except subprocess.CalledProcessError as error:
            wrong = error.stderr[-300:]
        except OSError as error:
            wrong = str(error)
    remedy = "Install cuda-core and NVRTC, or nvcc."
    raise HashwardenError(f"NVRTC: {said[:300]}; nvcc: {wrong}", f"a compiler of {source} for {arch}", remedy)


def hot_loops(cubin: bytes) -> dict[str, Counter[int]]:
    """Of each kernel, how often each 9-bit opcode stands in its largest loop; of kernels with a loop."""
    module = read_cubin(cubin, "instructions")
    found = {}
    for kernel, name in enumerate(module.names):
        words = np.frombuffer(module.code(kernel), np.uint32).reshape(-1, 4)
        targets = branch_targets(words, module.arch)
        loops = [(int(targets[end]), end) for end in np.flatnonzero((targets >= 0) & (targets < np.arange(len(words))))]
        if loops:
            start, end = max(loops, key=lambda loop: loop[1] - loop[0])
            found[name] = Counter((words[start : end + 1, 0] & 511).tolist())
    return found


def wanted(kind: Kind, loop: Counter[int]) -> int:
    """Of the loop's instructions, those that are wanted."""
    return sum(loop[opcode] for opcode in kind.opcodes)


def share(kind: Kind, loop: Counter[int]) -> float:
    """The same as a share."""
    return wanted(kind, loop) / loop.total()


def named(loop: Counter[int]) -> dict[str, int]:
    """The same with names, as they go into a report."""
    found: Counter[str] = Counter()
    for opcode, count in loop.items():
        found[MNEMONICS[opcode][1] if opcode in MNEMONICS else f"{opcode:#x}"] += count
    return dict(found.most_common())
