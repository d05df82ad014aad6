"""kubelet's API over a real gRPC server on a real Unix socket; its bytes compared with protobuf's own reader."""

import importlib.util
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.serve.jobs import pod_resources as module
from hashwarden.serve.jobs.pod_resources import PodResources
from hashwarden.serve.jobs.pod_resources_wire import (
    LONGEST,
    MOST_DEVICES,
    MOST_PODS,
    Claim,
    ContainerDevices,
    WireError,
    read_allocatable,
    read_pods,
)
from hashwarden.serve.jobs.provider import ProviderAway

_SPEC = importlib.util.spec_from_file_location("kubelet", Path(__file__).parent / "kubelet.py")
kubelet = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(kubelet)

GPU = "GPU-00000000-0000-0000-0000-000000000001"
CLAIM = {
    "claim_name": "gpu",
    "claim_namespace": "ml",
    "claim_resources": [
        {
            "driver_name": "gpu.nvidia.com",
            "pool_name": "n1",
            "device_name": "gpu-0",
            "cdi_devices": [{"name": "k8s.gpu.nvidia.com/claim=x-gpu-0"}],
        }
    ],
}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server(tmp_path):
    made = kubelet.Kubelet(tmp_path, lambda: kubelet.answer(kubelet.pod("train", GPU)))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(server, clock):
    made = PodResources(server.socket, timeout_s=5, every_s=5, clock=clock)
    yield made
    made.close()


def test_the_answer_of_a_server(client):
    assert client.refresh() is True
    assert client.known == [ContainerDevices("ml", "train", "c", (("nvidia.com/gpu", GPU),))]


def test_it_is_asked_seldom_and_sooner_if_something_is_new(server, client, clock):
    asked = []
    for soon in (False, False, True, False, True):
        asked.append(client.refresh(soon=soon))
        clock.now += 0.9
    assert asked == [True, False, True, False, True]
    clock.now += 5
    assert client.refresh()
    assert server.calls == 4


def test_the_socket_made_anew(server, client, clock):
    client.refresh()
    server.stop()
    clock.now += 5
    with pytest.raises(ProviderAway, match="no such socket"):
        client.refresh()
    assert len(client.known) == 1
    with pytest.raises(ProviderAway):  # not asked again, and still away
        client.refresh()
    server.reply = lambda: kubelet.answer(kubelet.pod("next", GPU))
    server.start()
    clock.now += 5
    assert client.refresh()
    assert client.known[0].pod == "next"


def test_a_socket_without_a_kubelet_behind_it(server, client, clock):
    client.refresh()
    server.stop()
    server.socket.touch()
    clock.now += 5
    with pytest.raises(ProviderAway, match="UNAVAILABLE"):
        client.refresh()
    server.start()
    clock.now += 5
    assert client.refresh()


def test_waits_grow_up_to_a_minute(tmp_path, clock):
    client = PodResources(tmp_path / "none.sock", every_s=5, clock=clock)
    tries = []
    for _ in range(400):
        before = client._failures
        with pytest.raises(ProviderAway):
            client.refresh()
        if client._failures > before:
            tries.append(clock.now)
        clock.now += 1
    gaps = [after - before for before, after in pairwise(tries)]
    assert gaps == [5, 10, 20, 40, 60, 60, 60, 60, 60]


def test_one_that_hangs_is_given_up(server, clock):
    server.reply = lambda: time.sleep(3) or b""
    client = PodResources(server.socket, timeout_s=0.2, clock=clock)
    started = time.monotonic()
    with pytest.raises(ProviderAway, match="DEADLINE_EXCEEDED"):
        client.refresh()
    assert time.monotonic() - started < 2.5
    client.close()


