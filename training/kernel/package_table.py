"""A labelled table of kernels sampled from public packages that do not mine: more innocent code to learn from.

``python -m hashwarden.training.kernel.package_table WHEEL:FAMILY ... --output TABLE`` measures a sample of at most 500
kernels for each package and architecture, the same ones on every run. Use permissively licensed packages only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import pyarrow.parquet as pq
import typer

from hashwarden.errors import UsageError
from hashwarden.kernels.sass.containers import walk
from hashwarden.kernels.sass.cubin import Cubin, read_cubin
from hashwarden.kernels.sass.found import Code
from hashwarden.kernels.sass.limits import Limits
from hashwarden.kernels.sass.mix import analyse
from hashwarden.kernels.sass.parquet import to_arrow
from hashwarden.kernels.sass.source import FileSource
from hashwarden.kernels.sass.table import MixTable

__all__ = ["sample"]

MOST: Final = 500
ARCHES: Final = (75, 80, 90, 100, 120)
_BATCH: Final = 64
_HASH_TABLE: Final = ("cuco", "hash_table", "hashtable", "HashTable", "hash_map")


def _tables(path: Path) -> Iterator[MixTable]:
    """The mixes of a file's kernels, some cubins at a time."""
    with path.open("rb") as file:
        batch: list[Cubin] = []
        for item in walk(FileSource(file.fileno(), path.name), Limits()):
            if isinstance(item, Code):
                batch.append(read_cubin(item.data, item.where))
            if len(batch) == _BATCH:
                yield analyse(batch)
                batch = []
        if batch:
            yield analyse(batch)


def _priority(kernel: str, code: str) -> str:
    """A random order that is the same on every run."""
    return hashlib.sha256(f"{kernel}|{code}".encode()).hexdigest()


def _first(table: MixTable) -> MixTable:
    """The distinct kernels of each architecture that come first in that order."""
    arch, names, codes = table.scalars["arch"], table.text["kernel"], table.text["code_sha1"]
    keys = sorted((int(a), _priority(k, c), row) for row, (a, k, c) in enumerate(zip(arch, names, codes, strict=True)))
    kept: list[int] = []
    taken: dict[int, int] = {}
    last = (0, "")
    for number, priority, row in keys:
        if (number, priority) == last or number not in ARCHES or taken.get(number, 0) >= MOST:
            continue
        last = (number, priority)
        taken[number] = taken.get(number, 0) + 1
        kept.append(row)
    return table.take(np.array(kept, np.int64))


def sample(path: Path, family: str) -> MixTable:
    """Sample the kernels of a wheel, labelled as innocent.

    Parameters
    ----------
    path : Path
        A wheel named as its package and version.
    family : str
        The family of its kernels; those that name a hash table are labelled ``hash-table``.
    """
    package, version = path.name.split("-")[:2]
    table = MixTable.empty()
    for part in _tables(path):
        table = _first(MixTable.concat([table, part]) if len(table) else part)
    names = [str(name) for name in table.text["kernel"]]
    files = [where.rpartition("!")[2].partition("#")[0].rpartition("/")[2] for where in table.text["file"]]
    families = ["hash-table" if any(word in name for word in _HASH_TABLE) else family for name in names]
    same = {"source": package, "version": version, "origin": "package", "role": "kernel"}
    table.text.update({key: np.full(len(table), value, object) for key, value in same.items()})
    table.text.update(
        family=np.array(families, object),
        file=np.array(files, object),
        kernel=np.array([n[:200] for n in names], object),
    )
    mining = np.zeros(len(table), bool)
    return MixTable(table.scalars, table.rotate, table.funnel, table.nested, table.text, mining)


def main(
    packages: Annotated[list[str], typer.Argument(help="WHEEL:FAMILY")],
    output: Path = Path("data/kernel_mix/kernel_mix_more_packages.parquet"),
) -> None:
    """Write a table of kernels sampled from wheels."""
    parts = []
    for words in packages:
        path, _, family = words.rpartition(":")
        if not family or not Path(path).is_file():
            raise UsageError(f"{words!r}", "WHEEL:FAMILY with an existing wheel", "Download the wheel first.")
        parts.append(sample(Path(path), family))
    pq.write_table(to_arrow(MixTable.concat(parts)), output, compression="zstd")


if __name__ == "__main__":
    typer.run(main)
