"""The kernel mixes of this project's Numba programs: the same algorithms, through another compiler's front end.

``python -m hashwarden.training.kernel.numba_table`` writes data/kernel_mix/kernel_mix_numba.parquet again. Numba makes
LLVM code, NVVM makes PTX of it, and nvJitLink machine code for four architectures; nothing is run on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq
import typer

from hashwarden.errors import DataError
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.sass.mix import analyse
from hashwarden.kernels.sass.parquet import to_arrow
from hashwarden.kernels.sass.table import MixTable
from hashwarden.kernels.workloads.engines.offline import cubin_of, ptx_of
from hashwarden.kernels.workloads.plan import Launch, Plan
from hashwarden.kernels.workloads.registry import workloads
from hashwarden.training.kernel.dataset import NUMBA_SOURCE
from hashwarden.training.kernel.own_table import SMALL

__all__ = ["DAG", "FAMILIES", "SIDE", "bodies", "build", "table_of"]

ARCHITECTURES: Final = ("sm_80", "sm_90", "sm_100", "sm_120")
_ROOT: Final = "hashwarden.kernels.workloads."

FAMILIES: Final[Mapping[str, str]] = {
    "learning": "ml",
    "mining.autolykos": "autolykos2",
    "mining.blake_pow": "blake3",
    "mining.blake_pow.blake2b_search": "blake2b",
    "mining.chachapad": "xelishash",
    "mining.cuckatoo": "cuckoo-cycle",
    "mining.equihash": "equihash",
    "mining.ethash": "ethash",
    "mining.fishhash": "fishhash-karlsen",
    "mining.heavyhash": "kheavyhash",
    "mining.poseidon": "poseidon2-pow",
    "mining.progpow": "progpow",
    "mining.scratchpad": "cryptonight",
    "mining.sha256d": "sha256d",
    "mining.sha256d.search_512": "sha512",
    "mining.sha3": "keccak",
    "mining.tilepow": "pearl-matmul",
    "others.aes": "crypto-benign",
    "others.burner": "hpc",
    "others.compression": "compression",
    "others.dedup": "checksum-hash",
    "others.fft": "hpc",
    "others.fhe": "fhe",
    "others.graph": "graph",
    "others.hash_join": "hash-table",
    "others.hash_table": "hash-table",
    "others.monte_carlo": "rng",
    "others.nbody": "hpc",
    "others.password": "password-cracking",
    "others.radix_sort": "sort",
    "others.scan": "array",
    "others.smith_waterman": "genomics",
    "others.stencil": "hpc",
    "others.zk_msm": "zk",
    "others.zk_ntt": "zk",
}
"""Family in the words of the kernel model, by the body, else by the module that holds it, else by its package."""

SIDE: Final = frozenset(
    {
        "mining.cuckatoo.forget", "mining.cuckatoo.revive",
        "mining.equihash.clear", "mining.equihash.finish", "mining.equihash.recover",
        "mining.ethash.lanes_read",
        "mining.progpow.copy_cache", "mining.progpow.exchange",
        "mining.tilepow.add_noise", "mining.tilepow.multiply",
        "others.aes.fill", "others.fhe.copy", "others.fhe.fill", "others.fhe.spread",
        "others.dedup.choose", "others.dedup.enter", "others.dedup.forget", "others.dedup.mark",
        "others.hash_join.make_keys", "others.hash_join.make_wanted",
        "others.hash_table.make_keys", "others.hash_table.note_rows",
        "others.zk_msm.clear", "others.zk_msm.count_digits", "others.zk_msm.place_points",
        "others.zk_ntt.fill", "others.zk_ntt.make_powers",
    }
)  # fmt: skip
"""Bodies that fill, clear, move and count beside the hash work proper: what they look like says nothing of it."""

DAG: Final = frozenset({"mining.autolykos.build_element", "mining.ethash.build_items", "mining.ethash.fill_cache"})


def bodies() -> Iterator[tuple[str, Plan, Launch]]:
    """The first launch of every body of every Numba program, with its place ``module.name``."""
    seen = set()
    for workload in workloads():
        if workload.build is None:
            continue
        plan = workload.build(workload.settings("small"), 0)
        for launch in (*plan.setup, *plan.step(0)):
            if isinstance(launch, Launch) and (place := _place(launch)) not in seen:
                seen.add(place)
                yield place, plan, launch


def _place(launch: Launch) -> str:
    """Where a body stands: ``module.name`` below the package of workloads."""
    function = launch.body.py_func
    return f"{function.__module__.removeprefix(_ROOT)}.{function.__name__}"


def _family(place: str) -> str:
    module = place.rpartition(".")[0]
    for name in (place, module, module.partition(".")[0]):
        if name in FAMILIES:
            return FAMILIES[name]
    raise DataError(f"the body {place!r}", "a family for it", "Name one in FAMILIES of numba_table.py.")


def _role(place: str) -> str:
    if place in SIDE:
        return "helper"
    return "dag" if place in DAG else "hash" if place.startswith("mining.") else "kernel"


def table_of(place: str, ptx: str) -> MixTable:
    """Assemble one body for all architectures and measure it, labelled."""
    module, _, name = place.rpartition(".")
    cubins = [read_cubin(cubin_of(ptx, arch), f"{place}.{arch}.cubin") for arch in ARCHITECTURES]
    table = analyse(cubins)
    labels = {"source": NUMBA_SOURCE + module, "origin": "workload", "family": _family(place), "kernel": name}
    table.text.update({key: np.full(len(table), value, object) for key, value in labels.items()})
    table.text["version"] = np.array([f"sm_{arch} numba" for arch in table.scalars["arch"]], object)
    role = np.full(len(table), _role(place), object)
    table.text["role"] = np.where(table.scalars["n_instr"] < SMALL, "small", role).astype(object)
    mining = np.full(len(table), module.startswith("mining."))
    return MixTable(table.scalars, table.rotate, table.funnel, table.nested, table.text, mining)


def build(output: Path) -> int:
    """Compile and measure all bodies, and write one table.

    Returns
    -------
    int
        How many rows it has.
    """
    parts = [table_of(place, ptx_of(launch, plan)) for place, plan, launch in bodies()]
    table = to_arrow(MixTable.concat(parts))
    part = output.with_suffix(".part")  # a full disk or a kill leaves the table that was there
    pq.write_table(table, part, compression="zstd")
    part.replace(output)
    return len(table)


def main(output: Path = Path("data/kernel_mix/kernel_mix_numba.parquet")) -> None:
    """Write the table of Numba kernels again."""
    typer.echo(f"{build(output)} rows")


if __name__ == "__main__":
    typer.run(main)
