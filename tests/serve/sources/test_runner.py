"""The runner: a source that fails, hangs or has nothing to say never stops the others."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hashwarden.errors import NoDeviceError, UsageError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.serve.inbox.inbox import Inbox
from hashwarden.serve.sources import registry
from hashwarden.serve.sources.health import Backoff
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Device, NoData, Options, Reading, SourceLost, vector

SOON = 2.0


class Played:
    """Does what it is told, one thing a reading: a value, an error, or to wait for an event."""

    def __init__(self, gpu="GPU-1", acts=(), opening=()):
        self.gpu, self.acts, self.opening = gpu, list(acts), list(opening)
        self.opened = self.closed = 0

    def open(self):
        self.opened += 1
        if self.opening and (error := self.opening.pop(0)) is not None:
            raise error
        return [Device(self.gpu, 0)]

    def read(self):
        act = self.acts.pop(0) if self.acts else 1.0
        if isinstance(act, BaseException):
            raise act
        if isinstance(act, threading.Event):
            act.wait(30)
            act = -1.0
        return [Reading(self.gpu, 0, time.monotonic(), time.time(), {"power_watts": act})]

    def close(self):
        self.closed += 1


@pytest.fixture
def run():
    made = []

    def make(hang_s=0.05, **sources):
        runner = Runner({n: (lambda s=s: s) for n, s in sources.items()}, hang_s=hang_s, backoff=lambda: Backoff(0, 0))
        made.append(runner)
        runner.open(SOON)
        return runner

    yield make
    for runner in made:
        runner.close()


def watts(readings):
    return [(reading.gpu, reading.values["power_watts"]) for reading in readings]


def test_readings_come_in_the_order_of_the_sources(run):
    runner = run(a=Played("GPU-1", [1.0]), b=Played("GPU-2", [2.0]))
    assert watts(runner.read(SOON)) == [("GPU-1", 1.0), ("GPU-2", 2.0)]
    assert [device.gpu for device in runner.devices] == ["GPU-1", "GPU-2"]


@pytest.mark.parametrize("order", [("bare", "known"), ("known", "bare")])
def test_what_one_source_leaves_open_of_a_device_is_as_another_says(run, order):
    sources = {"bare": Played("GPU-1"), "known": Played("GPU-1")}
    known = Device("GPU-1", 0, "H100", 90, "560.35", "12.6", alias="GPU-0/7")
    sources["known"].open = lambda: [known]
    runner = run(**{name: sources[name] for name in order})
    assert runner.devices == (known,)


def test_one_that_fails_costs_the_others_nothing_and_is_counted(run):
    bad = Played("GPU-1", [ValueError("broken"), 3.0])
    runner = run(bad=bad, good=Played("GPU-2"))
    assert watts(runner.read(SOON)) == [("GPU-2", 1.0)]
    health = runner.health["bad"]
    assert (health.success, health.failures, health.error) == (False, 1, "ValueError: broken")
    assert isinstance(runner.errors["bad"], ValueError)
    assert watts(runner.read(SOON)) == [("GPU-1", 3.0), ("GPU-2", 1.0)]
    assert (health.success, health.reads, runner.errors) == (True, 2, {})
    assert bad.opened == 1, "a failure alone is no reason to open it anew"


def test_nothing_to_say_is_no_failure(run):
    runner = run(quiet=Played(acts=[NoData("later")]))
    assert runner.read(SOON) == []
    health = runner.health["quiet"]
    assert (health.success, health.empty, health.failures) == (True, 1, 0)
    assert health.busy_s >= health.duration_s > 0


def test_what_is_lost_is_closed_and_opened_anew(run):
    source = Played(acts=[SourceLost("driver gone"), 5.0])
    runner = run(s=source)
    assert runner.read(SOON) == []
    assert source.closed == 1
    assert watts(runner.read(SOON)) == [("GPU-1", 5.0)]
    assert (source.opened, runner.health["s"].opens) == (2, 2)


def test_one_that_cannot_be_opened_is_tried_again(run):
    source = Played(opening=[NoDeviceError("none", "one", "Buy one.")])
    runner = run(s=source)
    assert runner.devices == ()
    assert isinstance(runner.errors["s"], NoDeviceError)
    assert watts(runner.read(SOON)) == [("GPU-1", 1.0)]
    assert (source.opened, source.closed) == (2, 1)


def test_a_source_that_hangs_is_an_alert_once_and_its_late_word_is_thrown_away(run):
    free = threading.Event()
    runner = run(hung=Played("GPU-1", [free, 7.0]), good=Played("GPU-2"))
    for _ in range(4):
        assert watts(runner.read(0.03)) == [("GPU-2", 1.0)]
    health = runner.health["hung"]
    assert (health.hangs, health.hanging, health.success) == (1, True, False)
    assert "hangs" in health.error
    free.set()
    deadline, found = time.monotonic() + SOON, []
    while ("GPU-1", 7.0) not in found and time.monotonic() < deadline:
        found += watts(runner.read(0.02))
    assert ("GPU-1", 7.0) in found
    assert ("GPU-1", -1.0) not in found
    assert (health.hangs, health.hanging) == (1, False)


def test_one_that_is_merely_late_is_heard_at_the_next_tick(run):
    late = threading.Event()
    runner = run(hang_s=30.0, late=Played(acts=[late]))
    assert runner.read(0.01) == []
    late.set()
    deadline, found = time.monotonic() + SOON, []
    while not found and time.monotonic() < deadline:
        found = watts(runner.read(0.02))
    assert found[0] == ("GPU-1", -1.0)
    assert runner.health["late"].hangs == 0


def test_closing_closes_the_sources_and_does_not_wait_for_a_hung_one():
    free, good = threading.Event(), Played("GPU-2")
    runner = Runner({"hung": lambda: Played(acts=[free]), "good": lambda: good}, hang_s=0.01)
    runner.open(SOON)
    runner.read(0.02)
    runner.close()
    assert good.closed == 1
    free.set()


def test_the_wait_between_two_tries_grows_to_a_minute():
    backoff, now, waits = Backoff(), 0.0, []
    for _ in range(9):
        assert backoff.ready(now)
        backoff.failed(now)
        start = now
        while not backoff.ready(now):
            now += 1
        waits.append(now - start)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    backoff.succeeded()
    backoff.failed(now)
    assert backoff.ready(now + 1)


def test_every_registered_source_has_its_file_and_one_is_on():
    for source in registry.SOURCES:
        made = source.make(Options(trace=Path("t.parquet"), inbox=Inbox()))
        assert all(hasattr(made, name) for name in ("open", "read", "close"))
    assert [source.name for source in registry.SOURCES if source.default] == ["nvml"]
    assert set(registry.makers((), Options())) == {"nvml"}
    assert list(registry.makers(("replay", "nvml"), Options())) == ["nvml", "replay"], "in the registry's order"
    with pytest.raises(UsageError, match="no source is called 'nvm'"):
        registry.makers(("nvm",), Options())


def test_a_vector_is_in_the_tables_order_and_missing_is_nan():
    found = vector({"sm_active_ratio": 0.5, "power_watts": 1e300})
    assert found.shape == (len(CHANNELS),)
    assert found[INDEX["sm_active_ratio"]] == 0.5
    assert found[INDEX["power_watts"]] == float("inf")
    assert (~np.isnan(found)).sum() == 2
