"""The header: what is dead, hangs or is blind is told loudly, and what is old is nowhere shown as if it were so now."""

from __future__ import annotations

from typing import Any

import pytest

from hashwarden.errors import DataError
from hashwarden.serve.agent_client import Peer
from hashwarden.serve.top.feed import Feed, Node
from hashwarden.serve.top.health import STALE_S, Level, health_of, is_stale, title_of
from hashwarden.serve.top.plain import plain_lines
from hashwarden.serve.top.words import Look

LOOK = Look()
GOOD: dict[str, Any] = {
    "node": "n7", "ready": {"ready": True, "blind": []}, "blind": [], "gpus": 2, "jobs": 1, "cases": 0,
    "sources": [{"name": "nvml", "ok": True}], "model": {"name": "job", "version": "1"}, "policy": {"mode": "enforce"},
}  # fmt: skip
JOBS = [{"job": "slurm:1", "blind": [], "verdicts": {"g": {"state": "clear", "strength": 0.0}}}]


def node(jobs: Any = None, **changes: Any) -> Node:
    pages = {"status": {**GOOD, **changes}, "jobs": {"jobs": JOBS if jobs is None else jobs}}
    return Node(Peer(url="http://n7"), pages, read_s=0.0)


def test_one_that_is_well_says_so_and_how_old_that_is():
    assert health_of(node(), 1.0, LOOK).level is Level.CALM
    assert title_of(node(), 3.0, LOOK) == "n7  model job 1  policy enforce  2 GPUs, 1 job, 0 cases  3 s old"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ready": {"ready": False, "blind": [{"kind": "source-down", "subject": "nvml", "detail": "no driver"}]}},
         "BLIND: source-down: nvml (no driver)"),
        ({"ready": {}}, "BLIND"),
        ({"ready": {"ready": "true"}}, "BLIND"),
        ({"gpus": 0}, "NO GPU IS SEEN"),
        ({"gpus": None}, "NO GPU IS SEEN"),
        ({"jobs": [{**JOBS[0], "blind": ["stale"]}], "blind": [{"kind": "stale", "subject": "slurm:1"}]},
         "BLIND: no job can be seen; stale: slurm:1"),
    ],
)  # fmt: skip
def test_blindness_of_the_whole_is_an_alarm(changes, words):
    jobs = changes.pop("jobs", None)
    found = health_of(node(jobs, **changes), 1.0, LOOK)
    assert found.level is Level.ALARM
    assert words in found.words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blind": [{"kind": "stale", "subject": f"slurm:{n}"} for n in range(9)]}, "stale: slurm:0 and 8 more"),
        ({"sources": [{"name": "nvml", "ok": True}, {"name": "dcgm", "ok": False}]}, "sources fail: dcgm"),
        ({"actions_waiting": [{"id": "1", "kind": "cancel", "why": "slurm is away"}]}, "slurm is away"),
        ({"model_outdated": "another is installed"}, "the model is outdated: another is installed"),
        ({"damaged": ["x"]}, "1 damaged files"),
        ({"gpus": 0, "sources": [{"name": "pushed", "ok": True}]}, "nobody pushes samples"),
    ],
)
def test_what_is_wrong_beside_is_a_warning(changes, words):
    found = health_of(node(**changes), 1.0, LOOK)
    assert found.level is Level.WARNING
    assert words in found.words


def test_what_does_not_answer_hangs_or_is_old_is_an_alarm_and_nothing_of_it_is_clear():
    dead = Node(Peer(url="http://n7"), node().pages, read_s=0.0, error=DataError("gone", "an answer", "Start it."))
    hangs = Node(Peer(url="http://n7"), node().pages, read_s=0.0, hangs=True)
    for one, now_s, words in ((dead, 7.0, "NO ANSWER for 7 s"), (hangs, 1.0, "HANGS"), (node(), STALE_S + 1, "OLD")):
        found = health_of(one, now_s, LOOK)
        assert found.level is Level.ALARM
        assert words in found.words
        assert is_stale(one, now_s)
        text = "\n".join(line.plain for line in plain_lines([one], now_s, 120, LOOK))
        assert "was clear" in text
        assert "○ clear" not in text


def test_of_several_the_worst_come_first_and_none_is_hidden_in_silence():
    dead = [Node(Peer(url=f"http://d{n}"), error=DataError("gone", "an answer", "Start it.")) for n in range(6)]
    lines = [line.plain for line in plain_lines([node(), *dead], 1.0, 100, LOOK)]
    assert sum("NO ANSWER at all" in line for line in lines) == 6
    assert "NO ANSWER" in lines[0]


def test_one_of_two_that_is_away_does_not_hide_the_other(liar):
    url = liar({"/v1/status": GOOD, "/v1/jobs": {"jobs": JOBS}, "/v1/cases": {"cases": []}})
    feed = Feed([Peer(url="http://127.0.0.1:1"), Peer(url=url)])
    away, there = feed.read()
    assert away.error is not None
    assert (there.error, there.name) == (None, "n7")
    assert there.pages["gpus"] == {}  # an older agent has no such page
