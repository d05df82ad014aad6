"""The small parts of the agent: joining, windows, clocks, blindness, coverage, logs, notifications, configuration."""

from __future__ import annotations

import io
import json
import math
import os
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.serve.agent import logs
from hashwarden.serve.agent.blinds import HOLD_S, Blinds
from hashwarden.serve.agent.clock import ClockWatch
from hashwarden.serve.agent.clocks import Clocks
from hashwarden.serve.agent.config import LogSection, config_schema, load_config
from hashwarden.serve.agent.coverage import Coverage
from hashwarden.serve.agent.folder import StateFolder
from hashwarden.serve.agent.joining import JobSample, joined, split, watched_name
from hashwarden.serve.agent.notify import notify, watchdog_s
from hashwarden.serve.agent.window import RawWindow
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.journal import StorageError
from hashwarden.serve.policy.observation import Blindness
from hashwarden.serve.sources.source import Reading

A, B = Job("slurm:1", "slurm", "1", ("g",), account="a"), Job("slurm:2", "slurm", "2", ("g",), account="b")
POWER, LAUNCHES, FOREIGN = INDEX["power_watts"], INDEX["launches_per_s"], INDEX["foreign_process_count"]


def reading(values: dict[str, float], time_s: float = 10.0, gpu: str = "g", job: str = "") -> Reading:
    return Reading(gpu, 0, time_s, 1000 + time_s, values, job)


# Joining


def test_what_a_device_and_a_job_say_is_one_sample():
    readings = [reading({"power_watts": 100.0}), reading({"launches_per_s": 7.0}, 9.0, job=A.key)]
    [sample] = joined(readings, lambda _: (A,), 0.5)
    assert (sample.values[POWER], sample.values[LAUNCHES], sample.shared) == (100, 7, False)
    assert np.isnan(sample.values).sum() == len(CHANNELS) - 2
    assert (sample.time_s, sample.unix_s) == (10, 1010)


def test_on_a_shared_device_nobody_s_work_is_known_and_each_has_its_own_launches():
    readings = [reading({"power_watts": 100.0}), reading({"launches_per_s": 7.0}, job=A.key)]
    first, second = joined(readings, lambda _: (A, B), 0.5)
    assert first.shared
    assert second.shared
    assert (first.values[FOREIGN], second.values[FOREIGN]) == (1, 1)
    assert first.values[LAUNCHES] == 7
    assert math.isnan(second.values[LAUNCHES])


def test_processes_that_are_nobody_s_make_a_device_shared_too():
    [sample] = joined([reading({"foreign_process_count": 3.0})], lambda _: (A,), 0.5)
    assert sample.shared


def test_the_reading_of_an_earlier_tick_is_not_mixed_in():
    readings = [reading({"power_watts": 1.0}, 8.0), reading({"gpu_util_ratio": 0.5}, 10.0)]
    [sample] = joined(readings, lambda _: (A,), 0.5)
    assert math.isnan(sample.values[POWER])


def test_the_first_source_s_word_counts():
    readings = [reading({"power_watts": 1.0}), reading({"power_watts": 2.0, "gpu_util_ratio": 0.5})]
    [sample] = joined(readings, lambda _: (A,), 0.5)
    assert sample.values[POWER] == 1
    assert sample.values[INDEX["gpu_util_ratio"]] == 0.5


def test_code_of_which_too_little_is_known_says_nothing():
    def of(known: float) -> JobSample:
        parts = [
            reading({"power_watts": 1.0}),
            reading({"code_known_ratio": known, "code_mining_ratio": 0.0}, job=A.key),
        ]
        return joined(parts, lambda _: (A,), 0.5)[0]

    code = [INDEX["code_known_ratio"], INDEX["code_mining_ratio"]]
    assert not np.isnan(of(0.9).values[code]).any()
    assert not of(0.9).code_hidden
    assert np.isnan(of(0.2).values[code]).all()
    assert of(0.2).code_hidden
    assert of(0.2).values[POWER] == 1


def test_a_device_without_a_job_gives_no_sample():
    assert joined([reading({"power_watts": 1.0})], lambda _: (), 0.5) == []


@given(st.text(max_size=40), st.text(alphabet="0123456789abcdefGPUMIG-", max_size=40))
def test_names_of_what_is_watched_can_be_taken_apart(job, gpu):
    assert split(watched_name(job, gpu)) == (job, gpu)


# The raw window


def sample(job: Job, time_s: float, gpu: str = "g") -> JobSample:
    values = np.full(len(CHANNELS), np.nan, np.float32)
    values[POWER] = time_s
    return JobSample(job, gpu, time_s, 1000 + time_s, values, False)


def test_a_window_keeps_the_last_seconds():
    window = RawWindow(60, 1 << 20)
    for second in range(200):
        window.add(sample(A, float(second)))
    [run] = window.runs(A.key)
    assert run.values[:, POWER].tolist() == list(range(139, 200))
    assert run.times[0] == 0
    assert run.info.parameters["unix_s"] == 1139
    assert window.runs(B.key) == []


