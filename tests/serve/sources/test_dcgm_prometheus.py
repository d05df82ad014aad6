"""The source ``dcgm`` on a Prometheus server: Debian's own, which scrapes an exporter; and servers that lie."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from ports import free_port

from hashwarden.errors import DataError, NoDeviceError, UsageError
from hashwarden.serve.sources import dcgm
from hashwarden.serve.sources.dcgm import LEAST_PERIOD_S, DcgmSource
from hashwarden.serve.sources.dcgm_fields import NAMES
from hashwarden.serve.sources.dcgm_fresh import Fresh
from hashwarden.serve.sources.dcgm_prometheus import Prometheus
from hashwarden.serve.sources.source import NoData, Options

SPEC = importlib.util.spec_from_file_location("dcgm_prometheus_server", Path(__file__).with_name("dcgm_server.py"))
server = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(server)
FIRST, SECOND = server.GPUS

CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: dcgm
    static_configs:
      - targets: ["127.0.0.1:{first}"]
        labels: {{pod: nvidia-dcgm-exporter-x2x4z, namespace: gpu-operator, cluster: here}}
      - targets: ["127.0.0.1:{second}"]
        labels: {{cluster: elsewhere}}
"""
POD = 'namespace="team",pod="train-0",container="main"'


@pytest.fixture(scope="module")
def pair():
    with server.serving() as first, server.serving() as second:
        yield usual((first, second))


def usual(pair):
    """The first GPU belongs to a pod, the second one to nobody."""
    pair[0].status = pair[1].status = 200
    pair[0].body = server.page(host="n1").replace("} ", f",{POD}}} ")
    pair[1].body = server.page(uuid=SECOND, host="n2")
    return pair


@pytest.fixture
def exporters(pair):
    return usual(pair)


@pytest.fixture(scope="module")
def prometheus(pair, tmp_path_factory):
    """The address of a real server that scrapes both."""
    program = shutil.which("prometheus")
    if program is None:
        assert "CI" not in os.environ, "CI installs Debian's package prometheus"
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    (folder / "p.yml").write_text(CONFIGURATION.format(first=pair[0].port, second=pair[1].port))
    command = [program, f"--config.file={folder / 'p.yml'}", f"--storage.tsdb.path={folder / 'data'}",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        url = f"http://127.0.0.1:{port}"
        try:
            assert server.wait_until(lambda: ready(url), 30)
            yield url
        finally:
            running.kill()


def ready(url):
    with suppress(OSError), urllib.request.urlopen(f"{url}/api/v1/query?query=count(DCGM_FI_DEV_GPU_UTIL)") as answer:
        found = json.load(answer)["data"]["result"]
        return bool(found) and found[0]["value"][1] == "2"
    return False


def source_of(url, fresh=Fresh, **options):
    return DcgmSource(Options(prometheus_url=url, **options), fresh=fresh, environment={})


def test_a_real_prometheus_server(exporters, prometheus, monkeypatch):
    monkeypatch.setitem(LEAST_PERIOD_S, "prometheus", 0.1)
    only = source_of(f"{prometheus}/?Hostname=n2&cluster=elsewhere", period_s=0.1)
    assert [device.gpu for device in only.open()] == [SECOND]
    assert [device.gpu for device in source_of(prometheus, gpus=(FIRST,)).open()] == [FIRST]
    with pytest.raises(NoDeviceError, match="no GPU of 0 there"):
        source_of(f'{prometheus}/?Hostname=n"3}}').open()

    source = source_of(prometheus, lambda: Fresh(3.0), period_s=0.1)
    labels = {"hostname": "n1", "namespace": "team", "pod": "train-0", "container": "main"}
    expected = {FIRST: labels, SECOND: {"hostname": "n2"}}
    assert server.wait_until(lambda: len(source.open()) == 2 and source.labels == expected)

    changed = time.time()
    exporters[0].body = server.page(power=99, host="n1").replace("} ", f",{POD}}} ")  # the other one stays as it is
    readings = []

    def look():
        with suppress(NoData):
            readings.extend(source.read())
        return bool(readings)

    assert server.wait_until(look)
    (reading,) = readings
    assert (reading.gpu, reading.values["power_watts"]) == (FIRST, 99)
    assert changed - 0.1 <= reading.unix_s <= time.time(), "the time at which Prometheus scraped it"
    assert time.monotonic() - reading.time_s == pytest.approx(time.time() - reading.unix_s, abs=0.1)

    exporters[0].status = exporters[1].status = 500
    with pytest.raises(DataError, match="nothing has changed"):
        server.wait_until(lambda: look() and False)


def test_without_pods_the_exporters_own_pod_is_nobodys(exporters, prometheus):
    exporters[0].body = server.page(host="n1", power=1)
    source = source_of(prometheus, gpus=(FIRST,))
    assert server.wait_until(lambda: source.open() and source.labels[FIRST] == {"hostname": "n1"})


@pytest.fixture
def liar(monkeypatch):
    """A server that answers queries as it is told."""
    monkeypatch.setattr(dcgm, "ANSWER_S", 0.5)
    with server.serving() as found:
        found.headers = {"Content-Type": "application/json"}
        yield found


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", "null", '{"status":"error","error":"\\u001b[2J"}', "[" * 100_000, b"\xff", "1" * 10_000,
     '{"status":"success","data":{"resultType":"vector","result":[]}}',
     '{"status":"success","data":{"resultType":"matrix","result":[1]}}',
     '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"DCGM_FI_DEV_GPU_UTIL"},'
     '"values":[[1,"many"]]}]}}'],
)  # fmt: skip
def test_an_answer_that_is_none(liar, body):
    liar.body = body
    with pytest.raises(DataError, match="an answer that is none") as caught:
        source_of(f"http://127.0.0.1:{liar.port}").open()
    assert str(caught.value).isprintable()


def test_one_that_hangs(liar, monkeypatch):
    monkeypatch.setattr(dcgm, "ANSWER_S", 0.2)
    liar.act = liar.hang
    with pytest.raises(NoDeviceError, match="no whole answer in time"):
        source_of(f"http://127.0.0.1:{liar.port}").open()


def test_the_queries(liar):
    liar.body = '{"status":"success","data":{"resultType":"matrix","result":[]}}'
    found = Prometheus(f'http://127.0.0.1:{liar.port}/prefix/?Hostname=a"b', (FIRST, f"{SECOND}/7"), {})
    assert list(found.samples(time.monotonic() + 5)) == []
    assert {path for path, _, _ in liar.asked} == {"/prefix/api/v1/query"}
    forms = [dict(parse_qsl(form.decode())) for _, _, form in liar.asked]
    ends = f',Hostname="a\\"b",UUID=~"{FIRST}|{SECOND}"}}[150s]'
    assert all(form["query"].endswith(ends) for form in forms)
    asked = "|".join(form["query"].split('"')[1] for form in forms).split("|")
    assert sorted(asked) == sorted(name for names in NAMES.values() for name in names)


@pytest.mark.parametrize("url", ["http://h/?__name__=x", "http://h/?a%22=b", "ftp://h/", "http://u@h/"])
def test_addresses_that_cannot_be_meant(url):
    with pytest.raises(UsageError):
        source_of(url).open()
