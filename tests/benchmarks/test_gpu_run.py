"""The command behind ``make gpu``: honest about a missing GPU, about what failed, and about what it left out."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
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


def leg(run, code, limit=30.0, name="part", **more):
    return run.Leg(name, [sys.executable, "-c", code], limit, **more)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


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
    part.run(dict(os.environ), 60, 60)
    assert (part.status, part.tested) == (status, tested)


HANGS = (
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('started', flush=True); time.sleep(60)"
)
SLOW = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
print("begun", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("2 passed, then interrupted")
"""
LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, "is there. 1 passed", flush=True)
"""


@pytest.mark.parametrize(("code", "said", "tested"), [(HANGS, "started", 0), (SLOW, "2 passed, then interrupted", 2)])
def test_a_part_that_hangs_is_stopped_and_one_that_is_slow_ends_in_order(run, code, said, tested):
    part, start = leg(run, code, least_s=1.0), time.monotonic()
    part.run(dict(os.environ), 4, 60)
    assert 2.5 < time.monotonic() - start < 10
    assert part.status == "stopped after 4 s"
    assert said in part.said
    assert part.tested == tested


@pytest.mark.parametrize(
    ("after", "status"),
    [("", "passed"), ("import time; time.sleep(60)", "stopped after 4 s"),
     ("import os; os.kill(os.getpid(), 9)", "failed with -9")],
)  # fmt: skip
def test_nothing_that_a_part_has_started_stays(run, after, status):
    part = leg(run, LEAVES_A_CHILD + after, least_s=1.0)
    part.run(dict(os.environ), 4, 60)
    assert part.status == status
    child = int(part.said.split()[0])
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child)


def test_a_part_without_time_is_not_begun(run):
    part = leg(run, "print('1 passed')", least_s=20)
    part.run(dict(os.environ), 3, 3)
    assert (part.status, part.said) == ("skipped", "no time: 3 s left, at least 20 s needed")


def test_a_part_is_told_its_share(run):
    part = run.Leg("part", [sys.executable, "-c", "import sys; print(sys.argv[1:])", "--limit", "{limit}"], 99, 5, 30)
    part.run(dict(os.environ), 80.4, 200)
    assert "['--limit', '50']" in part.said


def test_a_program_that_is_missing_is_a_failure(run):
    part = run.Leg("part", ["/no/such/program"], 30)
    part.run(dict(os.environ), 60, 60)
    assert part.status == "failed to start"


@pytest.mark.parametrize(
    ("left", "expected"),
    [(1000, [150, 140, 60, 100]), (250, [107, 51, 31, 61]), (150, [68, 51, 31, 0]), (70, [70, 0, 0, 0])],
)
def test_shares_leave_the_least_to_those_that_come_later(run, left, expected):
    sizes = ((150, 60), (140, 50), (60, 30), (100, 60))
    parts = [leg(run, "", limit, least_s=least) for limit, least in sizes]
    got = []
    for number, part in enumerate(parts):
        got.append(run.share(part, parts[number + 1 :], left))
        left -= got[-1]  # as slow as can be
    assert got == expected


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("check", ["tests", "workloads", "sanitizer"]),
        ("ask", ["instructions", "telemetry"]),
        ("record", ["recordings-counters"]),
    ],
)
def test_all_parts_of_a_round_have_their_least_within_the_limit(run, tmp_path, monkeypatch, name, first):
    monkeypatch.setattr(run.shutil, "which", lambda name: f"/usr/bin/{name}")
    parts, left = run.legs(tmp_path, [name]), run.LIMIT_S - run.REPORT_S - 60  # a minute until all is put together
    assert [part.name for part in parts][: len(first)] == first
    for number, part in enumerate(parts):
        allowed = run.share(part, parts[number + 1 :], left)
        assert part.least_s <= allowed <= part.limit_s
        assert allowed - part.slack_s >= 5
        left -= allowed
    assert left >= 0


def test_no_two_parts_write_the_same_and_every_script_is_there(run, tmp_path):
    parts = run.legs(tmp_path)
    assert len({part.name for part in parts}) == len(parts)
    scripts = {word for part in parts for word in part.command if word.endswith(".py")}
    assert {name for name in scripts if not (run.ROOT / name).exists()} == set()
    asked = [part.name for part in run.legs(tmp_path, ["ask"])]
    sys.path.insert(0, str(FOLDER / "questions"))
    from asked import QUESTIONS

    written = {*asked, "mix", "job", "workloads", "duty", "separation"}
    assert {question.result for question in QUESTIONS} == written


def test_copies_share_the_work_and_one_failure_is_enough(run):
    code = "import os; n = int(os.environ['HASHWARDEN_SHARD'][0]); print(n, 'passed'); raise SystemExit({})"
    part = leg(run, code.format("5 if n == 2 else 0"), copies=4)
    part.run(dict(os.environ), 60, 60)
    assert (part.status, part.tested) == ("passed", 0 + 1 + 2 + 3)
    part = leg(run, code.format("1 if n == 2 else 0"), copies=4)
    part.run(dict(os.environ), 60, 60)
    assert part.status == "failed with 1"


def with_legs(run, monkeypatch, *parts):
    monkeypatch.setattr(run, "gpu_count", lambda: 1)
    monkeypatch.setattr(run, "describe", lambda: MACHINE)
    monkeypatch.setattr(run, "assemble", lambda *_: "links")
    monkeypatch.setattr(run, "legs", lambda *_: list(parts))


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
    with_legs(run, monkeypatch, *(leg(run, code) for code in codes))
    assert run.run(tmp_path) == expected
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["machine"]["gpu"] == "NVIDIA Test"
    assert len(report["parts"]) == len(codes)
    assert "NVIDIA Test" in (tmp_path / "report.md").read_text()


def test_when_time_is_out_the_last_parts_are_skipped_and_named(run, monkeypatch, tmp_path):
    parts = (
        leg(run, "print('3 passed')", name="quick", least_s=2), leg(run, HANGS, name="hangs", least_s=2),
        leg(run, "raise SystemExit(3)", name="dies", least_s=1), leg(run, "print('9 ran')", name="late", least_s=30),
    )  # fmt: skip
    with_legs(run, monkeypatch, *parts)
    start = time.monotonic()
    assert run.run(tmp_path, limit_s=run.REPORT_S + 8) == 1
    assert time.monotonic() - start < run.REPORT_S + 8
    found = {part["name"]: part for part in json.loads((tmp_path / "report.json").read_text())["parts"]}
    assert found["quick"]["status"] == "passed"
    assert found["hangs"]["status"].startswith("stopped after")
    assert found["dies"]["status"] == "failed with 3"
    assert (found["late"]["status"], found["late"]["seconds"]) == ("skipped", 0)
    assert "at least 30 s needed" in (tmp_path / "report.md").read_text()


def test_only_some_parts(run, monkeypatch, tmp_path, capsys):
    with_legs(run, monkeypatch, *(leg(run, "print('1 passed')", name=name) for name in ("a", "b", "c")))
    monkeypatch.setattr(sys, "argv", ["run.py", "--out", str(tmp_path), "--only", "c", "--only", "a", "--limit", "60"])
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert run.main() == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [part["name"] for part in json.loads((tmp_path / "report.json").read_text())["parts"]] == ["a", "c"]
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "d"])
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 2
    assert "not one of a, b, c" in capsys.readouterr().err


WHOLE = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import run
child = "import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
child += "; open({pids!r}, 'w').write(str(c.pid) + ' '); time.sleep(60)"
run.gpu_count, run.describe, run.assemble = (lambda: 1), (lambda: {machine!r}), (lambda *_: "links")
run.legs = lambda *_: [run.Leg("first", [sys.executable, "-c", "print('4 passed')"], 30),
                        run.Leg("long", [sys.executable, "-c", child], 60)]
raise SystemExit(run.main())
"""