def test_memory_is_bounded_however_many_jobs_there_are():
    row = 4 * len(CHANNELS) + 250
    window = RawWindow(1e9, 100 * row)
    jobs = [Job(f"j{i}", "process", "") for i in range(20)]
    for second in range(50):
        for job in jobs:
            window.add(sample(job, float(second)))
    assert window.rows <= 100 + len(jobs)
    assert all(len(window.runs(job.key)[0]) >= 5 for job in jobs)
    for job in jobs[1:]:
        window.forget(job.key)
    for second in range(50, 200):
        window.add(sample(jobs[0], float(second)))
    assert window.rows == 100


# Clocks


def test_a_jump_of_the_wall_clock_is_distrusted_for_a_minute():
    watch = ClockWatch()
    assert watch.step(0, 1000)
    assert watch.step(1, 1001.4)  # slewed
    assert not watch.step(2, 900)
    assert watch.jumps == 1
    assert watch.last_jump_s == pytest.approx(-102.4 + 0.0, abs=0.5)
    assert not watch.step(61, 959)
    assert watch.step(62.5, 960.5)
    assert not watch.step(63, 5000)
    assert watch.jumps == 2


def test_a_drill_s_clocks_go_on_together_by_one_period_a_tick():
    now = [100.0]
    clocks = Clocks(60, lambda: now[0], lambda: 5000 + now[0])
    start = clocks.monotonic(), clocks.unix()
    now[0] += 1000  # the machine was busy
    assert (clocks.monotonic(), clocks.unix()) == start
    for _ in range(120):
        clocks.tick(1.0)
    assert clocks.monotonic() - start[0] == pytest.approx(120)
    assert clocks.unix() - start[1] == pytest.approx(120)
    assert clocks.patience_s(1.0) > 1
    plain = Clocks(1.0, lambda: now[0], lambda: 5000 + now[0])
    plain.tick(1.0)
    assert (plain.monotonic(), plain.unix(), plain.patience_s(1.0)) == (1100, 6100, 0.9)
    for rate in (0.5, 1001, float("nan")):
        with pytest.raises(UsageError):
            Clocks(rate)


# Blindness


def test_each_blindness_begins_and_ends_once():
    told = []
    blinds = Blinds(lambda blind, began: told.append((blind.kind.value, blind.subject, began)))
    for second in range(20):
        blinds.see(Blindness.SOURCE_DOWN, "nvml", "no driver", float(second), 0)
        blinds.settle(float(second))
    assert told == [("source-down", "nvml", True)]
    assert blinds.has(Blindness.SOURCE_DOWN, "nvml")
    blinds.settle(19 + HOLD_S)
    assert told[1:] == [("source-down", "nvml", False)]
    assert blinds.begun[Blindness.SOURCE_DOWN] == 1


def test_what_comes_and_goes_is_one_blindness():
    told = []
    blinds = Blinds(lambda *both: told.append(both))
    for second in range(0, 100, 5):
        blinds.see(Blindness.STALE, "j", "", float(second), 0)
        blinds.settle(float(second))
    assert len(told) == 1


def test_what_is_only_brief_is_not_told_if_so_wanted():
    told = []
    blinds = Blinds(lambda *both: told.append(both))
    for second in range(14):
        blinds.see(Blindness.STALE, "j", "", float(second), 0, after_s=15)
    blinds.settle(40.0)
    blinds.see(Blindness.STALE, "j", "", 41.0, 0, after_s=15)
    assert told == []
    for second in range(42, 60):
        blinds.see(Blindness.STALE, "j", "", float(second), 0, after_s=15)
    assert len(told) == 1
    blinds.forget("j")
    assert [began for _, began in told] == [True, False]


# Coverage


def test_gpu_time_is_counted_once_by_tenant_class_and_reason():
    coverage = Coverage(100.0)
    coverage.add(A, 10, "training", "")
    coverage.add(A, 5, "training", "stale")
    coverage.add(B, 7, "", "")
    body = coverage.close(200.0)
    assert body == {
        "from_unix_s": 100.0, "to_unix_s": 200.0,
        "watched": [{"tenant": "a", "user": "", "class": "training", "gpu_seconds": 10},
                    {"tenant": "b", "user": "", "class": "unknown", "gpu_seconds": 7}],
        "blind": [{"tenant": "a", "user": "", "reason": "stale", "gpu_seconds": 5}],
    }  # fmt: skip
    assert coverage.close(300.0) == {"from_unix_s": 200.0, "to_unix_s": 300.0, "watched": [], "blind": []}
    assert coverage.of(A.key) == {"training": 10, "unknown": 5}
    assert (coverage.total_of(A.key), coverage.blind_of(A.key)) == (15, 5)
    coverage.forget(A.key)
    assert coverage.of(A.key) == {}


