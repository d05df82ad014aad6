"""Small labelled runs of every class, told apart by a few channels, to fit something on in seconds; a small disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES
from hashwarden.model.trace import Run, RunInfo
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.recipe import Recipe

TINY = Recipe(steps=48, batch=8, length=40, check=16, held_out=0.25, rate=1e-2)

LEVELS = {
    "training": {"tensor_active_ratio": 0.6, "tensor_hmma_active_ratio": 0.6, "power_ratio": 0.8},
    "inference": {"tensor_active_ratio": 0.2, "dram_active_ratio": 0.6, "power_ratio": 0.5},
    "mining": {"integer_active_ratio": 0.9, "sm_active_ratio": 0.98, "code_mining_ratio": 0.95, "power_ratio": 0.9},
    "hash-other": {"integer_active_ratio": 0.8, "code_hash_ratio": 0.9, "pcie_rx_mib_per_s": 900.0},
    "hpc-other": {"fp64_active_ratio": 0.5, "dram_active_ratio": 0.3, "power_ratio": 0.6},
    "idle": {"power_ratio": 0.1},
}


def made_run(label: str, number: int, length: int = 60, strategy: str = "plain", **info) -> Run:
    """One run with the levels of its class, noise around them and a few gaps; in every process the same."""
    rng = np.random.default_rng([number, CLASSES.index(label)])
    values = np.full((length, len(CHANNELS)), np.nan, np.float32)
    for name in sorted({name for levels in LEVELS.values() for name in levels} | {"gpu_util_ratio"}):
        channel = CHANNELS[INDEX[name]]
        level = LEVELS[label].get(name, 0.02)
        noisy = level * (1 + 0.1 * rng.standard_normal(length)) + 0.01 * rng.random(length)
        values[:, INDEX[name]] = np.clip(noisy, channel.low, channel.high)
    values[rng.random(values.shape) < 0.02] = np.nan
    family = MINING_FAMILIES[number % 3] if label == "mining" else f"{label}-{number % 2}"
    told = {"origin": "synthesised", "gpu": ("A", "B")[number % 2], "period_s": 1.0, "labelled_by": "construction"}
    return Run(
        f"{label}-{number}-{strategy}", np.arange(length) * float(info.get("period_s", 1.0)), values, label, family,
        strategy, RunInfo(**{**told, **info}),
    )  # fmt: skip


@pytest.fixture(scope="session")
def make() -> Callable[..., Run]:
    return made_run


@pytest.fixture(scope="session")
def some_runs() -> list[Run]:
    """48 runs of 60 samples."""
    runs = [made_run(label, number) for number in range(6) for label in CLASSES]
    return runs + [made_run("mining", number, strategy="throttle") for number in range(12)]


@pytest.fixture(scope="session")
def folder(some_runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    Dataset.of_runs(some_runs, folder, where="made up")
    return folder


@pytest.fixture
def data(folder: Path) -> Dataset:
    return Dataset(folder)


class Disk:
    """A small file system of its own."""

    def __init__(self, place: Path) -> None:
        self.place, self._ballast = place, place / "ballast"

    def fill(self, left: int = 0) -> None:
        """Leave so many bytes."""
        found = os.statvfs(self.place)
        with self._ballast.open("ab") as file:
            os.posix_fallocate(file.fileno(), file.tell(), max(found.f_bavail * found.f_bsize - left, 1))

    def free(self) -> None:
        self._ballast.unlink()

    def names(self) -> list[str]:
        """Every file, the ballast aside."""
        files = [path for path in self.place.rglob("*") if path.is_file() and path != self._ballast]
        return sorted(str(path.relative_to(self.place)) for path in files)


@pytest.fixture
def disk(small_disk: Callable[..., Path]) -> Disk:
    return Disk(small_disk("16m"))