def test_ended_from_outside_it_leaves_a_report_and_no_process(tmp_path):
    pids = tmp_path / "pids"
    code = WHOLE.format(folder=str(FOLDER), pids=str(pids), machine=MACHINE)
    process = subprocess.Popen([sys.executable, "-c", code, "--out", str(tmp_path / "out")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (pids.exists() and pids.read_text().endswith(" ")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(20) == 143
    child = int(pids.read_text())
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child)
    first = json.loads((tmp_path / "out" / "report.json").read_text())["parts"][0]
    assert (first["name"], first["tested"]) == ("first", 4)


def test_every_part_is_a_script_that_exists(run, tmp_path):
    for part in run.legs(tmp_path):
        scripts = [word for word in part.command if word.endswith(".py")]
        assert all((FOLDER.parents[1] / script).is_file() for script in scripts)


def test_every_script_finds_what_it_imports(run, tmp_path):
    """Where nothing but the package and the folder of benchmarks is to be found."""
    import machine

    machine.assemble(tmp_path / "package")
    scripts = {word for part in run.legs(tmp_path) for word in part.command if word.endswith(".py")}
    environment = run.surroundings(tmp_path / "package")
    for script in sorted(scripts):
        words = [sys.executable, script, "--help"]
        done = subprocess.run(words, env=environment, cwd=run.ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}: {done.stderr}"


def test_what_a_crash_says_is_told_without_its_list_of_modules(run):
    said = (
        "Fatal Python error: Segmentation fault\n  File x, line 3\n\nExtension modules: numpy, "
        + "a.b, " * 2000
        + "z\n"
    )
    part = leg(run, f"import os; print({said!r}, flush=True); os.abort()", copies=4)
    part.run(dict(os.environ), 60, 60)
    assert part.said.count("Fatal Python error") == 1
    assert "a.b" not in part.said


def test_what_is_carried_is_what_the_package_needs_and_has_its_version():
    wheels, root = loaded("wheels"), FOLDER.parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=\[ ]", one)[0].lower() for one in project["dependencies"]}
    there = {"numba", "numpy", "onnxruntime", "pyarrow", "rich", "typer"}
    assert names - there <= set(wheels.wanted())
    pinned = {line.partition("==")[0].lower() for line in (root / "constraints.txt").read_text().splitlines()}
    assert {name.replace(".", "-") for name in wheels.wanted()} <= pinned


def test_wheels_are_fetched_for_another_python(monkeypatch, tmp_path):
    wheels, asked = loaded("wheels"), []
    done = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(wheels.subprocess, "run", lambda words, **_: asked.append(words) or done)
    monkeypatch.setattr(sys, "argv", ["wheels.py", "--out", str(tmp_path), "--python", "3.13", "--more", "one-more"])
    assert wheels.main() == 1, "what was not to be had is not passed over"
    (words,) = asked
    assert words[words.index("--python-version") + 1] == "3.13"
    assert {"--no-deps", "--only-binary=:all:", "manylinux_2_28_x86_64", "one-more", "pydantic"} <= set(words)


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"gpu_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
