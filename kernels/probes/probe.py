"""The table of probes: what each one times, the instruction that proves it, and what it costs.

A probe measures its own latency and nothing else. It never reads another process's instructions, registers or
memory: without MPS, contexts of different processes take turns on a GPU and never run at the same moment, so what
a probe feels of its neighbour is what is left behind (caches, row buffers, clocks) and the time that is not its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

__all__ = [
    "ARCHITECTURES",
    "BLOCKS",
    "LINKS",
    "MOST_REPETITIONS",
    "NODE_WORDS",
    "PERMILLES",
    "PROBES",
    "QUANTILES",
    "RING_WORDS",
    "THREADS",
    "Chase",
    "Probe",
    "markdown_table",
]

LINKS: Final = 16
"""Dependent steps in the timed loop; chains.cu is compiled with ``-DLINKS=16``."""

THREADS: Final = 128
"""Threads of a block: one warp for each of an SM's four schedulers."""

BLOCKS: Final = 8
"""Blocks of a probe at most, each on an SM of its own."""

MOST_REPETITIONS: Final = 64
"""Samples that a warp takes in one round at most."""

RING_WORDS: Final = 1024
"""Words of the chain in shared memory (RING in chains.cu)."""

NODE_WORDS: Final = 32
"""Words from one node of a chase in device memory to the next: 128 bytes, a cache line."""

PERMILLES: Final = (10, 100, 500, 900, 990)
"""The quantiles that are taken, in thousandths."""

QUANTILES: Final = ("p01", "p10", "p50", "p90", "p99")
"""Their names."""

ARCHITECTURES: Final = ("sm_80", "sm_90", "sm_100", "sm_120")
"""Architectures on whose machine code every probe is checked."""


@final
@dataclass(frozen=True, slots=True)
class Chase:
    """A single cycle of pointers.

    Attributes
    ----------
    nodes : int
        Nodes of the cycle.
    stride : int
        Words from one node to the next in memory.
    strands : int
        Threads that build it; prime where it matters, so that neighbours in the cycle do not share an address pattern.
    """

    nodes: int
    stride: int
    strands: int

    @property
    def words(self) -> int:
        """Words of memory that it takes."""
        return self.nodes * self.stride


@final
@dataclass(frozen=True, slots=True)
class Probe:
    """One probe.

    Attributes
    ----------
    name : str
        As in the names of its features.
    times : str
        What is timed.
    instruction : str
        Mnemonic that the timed loop must consist of, the same on all of `ARCHITECTURES`.
    passes : int
        Rounds of the timed loop in one sample; a sample is ``passes * LINKS`` links long.
    cycles : int
        Expected clock cycles a link on an idle GPU, for the first plan only; the plan then follows what is measured.
    share : float
        Part of a round's time that it may take, from 0 to 1.
    own_bytes : int
        Device memory that it works on, beside a chase.
    chase : Chase, optional
        The cycle of pointers that it follows.
    """

    name: str
    times: str
    instruction: str
    passes: int
    cycles: int
    share: float
    own_bytes: int = 0
    chase: Chase | None = None

    @property
    def kernel(self) -> str:
        """Name of its kernel in chains.cu."""
        return f"probe_{self.name}"

    @property
    def bytes(self) -> int:
        """Device memory of its own, samples left out."""
        return self.own_bytes + (4 * self.chase.words if self.chase else 0)

    @property
    def unit(self) -> str:
        """Unit of its result."""
        return "cycles/link"

    @property
    def links(self) -> int:
        """Dependent steps of one sample."""
        return self.passes * LINKS


PROBES: Final = (
    Probe("lop3", "integer logic of three operands", "LOP3", 8, 5, 0.03),
    Probe("shf", "funnel shift", "SHF", 8, 5, 0.03),
    Probe("imad", "integer multiply and add, 32 bits", "IMAD", 8, 5, 0.03),
    Probe("ffma", "fused multiply and add, float", "FFMA", 8, 5, 0.03),
    Probe("hfma2", "fused multiply and add, two halves", "HFMA2", 8, 6, 0.03),
    Probe("dfma", "fused multiply and add, double", "DFMA", 2, 50, 0.06),
    Probe("dp4a", "dot product of four bytes", "IDP", 8, 6, 0.03),
    Probe("mufu", "special function: reciprocal square root", "MUFU", 2, 40, 0.05),
    Probe("hmma", "tensor core, half: m16n8k16, sums in float", "HMMA", 2, 34, 0.05),
    Probe("imma", "tensor core, int8: m16n8k32", "IMMA", 2, 34, 0.05),
    Probe("shared", "shared memory, pointer chase", "LDS", 2, 32, 0.05, 0, Chase(RING_WORDS, 1, 31)),
    Probe("l2", "second-level cache, pointer chase over 2 MiB", "LDG", 1, 300, 0.14, 0, Chase(16_384, NODE_WORDS, 251)),
    Probe("dram", "device memory, pointer chase over 54 MiB", "LDG", 1, 900, 0.26, 0, Chase(442_368, NODE_WORDS, 4093)),
    Probe("atomic", "atomic add in the second-level cache", "ATOMG", 1, 700, 0.16, 4 * BLOCKS * THREADS),
)
"""Every probe, in the order in which a round runs them; the gap watch comes last."""


def markdown_table() -> str:
    """The table of probes as docs/probes.md shows it."""
    lines = [
        "| probe | what it times | instruction | links a sample | unit | device memory | share of a round |",
        "| --- | --- | --- | ---: | --- | ---: | ---: |",
    ]
    lines += [
        f"| `{p.name}` | {p.times} | `{p.instruction}` | {p.links} | {p.unit} | {_amount(p.bytes)} | {p.share:.0%} |"
        for p in PROBES
    ]
    return "\n".join(lines) + "\n"


def _amount(size: int) -> str:
    for unit, scale in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= scale:
            return f"{size / scale:g} {unit}"
    return "none"
