"""Traces that are made beside a fit are those that would be made after it; a failure is told, not hidden."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import pytest

from hashwarden.training.job import material
from hashwarden.training.job.beside import made_beside
from hashwarden.training.job.material import calibration_plan, kept, to_make


@pytest.fixture
def plan():
    standard = calibration_plan(100)
    return replace(standard, items_given=tuple(replace(item, seconds=30.0, period_s=1.0) for item in standard.items()))


def test_the_trace_that_is_made_beside_is_the_one_that_is_needed(plan, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(material, "processors", lambda: 2)
    assert to_make(plan, tmp_path)
    with caplog.at_level(logging.WARNING), made_beside([plan], tmp_path):
        pass
    assert not caplog.records
    assert not to_make(plan, tmp_path)
    told = []
    made = kept(plan, tmp_path, told.append)
    assert not told  # it was there
    again = kept(plan, tmp_path / "after", lambda _: None, 1)
    assert made.read_bytes() == again.read_bytes()


def test_what_fails_beside_is_told_and_left_to_be_made_after(plan, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(material, "processors", lambda: 2)
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING), made_beside([plan], tmp_path / "file"):
        pass
    assert "not made beside the fit" in caplog.text


def test_a_fit_that_fails_does_not_wait(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(material, "processors", lambda: 2)
    longer = replace(plan, items_given=tuple(replace(item, seconds=7200.0, period_s=0.1) for item in plan.items()))
    with pytest.raises(ZeroDivisionError), made_beside([longer], tmp_path):
        _fail_once(lambda: list(tmp_path.iterdir()))
    assert not list(tmp_path.iterdir())  # nor half a trace


def _fail_once(there):
    until = time.monotonic() + 60
    while not there() and time.monotonic() < until:
        time.sleep(0.05)
    assert there()
    raise ZeroDivisionError


def test_nothing_is_begun_on_one_processor(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(material, "processors", lambda: 1)
    with made_beside([plan], tmp_path):
        pass
    assert not list(tmp_path.iterdir())
