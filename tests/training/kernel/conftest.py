"""A few lineages of the repository's tables, small enough to train on in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from hashwarden.training.kernel.dataset import Dataset, load
from hashwarden.training.kernel.fit import Recipe

DATA = Path(__file__).resolve().parents[3] / "data" / "kernel_mix"
KEPT = (
    "tpruvot/ccminer",
    "cbuchner1/CudaMiner",
    "fireice-uk/xmr-stak",
    "ifdefelse/ProgPOW",
    "hashcat/hashcat",
    "karpathy/llm.c",
    "NVIDIA/cuda-samples",
)
TINY = Recipe(hidden=24, epochs=3, rows=600, batch=64)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of some hundred kernels: three mining lineages, other hash work, packages, own workloads."""
    folder = tmp_path_factory.mktemp("kernel_mix")
    for name, step in (("repositories", 2), ("packages", 29), ("workloads", 13)):
        table = pq.read_table(DATA / f"kernel_mix_{name}.parquet")
        if name == "repositories":
            table = table.filter(pc.is_in(table["source"], pa.array(KEPT)))
        pq.write_table(table.take(list(range(0, len(table), step))), folder / f"kernel_mix_{name}.parquet")
    return folder


@pytest.fixture(scope="session")
def small(folder: Path) -> Dataset:
    return load(folder)


@pytest.fixture(scope="session")
def whole() -> Dataset:
    """All tables of the repository."""
    return load(DATA)


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Tiny networks are ten times slower on two threads of a busy machine."""
    before, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def tiny() -> Recipe:
    return TINY
