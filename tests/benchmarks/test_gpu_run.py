"""The command behind ``make gpu``: honest about a missing GPU, about what failed, and about what it left out."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu"
MACHINE = {"gpu": "NVIDIA Test", "driver": "1.2", "date": "2026-11-21T00:00:00+00:00", "python": "3.12.0"}


@pytest.fixture(scope="module")
def run():
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location("gpu_run", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_run"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FOLDER))


def leg(run, code, limit=30.0, **more):
    return run.Leg("part", [sys.executable, "-c", code], limit, **more)


def test_without_a_gpu_nothing_is_tested_and_it_says_so(run, tmp_path):
    if run.gpu_count():
        pytest.skip("there is a GPU")
    command = [sys.executable, str(FOLDER / "run.py"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 6
    assert "no NVIDIA GPU" in done.stderr
    assert "Nothing was tested" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("code", "status", "tested"),
    [
        ("print('12 passed, 3 skipped')", "passed", 12),
        ("print('7 ran, 0 failed')", "passed", 7),
        ("print('1 failed, 3 passed'); raise SystemExit(1)", "failed with 1", 3),
        ("raise SystemExit(5)", "failed with 5", 0),
    ],
)
def test_a_part_tells_how_it_ended(run, code, status, tested):
    part = leg(run, code)
    part.run(dict(os.environ), 60)
    assert (part.status, part.tested) == (status, tested)


def test_a_part_that_hangs_is_stopped(run):
    part = leg(run, "import time; print('started', flush=True); time.sleep(60)", limit=5)
    part.run(dict(os.environ), 60)
    assert part.status == "stopped after 5 s"
    assert "started" in part.said


def test_a_part_without_time_is_not_begun(run):
    part = leg(run, "print('1 passed')")
    part.run(dict(os.environ), 3)
    assert (part.status, part.said) == ("not run", "no time was left")


def test_a_program_that_is_missing_is_a_failure(run):
    part = run.Leg("part", ["/no/such/program"], 30)
    part.run(dict(os.environ), 60)
    assert part.status == "failed to start"


def test_copies_share_the_work_and_one_failure_is_enough(run):
    code = "import os; n = int(os.environ['HASHWARDEN_SHARD'][0]); print(n, 'passed'); raise SystemExit({})"
    part = leg(run, code.format("5 if n == 2 else 0"), copies=4)
    part.run(dict(os.environ), 60)
    assert (part.status, part.tested) == ("passed", 0 + 1 + 2 + 3)
    part = leg(run, code.format("1 if n == 2 else 0"), copies=4)
    part.run(dict(os.environ), 60)
    assert part.status == "failed with 1"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["print('3 passed')"], 0),
        (["print('3 passed')", "raise SystemExit(1)"], 1),
        (["pass"], 1),  # nothing was tested
        ([], 1),
    ],
)
def test_it_ends_with_0_only_if_something_was_tested_and_nothing_failed(run, monkeypatch, tmp_path, codes, expected):
    monkeypatch.setattr(run, "gpu_count", lambda: 1)
    monkeypatch.setattr(run, "describe", lambda: MACHINE)
    monkeypatch.setattr(run, "assemble", lambda folder: "links")
    monkeypatch.setattr(run, "legs", lambda out: [leg(run, code) for code in codes])
    assert run.run(tmp_path) == expected
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["machine"]["gpu"] == "NVIDIA Test"
    assert len(report["parts"]) == len(codes)
    assert "NVIDIA Test" in (tmp_path / "report.md").read_text()


def test_every_part_is_a_script_that_exists(run, tmp_path):
    for part in run.legs(tmp_path):
        scripts = [word for word in part.command if word.endswith(".py")]
        assert all((FOLDER.parents[1] / script).is_file() for script in scripts)


@pytest.mark.parametrize("how", ["pip", "links"])
def test_the_package_is_put_together(run, monkeypatch, tmp_path, how):
    import machine

    if how == "links":
        monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    assert machine.assemble(tmp_path) == how
    monkeypatch.undo()
    code = "import hashwarden.kernels.workloads.registry as r; print(r.__file__, len(r.workloads()))"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    place, count = done.stdout.split()
    assert place.startswith(str(tmp_path))
    assert int(count) > 10


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100", "sm_120"])
def test_the_ceilings_compile_and_hold_what_they_measure(arch):
    from cuda.core import Program, ProgramOptions

    from hashwarden.kernels.sass.cubin import read_cubin
    from hashwarden.kernels.sass.mix import analyse

    text = (FOLDER / "ceilings.cu").read_text()
    cubin = read_cubin(bytes(Program(text, "c++", ProgramOptions(arch=arch)).compile("cubin").code), "ceilings")
    table = analyse([cubin])
    assert sorted(table.text["kernel"]) == ["float_ceiling", "integer_ceiling"]
    assert (table.scalars["n_loops"] >= 1).all()
