"""Bundles are written in a process of its own, and whatever becomes of that process is told."""

import hashlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run
from hashwarden.serve.agent.packer import Packer
from hashwarden.serve.agent.packing import Package
from hashwarden.serve.jobs.job import Job, ProcessKey
from hashwarden.serve.launch_board import KernelLaunches, LaunchProfile


def package(case="HW-TEST"):
    values = np.random.default_rng(0).uniform(0.2, 0.8, (90, len(CHANNELS))).astype(np.float32)
    launches = [LaunchProfile(ProcessKey(7, 8), 1.0, 1.0, (KernelLaunches("softmax", 5, 160),))]
    return Package({"id": case}, Job("slurm:1", "slurm", "1"), [], [Run("slurm:1@GPU-0", np.arange(90.0), values)],
                   launches, {}, {"sha256": "a"}, {"sha256": "b"})  # fmt: skip


@pytest.fixture
def packer(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "pyarrow")  # a live agent has none
    one = Packer(tmp_path / "evidence")
    yield one
    one.rest()


def test_bundles_are_written_by_one_process_that_ends(packer):
    found = [packer.pack(package(case)) for case in ("HW-ONE", "HW-TWO")]
    process = packer._process
    assert [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path, _ in found] == [sha for _, sha in found]
    packer.rest()
    assert (process.returncode, packer.runs) == (0, False)


def test_what_cannot_be_written_is_told_and_the_next_is_written(packer, tmp_path):
    (tmp_path / "evidence").write_text("in the way")
    with pytest.raises(OSError, match="evidence"):
        packer.pack(package())
    (tmp_path / "evidence").unlink()
    assert Path(packer.pack(package())[0]).exists()


def test_a_process_that_is_killed_is_told_and_the_next_bundle_has_another(packer):
    packer.pack(package())
    os.kill(packer._process.pid, signal.SIGKILL)
    packer._process.wait()
    with pytest.raises(OSError, match="the process that packs failed"):
        packer.pack(package())
    assert Path(packer.pack(package())[0]).exists()


def test_where_parquet_is_loaded_anyway_no_process_is_needed(tmp_path):
    packer = Packer(tmp_path)
    path, _ = packer.pack(package())
    assert Path(path).exists()
    assert not packer.runs
