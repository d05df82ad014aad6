"""Observations whose outcome tests can foretell, an audit log in memory that can be told to refuse, a policy."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from hashwarden.model.job.verdict import EvidenceRecord, JobVerdict
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.journal import StorageError
from hashwarden.serve.policy.cases import CaseStore
from hashwarden.serve.policy.engine import Engine
from hashwarden.serve.policy.load import read_policy
from hashwarden.serve.policy.observation import Observation
from hashwarden.serve.schedulers.scheduler import Outcome, Result

MODEL = "ab" * 32
START = 1_800_000_000.0

LADDER = {
    "sampling_period_minutes": 1, "first_warning_minutes": 2, "second_warning_minutes": 4, "cancel_minutes": 6,
    "action": "cancel", "require_approval": [],
}  # fmt: skip


def enforcing(**ladder):
    """The policy of most tests, with other settings of its ladder."""
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in (LADDER | ladder).items())
    head = 'mode = "enforce"\nclear_minutes = 10\ncontact = "help@example.org"\n'
    return f'{head}[ladder]\n{settings}[[rules]]\nname = "mining"\n'


ENFORCE = enforcing()


def make_job(key="slurm:7", **fields):
    return Job(**{"key": key, "kind": "slurm", "id": key.partition(":")[2], "gpus": ("GPU-0",), "user": "alice",
                  "uid": 1000, "account": "physics", "partition": "gpu", "allotted": True,
                  "namespace": "ml" if fields.get("kind") == "kubernetes" else ""} | fields)  # fmt: skip


def make_verdict(state="confirmed", time_s=0.0, **fields):
    evidence = {
        "evidence": {}, "thresholds": {}, "strength": 1.0, "blocks": 9, "watched_s": 90.0, "blind_s": 0.0,
        "confirmed_s": 80.0, "beyond_calibration": False, "attainable": True,
    }  # fmt: skip
    evidence |= fields.pop("evidence", {})
    likely = fields.pop("likeliest", "mining" if state in {"suspect", "confirmed"} else "training")
    return JobVerdict(**{
        "job": "x", "time_s": time_s, "state": state, "abstains_for": "", "probabilities": {likely: 0.97},
        "family": "ethash" if likely == "mining" else "", "family_probability": 0.9,
        "evidence": EvidenceRecord(**evidence), "alpha": 1e-3, "reasons": ("integer work",), "deciding": (),
        "tier": "gpm", "novelty": 1.0, "model": {"sha256": MODEL},
    } | fields)  # fmt: skip


class Audit:
    """Takes events in memory, or refuses."""

    def __init__(self):
        self.events, self.full = [], False

    def append(self, kind, body, *, sync=True):
        if self.full:
            raise StorageError("no room", "room", "Make room.")
        self.events.append((kind, dict(body)))
        return len(self.events) - 1

    def changes(self):
        return [body["change"] for kind, body in self.events if kind == "case"]


class World:
    """An engine on a clock of its own, with a scheduler that answers what it is told to."""

    def __init__(self, folder, text=ENFORCE):
        self.folder, self.policy = folder, read_policy(text.encode())
        self.audit, self.answer = Audit(), Result.DONE
        self.now_s, self.actions, self.alerts, self.outcomes, self.decisions = 1000.0, [], [], [], []
        self.refused_kinds = frozenset()
        self.restart()

    def restart(self):
        """As after kill -9: all that is left is in the folder."""
        self.engine = Engine(self.policy, CaseStore(self.folder), self.audit, {"model": MODEL})

    @property
    def unix_s(self):
        return START + self.now_s

    def see(self, state="confirmed", job=None, **fields):
        job = job or make_job()
        keep = {name: fields.pop(name) for name in ("blind", "shared", "code_mining", "gpu_seconds") if name in fields}
        verdict = make_verdict(state, fields.pop("time_s", self.now_s), **fields)
        return Observation(job, self.now_s, self.unix_s, {"GPU-0": verdict}, **keep)

    def step(self, *seen, wait_s=60.0):
        self.now_s += wait_s
        seen = [make() if callable(make) else make for make in seen]
        found = self.engine.step(seen, self.now_s, self.unix_s)
        self.actions += [(self.now_s, action) for action in found.actions]
        self.alerts += found.alerts
        self.outcomes += found.outcomes
        self.decisions += found.decisions
        for action in found.actions:
            if self.answer is not None:
                result = Result.REFUSED if action.kind in self.refused_kinds else self.answer
                self.engine.report(Outcome(action.id, result, "as told"), self.unix_s)
        return found

    def run(self, minutes, *seen, wait_s=60.0):
        for _ in range(round(minutes * 60 / wait_s)):
            self.step(*seen, wait_s=wait_s)

    def asked(self):
        return [str(action.kind) for _, action in self.actions]

    def case(self, job="slurm:7", origin="evidence"):
        cases = [case for case in self.engine.cases.of(job) if case.origin == origin]
        return cases[-1] if cases else None


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "cases")


@pytest.fixture
def make_world(tmp_path):
    def make(text=ENFORCE, name="cases"):
        return World(tmp_path / name, text)

    return make


@pytest.fixture
def tools():
    return SimpleNamespace(
        job=make_job, verdict=make_verdict, model=MODEL, enforce=ENFORCE, enforcing=enforcing, start=START, world=World
    )
