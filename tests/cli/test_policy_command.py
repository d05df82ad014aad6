"""hashwarden policy, cases, approve and reject: the program, a real socket with the agent's own HTTP behind it."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from hashwarden.cli.app import app
from hashwarden.errors import DataError, PrivilegeError, UsageError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.job.verdict import EvidenceRecord, JobVerdict
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_read import read_runs
from hashwarden.model.trace_write import write_runs
from hashwarden.serve.agent.api import Api, name_of
from hashwarden.serve.agent.web import Server
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.cases import MOST_RECENT, CaseStore
from hashwarden.serve.policy.engine import Engine
from hashwarden.serve.policy.load import read_policy
from hashwarden.serve.policy.observation import Observation
from hashwarden.serve.policy.schema import policy_schema

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "data" / "job" / "demo.parquet"
RUNNER = CliRunner()

SHORT = """
mode = "enforce"
[ladder]
sampling_period_minutes = 0.5
first_warning_minutes = 1
second_warning_minutes = 3
cancel_minutes = 5
action = "cancel"
act_beyond_calibration = true
[[rules]]
name = "mining"
"""


def _call(*words):
    done = RUNNER.invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(SHORT)
    return path


def test_check_says_what_a_policy_means_and_remarks_what_is_odd(policy, tmp_path):
    done = _call("policy", "check", policy)
    assert done.exit_code == 0
    assert "enforce; 1 rules, 0 quotas, 0 exemptions; acting: mining" in done.output
    assert done.output.count("remark: ") == 1
    assert "plain processes have nobody to warn" in done.output
    policy.write_text(SHORT.replace('name = "mining"', 'name = "mining"\nkinds = ["slurm"]'))
    assert "remark" not in _call("policy", "check", policy).output
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    assert _call("policy", "check", empty).exit_code == 0
    assert _call("policy", "check", empty, "--strict").exit_code == 1
    empty.write_text("mod = 1")
    with pytest.raises(UsageError, match="Did you mean 'mode'"):
        _call("policy", "check", empty)


def test_the_schema_is_printed():
    assert json.loads(_call("policy", "schema").output) == policy_schema()


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """The runs that are shown to people, by the model that ships, with a person who approves."""
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text(SHORT)
    return json.loads(_call("policy", "test", path, DEMO, "--approve", "--format", "json", "--strict").output)


def test_a_rehearsal_says_what_would_have_been_done_to_whom(rehearsed):
    assert rehearsed["exit_code"] == 0
    ended = {run["run"]: run["ended_s"] is not None for run in rehearsed["runs"]}
    labels = {run["run"]: run["label"] == "mining" for run in rehearsed["runs"]}
    assert ended == labels
    for run in rehearsed["runs"]:
        kinds = [one["kind"] for one in run["decisions"] if one["change"] == "asked"]
        assert kinds == (["warn", "warn", "cancel"] if run["label"] == "mining" else [])
        assert all(one["reasons"] for one in run["decisions"] if one["change"] in {"opened", "asked", "standing"})
        assert run["spared_s"] == pytest.approx(run["end_s"] - run["ended_s"] if run["ended_s"] else 0.0, abs=0.01)


def test_a_rehearsal_knows_who_comes_again(tmp_path):
    """One mining run, and the same again by the same user once the first was over."""
    run = next(run for run in read_runs(DEMO) if run.label == "mining")
    trace, path = tmp_path / "twice.parquet", tmp_path / "policy.toml"
    later = Run("later", run.times + run.times[-1] + 300.0, run.values, run.label, run.family, run.strategy, run.info)
    write_runs(trace, [run, later])
    asked = {}
    for name, text in (
        ("whole", SHORT),
        ("repeat", SHORT.replace("[[rules]]", "repeat_cancel_minutes = 1\n[[rules]]")),
    ):
        path.write_text(text)
        words = ("policy", "test", path, trace, "--approve", "--user", "eve", "--format", "json")
        runs = json.loads(_call(*words).output)["runs"]
        asked[name] = [[one["kind"] for one in run["decisions"] if one["change"] == "asked"] for run in runs]
        assert any("a job of this user was ended in" in one["words"] for one in runs[1]["decisions"])
    assert asked == {
        "whole": [["warn", "warn", "cancel"]] * 2,
        "repeat": [["warn", "warn", "cancel"], ["warn", "cancel"]],
    }


def test_a_rehearsal_warns_in_time(rehearsed):
    for run in rehearsed["runs"]:
        times = [one["time_s"] for one in run["decisions"] if one["change"] == "asked"]
        assert all(times[n + 1] - times[n] >= 120 for n in range(len(times) - 1))


def _trace(path, parameters, samples=30):
    values = np.full((samples, len(CHANNELS)), np.nan, np.float32)
    values[:, INDEX["gpu_util_ratio"]] = 0.5
    info = RunInfo(origin="synthesised", gpu="H100", period_s=30.0, labelled_by="construction", parameters=parameters)
    write_runs(path, [Run("one", np.arange(samples) * 30.0, values, "training", info=info)])
    return path


def test_attributes_come_from_the_run_then_from_flags(policy, tmp_path):
    policy.write_text(
        '[agents]\nusers = ["bot"]\n[[quotas]]\nname = "q"\nagents = true\nclasses = ["any"]\ngpu_hours = 0\n'
    )
    own = _trace(tmp_path / "own.parquet", {"job": {"user": "bot", "kind": "process"}})
    plain = _trace(tmp_path / "plain.parquet", {})
    table = _call("policy", "test", policy, own, plain).output
    assert "2 runs: 1 would have been warned about" in table
    found = json.loads(_call("policy", "test", policy, own, plain, "--user", "eve", "--format", "json").output)
    assert [(run["user"], run["job"].partition(":")[0]) for run in found["runs"]] == [
        ("bot", "process"),
        ("eve", "slurm"),
    ]


def test_a_speed_at_which_nobody_would_look_is_refused(policy, tmp_path):
    with pytest.raises(UsageError, match="samples 30 s apart at speed 10"):
        _call("policy", "test", policy, _trace(tmp_path / "t.parquet", {}), "--speed", 10)


@pytest.mark.parametrize("flags", [("--alpha", 0), ("--speed", 0), ("--kind", "pbs"), ("--at", "soon")])
def test_flags_that_cannot_be_meant(policy, flags):
    with pytest.raises(UsageError):
        _call("policy", "test", policy, DEMO, *flags)


class _Nowhere:
    def append(self, kind, body, *, sync=True):
        return 0


@pytest.fixture
def agent(tmp_path):
    """A case that waits for approval, behind the agent's own HTTP on a real Unix socket."""
    policy = read_policy(SHORT.encode())
    engine = Engine(policy, CaseStore(tmp_path / "cases"), _Nowhere(), {"model": "ab"})
    job = Job("slurm:7", "slurm", "7", user="eve\x1b[2J", uid=4242)
    evidence = EvidenceRecord(
        evidence={}, thresholds={}, strength=1, blocks=1, watched_s=1, blind_s=0, confirmed_s=1,
        beyond_calibration=False, attainable=True,
    )  # fmt: skip
    for minute in range(12):
        now = 60.0 * minute
        verdict = JobVerdict(
            job="x", time_s=now, state="confirmed", abstains_for="", probabilities={"mining": 1.0}, family="ethash",
            family_probability=1, evidence=evidence, alpha=1e-3, reasons=("integer work",), deciding=(), tier="gpm",
            novelty=1, model={"sha256": "ab"},
        )  # fmt: skip
        for action in engine.step([Observation(job, now, now, {"g": verdict})], now, now).actions:
            engine.report(_done(action), now)

    class View:
        status = jobs = alive = ready = metrics = dict

        def cases(self):
            return [case.model_dump(mode="json") for case in engine.cases]

        def case(self, id_):
            case = engine.cases.get(id_)
            return None if case is None else case.model_dump(mode="json")

        def decide(self, case, word, by, reason):
            done = engine.approve if word == "approve" else engine.reject
            return done(case, by, reason, 700.0).model_dump(mode="json")

    path = tmp_path / "agent.sock"
    server = Server(path, Api(View(), ()))
    yield SimpleNamespace(path=path, engine=engine, case=next(iter(engine.cases)), folder=tmp_path / "cases")
    server.close()


