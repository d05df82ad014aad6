"""An exporter that is frozen, down, hanging or lying, against a real HTTP server."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from pathlib import Path

import pytest
from ports import free_port

from hashwarden.errors import DataError, HashwardenError, NoDeviceError
from hashwarden.serve.sources import dcgm
from hashwarden.serve.sources.dcgm_fresh import LEAST_STALE_S, Fresh
from hashwarden.serve.sources.health import Backoff
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import NoData, Options

SPEC = importlib.util.spec_from_file_location("dcgm_faults_server", Path(__file__).with_name("dcgm_server.py"))
server = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(server)
FIRST, SECOND = server.GPUS
exporter, make, opened, later = server.exporter, server.make, server.opened, server.later


def test_the_same_sample_twice_is_one(exporter, opened):
    source, news = opened(), []
    for second in range(1, 61):
        if second % 30 == 0:
            exporter.body = server.page(power=300 + second)
        source.clock.now += 1
        with suppress(NoData):
            news.append((second, source.read()[0].values["power_watts"]))
    assert news == [(30, 330.0), (60, 360.0)]


def test_once_the_interval_is_known_it_is_asked_near_its_end(exporter, opened):
    source = opened()
    for second in range(1, 201):
        exporter.body = server.page(power=300 + second // 30)
        source.clock.now += 1
        before = len(exporter.asked)
        with suppress(NoData):
            source.read()
        if second == 100:
            middle = before
    assert len(exporter.asked) - middle < 40, "of 100 seconds: only from 24 s after a change on"


def test_a_frozen_exporter_is_an_error_not_an_idle_gpu(exporter, opened):
    source = opened()
    for _ in range(int(LEAST_STALE_S) // 10 - 1):
        with pytest.raises(NoData):
            later(source, 10)
    with pytest.raises(DataError, match="nothing has changed for 90 s"):
        later(source, 10)
    with pytest.raises(DataError, match="nothing has changed"):
        later(source, 10)
    exporter.body = server.page(power=1)
    assert len(later(source, 10)) == 1


def test_one_frozen_gpu_of_two_gives_no_reading_and_the_other_does(exporter, opened):
    exporter.body = server.page(gpus=2)
    source = opened()
    for step in range(20):
        exporter.body = server.page(power=step, gpus=1) + server.page(gpus=2).replace(FIRST, "dropped")
        assert [reading.gpu for reading in later(source, 10)] == [FIRST]
    assert set(source._fresh.stale(source.clock.now)) == {SECOND}


def test_an_exporter_with_a_long_interval_is_not_called_frozen():
    fresh = Fresh()
    for minute in range(0, 10, 5):
        fresh.new({"g": {155: float(minute)}}, 60.0 * minute)
    fresh.new({"g": {155: 10.0}}, 600.0)
    assert fresh.interval_s == 300.0
    assert fresh.stale(60.0 * 24) == {}
    assert "nothing has changed for 960 s" in fresh.stale(60.0 * 26)["g"]
    assert Fresh().stale(1e9) == {}


def test_counters_none_of_which_need_move_are_named():
    fresh = Fresh()
    fresh.new({"g": {203: 0.0}}, 0.0)
    assert "add power or energy" in fresh.stale(100.0)["g"]


def answer_html(exporter):
    exporter.body = "<html><body>Not here</body></html>\n"


def answer_nothing(exporter):
    exporter.body = ""


def answer_much(exporter):
    exporter.body = b"x" * 4096


def answer_endlessly(exporter):
    def act(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not exporter.over.is_set():
            handler.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    exporter.act = act


def answer_cut_off(exporter):
    def act(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + server.page().encode())

    exporter.act = act


def answer_garbage(exporter):
    exporter.act = lambda handler: handler.wfile.write(b"\x00\xff" * 100)


def answer_elsewhere(exporter):
    exporter.status, exporter.headers = 302, {"Location": "http://127.0.0.1:1/\x1b[2J"}


def answer_failure(exporter):
    exporter.status = 500


def answer_packed(exporter):
    exporter.headers = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (lambda e: setattr(e, "act", e.hang), NoDeviceError, "no whole answer in time"),
        (lambda e: setattr(e, "act", e.drip), NoDeviceError, "no whole answer in time"),
        (answer_html, DataError, "no field of DCGM that is known, but '<html>"),
        (answer_nothing, DataError, "no field of DCGM"),
        (answer_much, DataError, "more than 3,000 bytes"),
        (answer_endlessly, DataError, "more than 3,000 bytes"),
        (answer_cut_off, DataError, "cut off"),
        (answer_garbage, DataError, "a broken answer"),
        (answer_elsewhere, DataError, r"status 302, to http://127.0.0.1:1/\\x1b"),
        (answer_failure, DataError, "status 500"),
        (answer_packed, DataError, "a compressed answer"),
    ],
    ids=["hangs", "drips", "html", "empty", "large", "endless", "cut-off", "garbage", "redirect", "failure", "packed"],
)
def test_faults_of_an_exporter_are_errors_and_it_is_heard_again(exporter, opened, monkeypatch, fault, error, said):
    monkeypatch.setattr(dcgm, "MOST_BYTES", 3000)
    monkeypatch.setattr(dcgm, "ANSWER_S", 0.15)
    source = opened()
    fault(exporter)
    with pytest.raises(error, match=said) as caught:
        later(source)
    assert str(caught.value).isprintable()
    exporter.act, exporter.status, exporter.headers = None, 200, {}
    exporter.body = server.page(power=1)
    monkeypatch.setattr(dcgm, "ANSWER_S", 2.0)
    assert later(source)[0].values["power_watts"] == 1


def test_an_exporter_that_is_down_comes_back(exporter, make):
    source = make(dcgm_url=f"http://127.0.0.1:{free_port()}/metrics")
    with pytest.raises(NoDeviceError, match="no connection"):
        source.open()
    runner = Runner({"dcgm": lambda: source}, backoff=lambda: Backoff(0.0, 0.0))
    try:
        runner.open(5.0)
        assert isinstance(runner.errors["dcgm"], NoDeviceError)
        source._options = Options(dcgm_url=exporter.url)
        runner.read(5.0)
        assert [device.gpu for device in runner.devices] == [FIRST]
        exporter.body = server.page(power=2)
        source.clock.now += 30
        assert [reading.values["power_watts"] for reading in runner.read(5.0)] == [2.0]
        assert runner.health["dcgm"].success
        assert runner.labels == {FIRST: {"hostname": "n1"}}
    finally:
        runner.close()


def test_one_that_fails_is_not_asked_at_every_tick(exporter, opened):
    source = opened()
    source._backoff = Backoff(8.0, 8.0)
    exporter.status = 500
    for tick in range(8):
        with pytest.raises(DataError, match="status 500"):
            later(source, 1.0 if tick else 30.0)
    assert len(exporter.asked) == 2, "one for opening, one that failed; the error stands in between"


def test_every_fault_is_an_error_of_the_house(exporter, opened):
    source = opened()
    exporter.act = lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n")
    with pytest.raises(HashwardenError):
        later(source)


def test_the_same_text_is_not_read_again(exporter, opened, monkeypatch):
    source, read = opened(), []
    usual = source._parser.samples
    monkeypatch.setattr(source._parser, "samples", lambda body: (read.append(len(body)), usual(body))[1])
    for step in range(12):
        exporter.body = server.page(power=step // 6)
        with suppress(NoData):
            later(source, 1.0)
    assert len(read) == 2, "of 12 answers"


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_wall_clock_that_jumps_changes_nothing(exporter, opened, jump_s):
    def body(step):
        energy = server.line("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 1e9 + step * 3_500_000)
        return server.page(power=step) + energy + server.line("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", 700)

    source, found = opened(), []
    for step in range(1, 6):
        exporter.body = body(step)
        if step == 3:
            source._unix = lambda usual=source._unix: usual() + jump_s
        found.append(later(source, 10.0)[0])
    assert [reading.time_s for reading in found] == [1010.0, 1020.0, 1030.0, 1040.0, 1050.0]
    assert [reading.values.get("energy_power_ratio") for reading in found[1:]] == [pytest.approx(0.5)] * 4


def test_a_pause_of_the_exporter_is_not_taken_for_its_interval(exporter, opened):
    """One that hung for an hour was then asked after 48 minutes, and called frozen after three hours."""
    source = opened()
    exporter.body = server.page(power=1)
    later(source, 10)
    for _ in range(360):
        with suppress(NoData, DataError):
            later(source, 10)
    exporter.body = server.page(power=2)
    assert len(later(source, 10)) == 1
    before = len(exporter.asked)
    exporter.body = server.page(power=3)
    assert len(later(source, 60)) == 1
    assert len(exporter.asked) == before + 1
    for _ in range(17):
        with pytest.raises(NoData):
            later(source, 10)
    with pytest.raises(DataError, match="nothing has changed for 180 s"):  # three of its intervals, not three hours
        later(source, 10)


def test_a_long_interval_is_asked_for_in_between():
    fresh = Fresh()
    for minute in range(0, 40, 10):
        fresh.new({"g": {155: float(minute)}}, 60.0 * minute)
    assert fresh.interval_s == 600.0
    assert fresh.due_s() == 1800.0 + 60.0
    fresh.new({"g": {155: 99.0}}, 1e6)
    assert fresh.interval_s == 600.0
