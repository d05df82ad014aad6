"""What is neither learning nor mining: other hash work, other computing, and nothing at all.

Hard cases on purpose: mask attacks, key searches, integer Monte Carlo and stress tests are as even as a miner; joins
and graphs read memory at random as it does; provers compute what some coins take as work.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hashwarden.training.synthesise.kind import Kind
from hashwarden.training.synthesise.programs import Program, kind_of
from hashwarden.training.synthesise.scene import Parameter, Scene, Values
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.track import State, events, lay

__all__ = ["HASH_OTHER", "HPC_OTHER", "IDLE"]

_ONE: Final = (1.0, 1.0)
_SMALL: Final = (0.003, 0.06)

_HASHING: Final = (
    Program("hash-other", "password-mask", "hashcat, mask attack: no input, perfectly even",
            (({"password-md5": 50, "password-sha": 50}, _ONE),), (0.01, 1.2), _SMALL, even=0.8, memory_moves=0.0),
    Program("hash-other", "password-words", "hashcat, words fed over PCIe",
            (({"password-md5": 45, "password-sha": 55}, _ONE),), (0.02, 2), (0.005, 0.2), (20, 6000)),
    Program("hash-other", "key-search", "Search for keys: curve arithmetic, then hashes",
            (({"zk-msm": 70, "password-sha": 30}, _ONE),), (0.01, 1.0), _SMALL, even=0.8, memory_moves=0.0),
    Program("hash-other", "zk-prover", "Prover: commitments, transforms, hashes in turn",
            (({"zk-msm": 1}, (0.25, 0.6)), ({"zk-ntt": 1}, (0.15, 0.4)), ({"zk-poseidon": 1}, (0.1, 0.4))),
            (0.5, 60), (0.05, 0.8), (5, 6000), even=0.1, memory_moves=0.6),
    Program("hash-other", "fhe", "Homomorphic encryption: transforms and products of residues",
            (({"fhe-ntt": 80, "elementwise": 20}, _ONE),), (0.02, 5), (0.05, 0.7), (1, 2000)),
    Program("hash-other", "aes", "Encryption of a stream", (({"aes": 1}, _ONE),), (0.01, 0.6), (0.005, 0.2),
            (500, 22000), answers=1.0),
    Program("hash-other", "checksum", "Checksums of files", (({"checksum": 1}, _ONE),), (0.02, 2), (0.01, 0.4),
            (300, 22000), even=0.1, answers=0.001),
    Program("hash-other", "dedup", "Deduplication: chunks, fingerprints, a table",
            (({"dedup": 1}, (0.5, 0.8)), ({"hash-table": 1}, (0.2, 0.5))), (0.05, 4), (0.05, 0.7), (200, 15000),
            even=0.1, answers=0.3),
    Program("hash-other", "hash-join", "Joins and groupings of tables",
            (({"hash-join": 75, "hash-table": 25}, (0.4, 0.8)), ({"sort": 60, "elementwise": 40}, (0.1, 0.4))),
            (0.1, 15), (0.1, 0.9), (50, 12000), even=0.1, memory_moves=0.8, answers=0.3),
    Program("hash-other", "plotting", "Plots: hashes, sorted in passes and written out",
            (({"dedup": 60, "aes": 40}, (0.3, 0.6)), ({"sort": 1}, (0.3, 0.6))), (5, 120), (0.1, 0.6), (1, 300),
            even=0.1, answers=10.0),
)  # fmt: skip

_COMPUTING: Final = (
    Program("hpc-other", "flow", "Computational fluid dynamics on a grid",
            (({"stencil": 75, "elementwise": 25}, (0.5, 0.8)), ({"spmv": 80, "elementwise": 20}, (0.1, 0.4))),
            (0.01, 4), (0.05, 0.9), exchange=0.5),
    Program("hpc-other", "stencil", "Finite differences", (({"stencil": 1}, _ONE),), (0.005, 1), (0.05, 0.9),
            even=0.5, exchange=0.4),
    Program("hpc-other", "fft", "Fourier transforms", (({"fft": 85, "elementwise": 15}, _ONE),), (0.01, 2),
            (0.02, 0.8), (0.5, 4000), exchange=0.3),
    Program("hpc-other", "molecules", "Molecular dynamics: forces, transforms, neighbours",
            (({"nbody": 1}, (0.5, 0.8)), ({"fft": 1}, (0.08, 0.25)), ({"sort": 40, "elementwise": 60}, (0.05, 0.15))),
            (0.002, 0.3), (0.005, 0.2), even=0.5, exchange=0.3),
    Program("hpc-other", "nbody", "Gravitation, all pairs", (({"nbody": 1}, _ONE),), (0.01, 3), (0.005, 0.1), even=0.6),
    Program("hpc-other", "monte-carlo", "Random numbers and integer logic, perfectly even",
            (({"monte-carlo": 1}, _ONE),), (0.01, 4), (0.003, 0.2), even=0.7, memory_moves=0.0),
    Program("hpc-other", "graph", "Search and ranking on graphs",
            (({"graph": 85, "sort": 15}, (0.7, 1.0)), ({"elementwise": 1}, (0.0, 0.2))), (0.05, 8), (0.05, 0.9),
            (0.5, 3000), even=0.1),
    Program("hpc-other", "genomics", "Alignment of sequences",
            (({"smith-waterman": 1}, (0.7, 1.0)), ({"sort": 50, "hash-table": 50}, (0.02, 0.3))), (0.05, 6),
            (0.02, 0.6), (20, 6000), even=0.2),
    Program("hpc-other", "sorting", "Sorting of records", (({"sort": 1}, _ONE),), (0.05, 6), (0.05, 0.9), (50, 20000),
            even=0.2, memory_moves=0.5, answers=1.0),
    Program("hpc-other", "solver", "Sparse systems: products and sums",
            (({"spmv": 80, "elementwise": 20}, _ONE),), (0.002, 1), (0.05, 0.9), even=0.4, exchange=0.3),
    Program("hpc-other", "quantum", "State vectors of quantum circuits", (({"quantum": 1}, _ONE),), (0.005, 2),
            (0.002, 0.9), even=0.4),
    Program("hpc-other", "burn-fp32", "Stress test, fp32: perfectly even", (({"burn-fp32": 1}, _ONE),), (0.01, 1),
            (0.01, 0.95), even=0.9, memory_moves=0.0),
    Program("hpc-other", "burn-tensor", "Stress test, tensor pipes: perfectly even", (({"burn-tensor": 1}, _ONE),),
            (0.01, 1), (0.01, 0.95), even=0.9, memory_moves=0.0),
    Program("hpc-other", "burn-int8", "Stress test, int8 products: perfectly even", (({"gemm-int8": 1}, _ONE),),
            (0.01, 1), (0.01, 0.95), even=0.9, memory_moves=0.0),
    Program("hpc-other", "linpack", "Dense systems in double precision",
            (({"gemm-fp64": 1}, (0.85, 0.97)), ({"elementwise": 60, "all-reduce": 40}, (0.03, 0.12))), (0.3, 10),
            (0.3, 0.95), even=0.3, exchange=0.5),
    Program("hpc-other", "ode", "Systems of differential equations", (({"ode": 1}, _ONE),), (0.005, 2), (0.003, 0.3),
            even=0.5),
    Program("hpc-other", "rendering", "Paths of light: divergent, random reads",
            (({"monte-carlo": 40, "graph": 35, "nbody": 25}, (0.8, 1.0)), ({"elementwise": 1}, (0.02, 0.2))), (0.1, 20),
            (0.03, 0.6), even=0.15),
    Program("hpc-other", "transcode", "Video: decoded, scaled, encoded",
            (({"image-decode": 60, "elementwise": 40}, _ONE),), (0.02, 0.5), (0.01, 0.15), (50, 3000), even=0.3,
            answers=0.3, decoder=1.0, sm_share=(0.1, 0.6)),
)  # fmt: skip

HASH_OTHER: Final = tuple(kind_of(program) for program in _HASHING)
HPC_OTHER: Final = tuple(kind_of(program) for program in _COMPUTING)

_HELD: Final = Parameter("memory", 0.005, 0.9, 0.2, log=True, meaning="device memory that is held, of all there is")


def _nothing(scene: Scene, _: Values) -> Schedule:
    zeros = np.zeros(scene.ticks)
    still = State({"elementwise": 0.0})
    return lay([still], np.array([scene.seconds + 1]), np.array([0]), scene.ticks, {"processes": zeros})


def _notebook(scene: Scene, v: Values) -> Schedule:
    """Memory is held; a cell of a second or two now and then."""
    times = events(scene.rng, v["cell_every_s"], scene.seconds, 1.0) if scene.flip("is_used", 0.5) else np.zeros(0)
    pauses = np.maximum(np.diff(np.append(0.0, times)), TICK_S)
    lengths = scene.rng.exponential(v["cell_s"], len(times))
    durations = np.append(np.stack([pauses, lengths], 1).ravel(), scene.seconds + 1)
    which = np.append(np.tile([0, 1], len(times)), 0)
    cell = State({"elementwise": 0.15, "gemm-fp32": 0.1})
    memory = np.full(scene.ticks, v["memory"] * scene.memory_mib)
    return lay([State(), cell], durations, which, scene.ticks, {"fb_mib": memory})


def _stuck(scene: Scene, v: Values) -> Schedule:
    """A process that waits for ever: for a lock, or in a collective that spins on a few SMs."""
    spins = scene.flip("spins", 0.4)
    memory = np.full(scene.ticks, v["memory"] * scene.memory_mib)
    states = [State({"all-reduce": 1.0 if spins else 0.0})]
    narrow = {"all-reduce": float(scene.rng.uniform(0.01, 0.15))} if spins else None
    return lay(states, np.array([scene.seconds + 1]), np.array([0]), scene.ticks, {"fb_mib": memory}, narrow)


_CELLS: Final = (
    _HELD,
    Parameter("cell_every_s", 60, 3600, 400, log=True, unit="s", meaning="mean time between cells that are run"),
    Parameter("cell_s", 0.05, 3, 0.5, log=True, unit="s", meaning="mean length of such a cell"),
)

IDLE: Final = (
    Kind("idle", "no-process", "Nothing runs", (), _nothing, (0.1, 0.2), {}, (0, 0), 0.0),
    Kind("idle", "notebook", "A notebook that holds memory", _CELLS, _notebook, (2, 30), {}, (10, 200)),
    Kind("idle", "stuck", "A process that waits for ever, or spins in a collective", (_HELD,), _stuck, (2, 30)),
)