def _done(action):
    from hashwarden.serve.schedulers.scheduler import Outcome, Result

    return Outcome(action.id, Result.DONE)


def test_cases_are_listed_and_approved_by_whom_the_kernel_names(agent):
    listed = _call("cases", "--socket", agent.path).output
    assert agent.case.id in listed
    assert "approval of cancel" in listed
    assert "\x1b" not in listed
    shown = _call("cases", agent.case.id.lower(), "--socket", agent.path).output
    assert "because: integer work" in shown
    done = _call("approve", agent.case.id, "--reason", "no project of ours", "--socket", agent.path)
    me = name_of(os.geteuid())
    assert f"approved by {me} until" in done.output
    assert agent.engine.cases.get(agent.case.id).approval.by == pwd.getpwuid(os.geteuid()).pw_name


def test_a_rejected_case_is_no_longer_listed(agent):
    _call("reject", agent.case.id, "--reason", "password audit", "--socket", agent.path)
    assert _call("cases", "--socket", agent.path).output == "no cases\n"
    assert "closed: rejected" in _call("cases", "--all", "--socket", agent.path).output
    with pytest.raises(UsageError, match="is closed"):
        _call("approve", agent.case.id, "--reason", "because", "--socket", agent.path)


def test_a_case_that_is_listed_no_more_is_shown_by_its_id(agent):
    _call("reject", agent.case.id, "--reason", "password audit", "--socket", agent.path)
    store = agent.engine.cases
    for number in range(MOST_RECENT):
        store.save(agent.case.having(id=f"HW-{number:07d}", closed_unix_s=1e9 + number, closed_for="clear"))
    assert agent.case.id not in _call("cases", "--all", "--socket", agent.path).output
    assert "closed: rejected" in _call("cases", agent.case.id.lower(), "--socket", agent.path).output
    shown = json.loads(_call("cases", agent.case.id, "--socket", agent.path, "--json").output)
    assert [case["closed_for"] for case in shown["cases"]] == ["rejected"]
    assert "closed: rejected" in _call("cases", agent.case.id, "--folder", agent.folder).output
    for where in (("--socket", agent.path), ("--folder", agent.folder)):
        with pytest.raises(UsageError, match="HW-9999999"):
            _call("cases", "HW-9999999", *where)


