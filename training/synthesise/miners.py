"""The families of mining in numbers: kernels, cadence, memory, what is rebuilt and compiled.

Sizes and periods come from the algorithms' own sources, named row by row; where a source gives no time, the range is
wide. Epochs are days long: what a watched hour shows of them is a change of coin or pool, which rebuilds as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

__all__ = ["MINERS", "Miner", "Variant", "miner_named"]

Span = tuple[float, float]
Stages = tuple[tuple[Mapping[str, float], Span], ...]


@final
@dataclass(frozen=True, slots=True)
class Variant:
    """One algorithm of a family.

    Attributes
    ----------
    name : str
        Unique in the family.
    stages : tuple
        Weights of kernels, and least and most share of the cycle, stage by stage.
    cycle_s : (float, float)
        Least and most seconds of a cycle: one launch of a search, one solution, one product.
    """

    name: str
    stages: Stages
    cycle_s: Span = (0.003, 1.0)


@final
@dataclass(frozen=True, slots=True)
class Miner:
    """One family.

    Attributes
    ----------
    family, summary : str
    variants : tuple of Variant
    memory_mib : (float, float)
        Least and most that it holds.
    hashes : tuple of str
        The kernels whose time is hash work.
    builder : str
        Kernel that builds its table; empty for none.
    rebuild_every_s, rebuild_s, compile_every_s : (float, float)
        Least and most; 0 for never.
    start_s : (float, float)
        Least and most seconds from context to the first hash.
    pins_memory : float
        Chance of a lowered memory clock.
    poses : float
        Chance that it holds memory as a server does.
    """

    family: str
    summary: str
    variants: tuple[Variant, ...]
    memory_mib: Span
    hashes: tuple[str, ...]
    builder: str = ""
    rebuild_every_s: Span = (0.0, 0.0)
    rebuild_s: Span = (0.0, 0.0)
    compile_every_s: Span = (0.0, 0.0)
    start_s: Span = (1.0, 8.0)
    pins_memory: float = 0.05
    poses: float = 0.0


def _search(kernel: str, cycle_s: Span = (0.003, 1.0)) -> Variant:
    return Variant(kernel, (({kernel: 1.0}, (1.0, 1.0)),), cycle_s)


MINERS: Final = (
    Miner("integer-hash", "SHA-256d, SHA-3, BLAKE3: nothing but integer instructions",
          (_search("sha256d"), _search("keccak"), _search("blake3")), (120, 900), ("sha256d", "keccak", "blake3"),
          pins_memory=0.15),
    Miner("heavyhash", "Keccak around a small matrix (tmrlvi/kaspa-miner)", (_search("heavyhash"),), (120, 900),
          ("heavyhash",), pins_memory=0.15),
    # ethereum-mining/ethminer; a table of 1 GiB and 8 MiB for each epoch, ETC 4.2 GiB at block 24.5 million
    Miner("ethash", "Random reads of a table of 2 to 7 GiB", (_search("ethash"),), (2300, 7200), ("ethash",),
          "dag-build", (2400, 100000), (1, 25), start_s=(3, 30)),
    # RavenCommunity/kawpowminer libprogpow/ProgPow.h: a new program each 3 blocks of a minute; others 1 to 10 blocks
    Miner("progpow", "Random program over a table, compiled anew every few minutes", (_search("progpow"),),
          (1400, 7200), ("progpow",), "dag-build", (2400, 100000), (1, 25), (60, 600), (3, 30)),
    # ergoplatform/Autolykos-GPU-miner: a table each block, of two minutes on average
    Miner("autolykos2", "Look-ups in a table that each block builds anew", (_search("autolykos2"),), (2200, 8200),
          ("autolykos2",), "autolykos2-table", (60, 240), (0.03, 0.9), start_s=(2, 12)),
    # Conflux-Chain/conflux-rust: 4 GiB and 16 MiB for each 2^19 blocks
    Miner("octopus", "Reads of 256 bytes and polynomials", (_search("octopus"),), (4300, 9500), ("octopus",),
          "dag-build", (4000, 200000), (2, 30), start_s=(3, 35)),
    # iron-fish/fish-hash: 37,748,717 items of 128 bytes, never rebuilt
    Miner("fishhash", "BLAKE3 and 32 reads of a fixed table", (_search("fishhash"),), (4750, 5600), ("fishhash",),
          "dag-build", (20000, 400000), (2, 30), start_s=(3, 30)),
    # tromp/equihash, BeamMW/cuda-miner: rounds of sorting for each solution
    Miner("equihash", "BLAKE2b and bucket sorting",
          (Variant("200,9", (({"equihash": 1.0}, (0.9, 1.0)), ({"equihash": 0.8}, (0.02, 0.1))), (0.015, 0.2)),
           Variant("144,5", (({"equihash": 1.0}, (0.9, 1.0)), ({"equihash": 0.8}, (0.02, 0.1))), (0.02, 0.5)),
           Variant("150,5", (({"equihash": 1.0}, (0.9, 1.0)), ({"equihash": 0.7}, (0.02, 0.12))), (0.02, 0.8))),
          (450, 4600), ("equihash",)),
    # tromp/cuckoo: mean trimming sorts edges, a graph each cycle
    Miner("cuckoo", "Siphash edges, trimmed by sorting",
          (Variant("mean", (({"cuckoo": 1.0}, (0.75, 0.95)), ({"cuckoo": 0.7}, (0.04, 0.2)), ({}, (0.005, 0.06))),
                   (0.15, 2.5)),
           Variant("lean", (({"cuckoo": 1.0}, (0.9, 1.0)), ({}, (0.002, 0.04))), (0.4, 6.0))),
          (1300, 11500), ("cuckoo",)),
    # xelis-project/xelis-hash: 544 KB a hash, so memory follows the hashes in flight; xmrig/xmrig-cuda
    Miner("scratchpad", "A small memory for each hash",
          (_search("scratchpad", (0.05, 3.0)), _search("cryptonight", (0.05, 4.0))), (1500, 60000),
          ("scratchpad", "cryptonight")),
    # pearl-research-labs/pearl, Muskwak/Open-Pearl-Miner: m = n = 131072, k = 4096, rank 256; 1 GiB of operands
    Miner("matmul-pow", "Noised int8 products, tiles hashed",
          (Variant("pearl", (({"matmul-pow-noise": 1.0}, (0.01, 0.1)), ({"matmul-pow": 1.0}, (0.7, 0.9)),
                             ({"matmul-pow-hash": 1.0}, (0.03, 0.22))), (0.05, 0.7)),
           Variant("fused", (({"matmul-pow-noise": 1.0}, (0.005, 0.05)),
                             ({"matmul-pow": 85.0, "matmul-pow-hash": 15.0}, (0.9, 1.0))), (0.01, 0.5))),
          (1100, 3300), ("matmul-pow",), poses=0.35),
    # zk proofs as work: Poseidon2 over Goldilocks (Quantus), whole proofs (Nockchain)
    Miner("field-pow", "Poseidon2 and proofs over a 64-bit field",
          (_search("poseidon2", (0.005, 1.0)),
           Variant("proof", (({"proof-ntt": 1.0}, (0.3, 0.6)), ({"poseidon2": 1.0}, (0.35, 0.6)),
                             ({"proof-ntt": 0.5, "poseidon2": 0.5}, (0.02, 0.15))), (0.1, 8.0))),
          (200, 24000), ("poseidon2", "proof-ntt"), pins_memory=0.15),
)  # fmt: skip
"""The families, in the order of `hashwarden.model.job.taxonomy.MINING_FAMILIES`."""


def miner_named(family: str) -> Miner:
    """The numbers of a family."""
    return next(miner for miner in MINERS if miner.family == family)
