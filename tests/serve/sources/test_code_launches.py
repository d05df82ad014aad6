"""From the launch to the channels: a real process loads real code and launches it, real eBPF sees it, the code is read.

The driver is a stand-in that does nothing; all else is real.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

from hashwarden.kernels.workloads import catalogue, compiler
from hashwarden.serve.jobs.job import Owner
from hashwarden.serve.launch_board import LaunchBoard
from hashwarden.serve.sources.code import CodeSource
from hashwarden.serve.sources.launches import LaunchesSource
from hashwarden.serve.sources.launches_tracer import Places
from hashwarden.serve.sources.source import NoData, Options

pytestmark = pytest.mark.bpf

SPEC = importlib.util.spec_from_file_location("code_stand_in", Path(__file__).with_name("cuda_stand_in.py"))
stand_in = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(stand_in)


def cubin(name, path):
    workload = catalogue.find(name)
    path.write_bytes(compiler.compile_cubin(workload, workload.all_variants()[0], "sm_90"))
    return path


@pytest.fixture
def sources(tmp_path):
    library, program = stand_in.build(tmp_path)
    owners = {}
    options = Options(board=LaunchBoard(), burst_s=0.5, every_s=2.0, owner=owners.get, architecture=lambda _: 90)
    launches, code = LaunchesSource(options, Places(standard=(library,))), CodeSource(options, tmp_path / "store")
    launches.open()
    code.open()
    yield launches, code, owners, library, program
    launches.close()
    code.close()


def read(*sources):
    found = []
    for source in sources:
        try:
            found += source.read()
        except NoData:
            continue
    return found


def test_a_miner_is_seen_in_what_it_launches_and_a_training_is_not(sources, tmp_path):
    launches, code, owners, library, program = sources
    miner, trainer = cubin("progpow", tmp_path / "miner"), cubin("ml_layers", tmp_path / "trainer")
    wanted = {"slurm:1": (miner, b"progpow_search"), "slurm:2": (trainer, b"softmax_rows")}
    with stand_in.Caller(program, library) as first, stand_in.Caller(program, library) as second:
        callers = dict(zip(wanted, (first, second), strict=True))
        for number, (job, caller) in enumerate(callers.items()):
            owners[caller.pid] = Owner(job, (f"GPU-{number}",))
        read(launches)
        time.sleep(0.5)  # the library of a new process is found a moment after it was mapped
        for job, caller in callers.items():
            path, name = wanted[job]
            caller.ask(f"load {path}")
            function = caller.find(name)
            caller.launch(function, 400_000, 200_000)  # for 80 s, beside what follows
        found, end = {}, time.monotonic() + 60
        while len(found) < 2 and time.monotonic() < end:
            for reading in read(launches, code):
                if reading.values.get("code_known_ratio", 0) > 0:
                    found[reading.job] = reading
            time.sleep(0.05)
        assert set(found) == set(wanted), (code.counts, found)
    assert found["slurm:1"].values["code_mining_ratio"] > 0.9
    assert found["slurm:1"].values["code_mining_top_ratio"] > 0.9
    assert found["slurm:2"].values["code_mining_ratio"] < 0.1
    assert [found[f"slurm:{job}"].gpu for job in (1, 2)] == ["GPU-0", "GPU-1"]
    assert code.evidence("slurm:1")[0].name == "progpow_search"
    assert code.counts["processes_read"] >= 2
