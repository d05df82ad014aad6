"""The course of the evidence in few points: bounded, first and last always there, no point made up."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest

from hashwarden.model.sequential_state import State
from hashwarden.serve.agent import history as history_module
from hashwarden.serve.agent.ended import KEPT_S, MOST, Ended
from hashwarden.serve.agent.history import POINTS, History


def watched(
    strength: float, state: State = State.CLEAR, gpu: str = "G", job: str = "j", mining: float | None = 0.5
) -> Any:
    verdict = SimpleNamespace(likeliest="training", probabilities={"mining": mining} if mining is not None else {})
    return SimpleNamespace(
        job=SimpleNamespace(key=job), gpu=gpu, evidence=SimpleNamespace(state=state, strength=strength), verdict=verdict
    )


def test_a_long_job_has_as_many_points_as_a_short_one_and_keeps_its_ends():
    history, seconds = History(), 20_000
    for second in range(seconds):
        history.step([watched(second / seconds)], 1e9 + second)
    page = history.of("j", ["G"])["G"]
    times = page["unix_s"]
    assert POINTS // 2 <= len(times) <= POINTS
    assert times[0] == 1e9
    assert times == sorted(times)
    assert times[-1] >= 1e9 + seconds - 1 - 2 * seconds / (POINTS / 2)
    for at, strength in zip(times, page["strength"], strict=True):
        assert strength == pytest.approx((at - 1e9) / seconds, abs=1e-3)
    assert {len(values) for values in page.values()} == {len(times)}
    trend = history.trend("j", "G")
    assert 20 <= len(trend) <= 40
    assert trend[-1] == pytest.approx(page["strength"][-1], abs=1e-3)
    assert trend == sorted(trend)


def test_a_change_of_state_is_a_point_of_its_own_however_soon_it_comes():
    history = History()
    for at, state in enumerate((State.CLEAR, State.WATCHING, State.SUSPECT, State.CONFIRMED)):
        history.step([watched(0.3 * at, state)], 100 + 0.1 * at)
    assert history.of("j", ["G"])["G"]["state"] == ["clear", "watching", "suspect", "confirmed"]
    history.step([watched(0.95, State.CONFIRMED)], 100.5)
    assert len(history.trend("j", "G")) == 4


def test_what_is_not_known_is_null_and_all_of_it_is_json():
    history = History()
    history.step([watched(0.0, State.ABSTAIN, mining=None)], 5.0)
    page = history.of("j", ["G", "never"])
    assert set(page) == {"G"}
    assert page["G"]["mining"] == [None]
    json.dumps(page, allow_nan=False)


def test_what_is_watched_no_more_is_forgotten_and_there_is_a_bound(monkeypatch):
    monkeypatch.setattr(history_module, "MOST_PARTS", 3)
    history = History()
    history.step([watched(0.1, gpu=str(n)) for n in range(5)], 1.0)
    assert len(history.of("j", map(str, range(5)))) == 3
    history.step([watched(0.1, gpu="4")], 2.0)  # the others went, and this one has room now
    assert history.of("j", map(str, range(4))) == {}
    history.step([watched(0.1, gpu="4")], 5.0)
    assert list(history.of("j", map(str, range(5)))) == ["4"]


def test_ended_jobs_are_kept_for_a_day_in_order_and_within_a_bound():
    ended = Ended()
    for n in range(MOST + 20):
        page = {"job": f"j{n}", "gpus": [f"G{n % 2}"], "user": "ü" if n % 3 else "root", "verdicts": {"M": {}},
                "history": {}, "verdicts_full": {}, "cases": []}  # fmt: skip
        ended.put(page, 1000.0 + n)
    rows = ended.rows()
    assert [row["job"] for row in rows] == [f"j{n}" for n in range(20, MOST + 20)]
    assert "history" not in rows[0]
    assert {row["ended_unix_s"] for row in ended.rows(gpu="G0")} == {1000.0 + n for n in range(20, MOST + 20, 2)}
    assert len(ended.rows(gpu="M")) == MOST
    assert {row["user"] for row in ended.rows(gpu="G1", user="root")} == {"root"}
    assert ended.get("j0") is None
    assert ended.get("j30")["history"] == {}
    ended.back("j30")
    assert ended.get("j30") is None
    ended.put({**page, "job": "late"}, 1000.0 + KEPT_S + MOST)
    assert [row["job"] for row in ended.rows()] == [f"j{n}" for n in range(MOST, MOST + 20)] + ["late"]
    assert not dataclasses.is_dataclass(rows[0])