def test_names_from_users_cannot_eat_the_memory():
    coverage = Coverage(0)
    for number in range(30_000):
        coverage.add(Job(f"j{number}", "process", "", user=f"u{number}"), 1, "training", "")
        coverage.forget(f"j{number}")
    body = coverage.close(1)
    assert len(body["watched"]) <= 10_001
    assert sum(row["gpu_seconds"] for row in body["watched"]) == 30_000


# Logs


def lines(section: LogSection, *calls: tuple[str, str, dict[str, object]]) -> list[str]:
    stream = io.StringIO()
    logs.set_up(section, stream)
    for level, message, fields in calls:
        logs.said(level, message, **fields)
    return stream.getvalue().splitlines()


def test_a_log_line_is_one_json_object_whatever_a_job_is_called():
    hostile = 'x"\n{"level":"info"}\x1b[2J' + "y" * 10_000
    [line] = lines(LogSection(), ("warning", "verdict", {"job": hostile, "gpu": 3}))
    found = json.loads(line)
    assert (found["level"], found["message"], found["gpu"]) == ("WARNING", "verdict", 3)
    assert len(line) < 3000
    assert line.isascii()
    assert "\x1b" not in found["job"]


def test_names_of_jobs_can_be_left_out():
    [line] = lines(LogSection(jobs=False), ("info", "verdict", {"job": "secret", "user": "jane", "state": "clear"}))
    assert json.loads(line)["state"] == "clear"
    assert "secret" not in line
    assert "jane" not in line


def test_text_for_people_and_levels():
    found = lines(LogSection(format="text", level="warning"), ("info", "no", {}), ("error", "yes", {"a": 1}))
    assert len(found) == 1
    assert found[0].endswith("error   yes a=1")


# systemd


def test_systemd_is_told(monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert notify("READY=1", "STATUS=x")
        assert listener.recv(100) == b"READY=1\nSTATUS=x"
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "no path")
    assert not notify("READY=1")
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert watchdog_s() == 15
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_s() == 0


# Configuration


def test_flags_win_over_the_environment_that_over_the_file_that_over_defaults(tmp_path, monkeypatch):
    path = tmp_path / "agent.toml"
    path.write_text('period_s = 2\nalpha = 0.01\n[log]\nlevel = "debug"\nformat = "text"\n')
    monkeypatch.setenv("HASHWARDEN_AGENT__LOG__LEVEL", "error")
    monkeypatch.setenv("HASHWARDEN_AGENT__SOURCES__NAMES", '["nvml", "launches"]')
    monkeypatch.setenv("HASHWARDEN_AGENT__PERIOD_S", "3")
    config = load_config(path, {"period_s": 4.0})
    assert (config.period_s, config.alpha, config.log.level, config.log.format) == (4, 0.01, "error", "text")
    assert config.sources.names == ("nvml", "launches")
    assert config.jitter == 0.1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("perod_s = 2", "Did you mean 'period_s'"),
        ("[log]\nlevle = 'x'", "'log.levle'"),
        ("[log]\nlevel = 'loud'", "log.level = 'loud'"),
        ("period_s = 0", "period_s"),
        ("period_s = [", "TOML"),
        ("\xff", "agent.toml"),
        ("x" * (2 << 20), "1 MiB"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path, text, words):
    path = tmp_path / "agent.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=words):
        load_config(path)


def test_a_file_that_was_named_must_be_there_and_the_environment_be_json(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path / "none.toml")
    monkeypatch.setenv("HASHWARDEN_AGENT__SOURCES__NAMES", "nvml")
    with pytest.raises(UsageError, match="JSON"):
        load_config()


def test_the_schema_knows_every_key():
    schema = config_schema()
    assert {"period_s", "sources", "http", "policy", "audit"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


# The state folder


def test_one_agent_a_folder(tmp_path):
    first = StateFolder(tmp_path / "state")
    with pytest.raises(UsageError, match="another agent"):
        StateFolder(tmp_path / "state")
    first.close()
    StateFolder(tmp_path / "state").close()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_who_may_not_write_to_the_folder_is_told_to_be_root(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("needs root to become nobody")
    (tmp_path / "roots").mkdir(mode=0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(StorageError, match="Run it as root, or change state_dir"):
            StateFolder(tmp_path / "roots" / "state")
    finally:
        os.seteuid(0)


def test_evidence_is_kept_for_the_same_model_only(tmp_path):
    folder = StateFolder(tmp_path / "state")
    folder.keep_evidence("m1", {"a@g": {"x": 1}}, 5.0)
    assert folder.evidence("m1") == {"a@g": {"x": 1}}
    assert folder.evidence("m2") == {}
    for text in ("", "{", "[]", '{"model": "m1", "jobs": 3}', '{"jobs": {}}'):
        (tmp_path / "state" / "evidence.json").write_text(text)
        assert folder.evidence("m1") == {}
    folder.close()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("needs root to give a folder away")
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 65534, 65534)
    with pytest.raises(UsageError, match="65534"):
        StateFolder(tmp_path / "state")
