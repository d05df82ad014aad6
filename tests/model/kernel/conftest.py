"""Kernel mix tables made by hand, and the published ones of the repository."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashwarden.kernels.sass.parquet import from_arrow, schema
from hashwarden.kernels.sass.table import NESTED, SCALARS, MixTable

DATA = Path(__file__).resolve().parents[3] / "data" / "kernel_mix"


def make_table(kernels: Sequence[dict[str, Any]]) -> MixTable:
    """Kernels as the Parquet schema has them; what is not named is 0, empty or sm_90."""
    empty: dict[str, Any] = dict.fromkeys(SCALARS, 0) | {name: [] for name in NESTED}
    empty |= {"arch": 90, "n_instr": 100, "rotate": [0] * 5, "funnel": [0] * 5, "file": "a.so#1", "kernel": "k"}
    rows = [empty | {"code_sha1": f"{index:016x}"} | kernel for index, kernel in enumerate(kernels)]
    return from_arrow(pa.Table.from_pylist(rows, schema(labelled=False)))


@pytest.fixture
def table_of() -> Callable[[Sequence[dict[str, Any]]], MixTable]:
    return make_table


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    """Every thirteenth kernel of the public repositories, as plain Python."""
    table = pq.read_table(DATA / "kernel_mix_repositories.parquet")
    return table.take(list(range(0, len(table), 13))).to_pylist()


@pytest.fixture(scope="session")
def real(rows: list[dict[str, Any]]) -> MixTable:
    """The same kernels as a table."""
    whole = pq.read_table(DATA / "kernel_mix_repositories.parquet").schema
    return from_arrow(pa.Table.from_pylist(rows, whole))