def test_an_answer_beyond_all_measure_is_not_taken(server, client, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_ANSWER", 1000)
    server.reply = lambda: kubelet.answer(*(kubelet.pod(f"p{i}", GPU) for i in range(100)))
    with pytest.raises(ProviderAway, match="RESOURCE_EXHAUSTED"):
        client.refresh()


def test_one_that_lies_is_away_and_what_was_known_stays(server, client, clock):
    client.refresh()
    server.reply = lambda: b"\x0a\xff\xff\xff\xff\x0f\x1b[31m"
    clock.now += 5
    with pytest.raises(ProviderAway, match="ends inside a field"):
        client.refresh()
    assert client.known[0].pod == "train"


def test_a_kubelet_that_has_no_such_method(server, client):
    with pytest.raises(ProviderAway, match="UNIMPLEMENTED"):
        client.allocatable()


def _reference(data: bytes) -> list[ContainerDevices]:
    parsed = kubelet.messages().ListPodResourcesResponse.FromString(data)
    found = []
    for pod in parsed.pod_resources:
        for one in pod.containers:
            devices = tuple((d.resource_name, i) for d in one.devices for i in d.device_ids)
            claims = tuple(
                Claim(r.driver_name, r.pool_name, r.device_name, tuple(c.name for c in r.cdi_devices), bool(r.share_id))
                for d in one.dynamic_resources
                for r in d.claim_resources
            )
            if devices or claims:
                found.append(ContainerDevices(pod.namespace, pod.name, one.name, devices, claims))
    return found


_names = st.text(max_size=8)
_claims = st.fixed_dictionaries(
    {"driver_name": _names, "pool_name": _names, "device_name": _names},
    optional={"share_id": _names, "cdi_devices": st.lists(st.fixed_dictionaries({"name": _names}), max_size=2)},
)
_containers = st.fixed_dictionaries(
    {
        "name": _names,
        "devices": st.lists(
            st.fixed_dictionaries(
                {
                    "resource_name": _names,
                    "device_ids": st.lists(_names, max_size=3),
                    "topology": st.just({"nodes": [{"ID": -1}]}),
                }
            ),
            max_size=2,
        ),
        "cpu_ids": st.lists(st.integers(-5, 1 << 40), max_size=3),
        "memory": st.lists(st.fixed_dictionaries({"memory_type": _names, "size": st.integers(0, 1 << 63)}), max_size=1),
        "dynamic_resources": st.lists(
            st.fixed_dictionaries({"claim_name": _names, "claim_resources": st.lists(_claims, max_size=2)}), max_size=2
        ),
    }
)
_pods = st.fixed_dictionaries({"name": _names, "namespace": _names, "containers": st.lists(_containers, max_size=2)})


@given(st.lists(_pods, max_size=3))
@settings(max_examples=60, deadline=None)
def test_it_reads_what_protobuf_reads(pods):
    data = kubelet.answer(*pods)
    assert read_pods(data) == _reference(data)


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_bytes_make_it_stumble(data):
    from google.protobuf.message import DecodeError

    try:
        found = read_pods(data)
    except WireError:
        return
    try:
        expected = _reference(data)
    except DecodeError:  # it checks text and tags more strictly
        return
    assert len(found) >= len(expected)


def test_what_could_be_given():
    message = kubelet.messages().AllocatableResourcesResponse
    data = message(
        devices=[{"resource_name": "nvidia.com/gpu", "device_ids": [GPU, "b"]}], cpu_ids=[1]
    ).SerializeToString()
    assert read_allocatable(data) == [("nvidia.com/gpu", GPU), ("nvidia.com/gpu", "b")]


@pytest.mark.parametrize(
    "pods",
    [
        [kubelet.pod(f"p{i}") for i in range(MOST_PODS + 1)],
        [kubelet.pod("p", *["d"] * (MOST_DEVICES + 1))],
        [kubelet.pod("p" * (LONGEST + 1), GPU)],
    ],
    ids=["pods", "devices", "name"],
)
def test_limits(pods):
    with pytest.raises(WireError):
        read_pods(kubelet.answer(*pods))


def test_claims_are_told(server, client):
    server.reply = lambda: kubelet.answer(kubelet.pod("train", dynamic_resources=[CLAIM]))
    client.refresh()
    cdi = ("k8s.gpu.nvidia.com/claim=x-gpu-0",)
    assert client.known[0].claims == (Claim("gpu.nvidia.com", "n1", "gpu-0", cdi),)


FORKS = """
import os, subprocess, sys, threading
from pathlib import Path
from hashwarden.serve.jobs.pod_resources import PodResources

client, end = PodResources(Path(sys.argv[1]), every_s=0.0), threading.Event()
assert client.refresh()

def ask():
    while not end.is_set():
        client.refresh()

asking = threading.Thread(target=ask)
asking.start()
try:
    for _ in range(20):
        subprocess.run(["true"], preexec_fn=lambda: None, check=True)
        if (child := os.fork()) == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
finally:
    end.set()
    asking.join()
client.close()
"""


def test_children_that_are_forked_while_it_is_asked_live(server):
    """With gRPC's own handlers of fork they abort, or hang."""
    environment = {key: value for key, value in os.environ.items() if key != "GRPC_ENABLE_FORK_SUPPORT"}
    command = [sys.executable, "-W", "ignore", "-c", FORKS, str(server.socket)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
