"""The source ``replay``: a trace as if it were live."""

from __future__ import annotations

import numpy as np
import pytest

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.trace import Run, RunInfo
from hashwarden.serve.sources.replay import ReplaySource, make
from hashwarden.serve.sources.source import NoData, Options

INFO = RunInfo(origin="synthesised", gpu="H100 SXM", architecture=90, period_s=1.0)


class Hands:
    """A clock that stands still until it is set."""

    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


def run_of(name, watts):
    values = np.full((len(watts), len(CHANNELS)), np.nan, np.float32)
    values[:, INDEX["power_watts"]] = watts
    return Run(name, np.arange(len(watts), dtype=float), values, info=INFO)


def played(speed, *runs, **options):
    clock = Hands()
    source = ReplaySource(lambda: runs, Options(speed=speed, **options), clock, lambda: 1e9 + clock.now)
    devices = source.open()
    return source, clock, devices


def watts(source):
    return [(r.gpu, r.time_s, r.values) for r in source.read()]


def test_step_by_step_every_sample_comes_once_in_order():
    source, _, devices = played(0.0, run_of("a", [1, 2, 3]), run_of("b", [9]))
    assert [(d.gpu, d.index, d.name, d.architecture) for d in devices] == [
        ("a", 0, "H100 SXM", 90),
        ("b", 1, "H100 SXM", 90),
    ]
    assert watts(source) == [("a", 50.0, {"power_watts": 1.0}), ("b", 50.0, {"power_watts": 9.0})]
    assert watts(source) == [("a", 51.0, {"power_watts": 2.0})]
    assert not source.done
    assert watts(source) == [("a", 52.0, {"power_watts": 3.0})]
    assert source.done
    with pytest.raises(NoData, match="all was played"):
        source.read()


def test_in_real_time_a_sample_comes_when_it_is_due():
    source, clock, _ = played(1.0, run_of("a", [1, 2, 3, 4]))
    assert watts(source) == [("a", 50.0, {"power_watts": 1.0})]
    clock.now = 50.9
    with pytest.raises(NoData, match="no sample is due"):
        source.read()
    clock.now = 52.1
    assert watts(source) == [("a", 52.0, {"power_watts": 3.0})], "what was missed is passed over, as live"
    clock.now = 99.0
    assert watts(source) == [("a", 53.0, {"power_watts": 4.0})]
    assert source.done


def test_ten_times_as_fast():
    source, clock, _ = played(10.0, run_of("a", [1, 2, 3]))
    watts(source)
    clock.now = 50.21
    ((_, at, values),) = watts(source)
    assert (at, values) == (pytest.approx(50.2), {"power_watts": 3.0})


def test_runs_are_chosen_as_gpus_are():
    source, _, devices = played(0.0, run_of("a", [1]), run_of("b", [2]), gpus=("b",))
    assert [device.gpu for device in devices] == ["b"]
    assert watts(source)[0][0] == "b"


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_a_speed_that_cannot_be_meant(speed):
    with pytest.raises(UsageError, match="speed"):
        played(speed, run_of("a", [1]))


def test_it_needs_a_trace():
    with pytest.raises(UsageError, match="without a trace"):
        make(Options())


def test_a_file_is_read(tmp_path):
    from hashwarden.model.trace_write import write_runs

    write_runs(tmp_path / "t.parquet", [run_of("a", [1, 2])])
    source = make(Options(trace=tmp_path / "t.parquet", speed=0.0))
    assert [device.gpu for device in source.open()] == ["a"]
    assert source.read()[0].values == {"power_watts": 1.0}