def test_cases_are_read_from_the_folder_of_an_agent_that_is_not_there(agent):
    found = json.loads(_call("cases", "--folder", agent.folder, "--json").output)
    assert [case["id"] for case in found["cases"]] == [agent.case.id]
    with pytest.raises(UsageError, match="no such folder"):
        _call("cases", "--folder", agent.folder / "none")


def test_an_agent_that_is_not_there_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HASHWARDEN_SOCKET", str(tmp_path / "none.sock"))
    with pytest.raises(UsageError, match="no agent answers"):
        _call("approve", "HW-2345678", "--reason", "because")
    with pytest.raises(UsageError, match="an id such as"):
        _call("approve", "../../x", "--reason", "because")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 24\r\n\r\n" + b'{"error": "eve may not"}', PrivilegeError),
        (b"HTTP/1.1 503 Away\r\nContent-Length: 21\r\n\r\n" + b'{"error": "disk\\u001b"}', DataError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", DataError),
        (b"SSH-2.0-OpenSSH_9.2\r\n", DataError),
        (b"", DataError),
    ],
)
def test_what_answers_and_is_no_agent_or_refuses_is_told(tmp_path, answer, error):
    import socket
    import threading

    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve():
            with server.accept()[0] as client:
                client.recv(1 << 16)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(error) as caught:
            _call("cases", "--socket", path)
        thread.join()
    assert "\x1b" not in str(caught.value)


def test_files_that_are_no_cases_are_told_of(tmp_path):
    (tmp_path / "HW-AAAAAAA.json").write_text("[" * 100_000)
    done = _call("cases", "--folder", tmp_path)
    assert "1 files are no cases: HW-AAAAAAA.json" in done.output
