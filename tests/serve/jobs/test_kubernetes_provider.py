"""Pods as jobs: a real kubelet API, a real API over HTTP, and processes by the paths of their cgroups."""

import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import pytest

from hashwarden.serve.jobs.job import Owner, ProcessKey
from hashwarden.serve.jobs.kubernetes import STALE, Kubernetes, make
from hashwarden.serve.jobs.kubernetes_devices import GpuNames, allotment_of, uuids_by_minor
from hashwarden.serve.jobs.kubernetes_pods import read_pod
from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.pod_resources import PodResources
from hashwarden.serve.jobs.pod_resources_wire import Claim, ContainerDevices
from hashwarden.serve.jobs.provider import Cgroup, ProcessFacts, ProviderAway
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.schedulers.kubernetes_access import Access
from hashwarden.serve.schedulers.kubernetes_api import KubernetesApi
from hashwarden.serve.sources.source import Device

_SPEC = importlib.util.spec_from_file_location("kubelet", Path(__file__).parent / "kubelet.py")
kubelet = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(kubelet)

GPUS = [f"GPU-00000000-0000-0000-0000-00000000000{i}" for i in range(4)]
CDI = "k8s.gpu.nvidia.com/device=gpu-0"
MIG = "MIG-11111111-0000-0000-0000-000000000001"
DEVICES = [Device(gpu, index) for index, gpu in enumerate(GPUS)]


def uid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def container_id(number: int) -> str:
    return f"{number:064x}"


def api_pod(number: int, name: str, container: str = "c", **changes) -> dict:
    """As the API server tells, cut to what matters; `changes` go over it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "ml",
            "uid": uid(number),
            "labels": {"app": "train"},
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": "night", "uid": uid(99), "controller": True}
            ],
        },
        "spec": {"serviceAccountName": "trainer", "nodeName": "n1", "containers": [{"name": container, "image": "x"}]},
        "status": {
            "phase": "Running",
            "qosClass": "Burstable",
            "containerStatuses": [
                {
                    "name": container,
                    "containerID": f"containerd://{container_id(number)}",
                    "image": "x",
                    "imageID": "x",
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}},
                }
            ],
        },
    }
    for part, more in changes.items():
        pod[part] = {**pod[part], **more}
    kubernetes_validate.validate(pod, "1.37", strict=True)
    return pod


def process(number: int, pid: int = 7, path: str = "") -> ProcessFacts:
    under = uid(number).replace("-", "_")
    pod = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice"
    path = path or f"{pod}/cri-containerd-{container_id(number)}.scope"
    return ProcessFacts(ProcessKey(pid, 1), 1, 1, 0, "python", (Cgroup((), path),))


class Api(BaseHTTPRequestHandler):
    """Lists `server.pods`, or says `server.status`."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one piece: two would wait for each other's acknowledgement

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = {"kind": "PodList", "metadata": {}, "items": self.server.pods}
        if self.server.status != 200:
            body = {"kind": "Status", "message": "no \x1b[31m"}
        elif self.server.page:
            at = int(parse_qs(urlsplit(self.path).query).get("continue", ["0"])[0])
            body["items"] = self.server.pods[at : at + self.server.page]
            body["metadata"] = (
                {"continue": str(at + self.server.page)} if at + self.server.page < len(self.server.pods) else {}
            )
        data = json.dumps(body).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    made.daemon_threads = True
    made.pods, made.status, made.asked, made.page = [], 200, [], 0
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def node(tmp_path):
    made = kubelet.Kubelet(tmp_path)
    made.start()
    yield made
    made.stop()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def provider(node, server, clock):
    api = KubernetesApi(Access(f"http://127.0.0.1:{server.server_port}"), timeout_s=5)
    minors = {0: GPUS[0], 1: GPUS[1]}
    made = Kubernetes(
        "n1", PodResources(node.socket, clock=clock), api, gpus=GpuNames(minors=lambda: minors), clock=clock
    )
    yield made
    made.close()


def _keys(provider: Kubernetes) -> dict[str, list[str]]:
    return {gpu: [job.key for job in jobs] for gpu, jobs in provider.allotted().items()}


def test_a_pod_with_its_gpu_is_a_job(provider, node, server):
    server.pods = [api_pod(1, "train-0")]
    node.reply = lambda: kubelet.answer(kubelet.pod("train-0", GPUS[1], GPUS[0]))
    provider.refresh(DEVICES)
    job = provider.job_of(process(1))
    assert (job.key, job.kind, job.id) == (f"pod:{uid(1)}/c", "kubernetes", "ml/train-0/c")
    assert (job.gpus, job.allotted, job.interactive) == ((GPUS[0], GPUS[1]), True, False)
    assert (job.user, job.name, job.qos, job.tenant) == (
        "system:serviceaccount:ml:trainer", "night", "Burstable", "ml"
    )  # fmt: skip
    assert job.started_unix_s == 1767323045
    assert job.labels == {"app": "train", "kubernetes.io/controller": "Job/night"}
    assert provider.allotted() == {GPUS[0]: (job,), GPUS[1]: (job,)}
    assert server.asked == ["/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&resourceVersion=0&limit=250"]


def test_who_is_in_no_pod_is_nobodys(provider):
    provider.refresh(DEVICES)
    assert provider.job_of(process(1, path="/user.slice/user-1000.slice")) is None


def test_replicas_are_shares(provider, node, server):
    server.pods = [api_pod(1, "a"), api_pod(2, "b"), api_pod(3, "alone")]
    node.reply = lambda: kubelet.answer(
        kubelet.pod("a", f"{GPUS[0]}::0", resource="nvidia.com/gpu.shared"),
        kubelet.pod("b", f"{GPUS[0]}::1"),
        kubelet.pod("alone", MIG, resource="nvidia.com/mig-1g.10gb"),
    )
    provider.refresh(DEVICES)
    assert _keys(provider) == {GPUS[0]: [f"pod:{uid(1)}/c", f"pod:{uid(2)}/c"], MIG: [f"pod:{uid(3)}/c"]}
    assert [provider.job_of(process(n)).allotted for n in (1, 2, 3)] == [False, False, True]


def test_a_claim_that_two_pods_hold_is_neither_ones_own(provider, node, server):
    claim = {"claim_name": "gpu", "claim_resources": [{"driver_name": "gpu.nvidia.com", "device_name": "gpu-1"}]}
    server.pods = [api_pod(1, "a"), api_pod(2, "b")]
    node.reply = lambda: kubelet.answer(*(kubelet.pod(name, dynamic_resources=[claim]) for name in ("a", "b")))
    provider.refresh(DEVICES)
    assert _keys(provider) == {GPUS[1]: [f"pod:{uid(1)}/c", f"pod:{uid(2)}/c"]}
    assert not any(job.allotted for job in provider.allotted()[GPUS[1]])


def test_a_pod_that_is_over_holds_nothing(provider, node, server):
    server.pods = [api_pod(1, "over", status={"phase": "Succeeded"}), api_pod(2, "next")]
    node.reply = lambda: kubelet.answer(kubelet.pod("over", GPUS[0]), kubelet.pod("next", GPUS[0]))
    provider.refresh(DEVICES)
    assert _keys(provider) == {GPUS[0]: [f"pod:{uid(2)}/c"]}
    assert provider.job_of(process(2)).allotted


def test_other_resources_are_no_gpus(provider, node, server):
    server.pods = [api_pod(1, "a")]
    node.reply = lambda: kubelet.answer(kubelet.pod("a", "eth0", resource="nvidia.com/rdma"), kubelet.pod("b", "?"))
    provider.refresh(DEVICES)
    assert (provider.allotted(), provider.unknown_devices, provider.unnamed) == ({}, 1, 1)


def test_a_pod_that_is_too_new_is_asked_for_soon_and_a_stranger_only_once(provider, server, clock):
    provider.refresh(DEVICES)
    assert provider.job_of(process(1)).key == f"pod:{uid(1)}/{container_id(1)[:12]}"
    server.pods = [api_pod(1, "train-0")]
    clock.now += 1
    provider.refresh(DEVICES)
    assert len(server.asked) == 1  # not within two seconds
    clock.now += 1
    provider.refresh(DEVICES)
    assert provider.job_of(process(1)).id == "ml/train-0/c"
    for _ in range(20):
        clock.now += 1
        provider.job_of(process(9))
        provider.refresh(DEVICES)
    assert len(server.asked) == 3


def test_a_container_that_was_started_anew_is_the_same_job(provider, server, clock):
    server.pods = [api_pod(1, "train-0")]
    provider.refresh(DEVICES)
    before = provider.job_of(process(1)).key
    server.pods = [api_pod(1, "train-0")]
    server.pods[0]["status"]["containerStatuses"][0]["containerID"] = f"containerd://{container_id(5)}"
    clock.now += 31
    provider.refresh(DEVICES)
    path = process(1).paths[0].replace(container_id(1), container_id(5))
    assert provider.job_of(process(1, path=path)).key == before


def test_the_api_server_down_leaves_what_was_known_marked_stale(provider, node, server, clock):
    server.pods = [api_pod(1, "train-0")]
    node.reply = lambda: kubelet.answer(kubelet.pod("train-0", GPUS[0]))
    provider.refresh(DEVICES)
    server.status = 503
    clock.now += 31
    with pytest.raises(ProviderAway, match=r"API server: GET /api/v1/pods: 503: no \\x1b"):
        provider.refresh(DEVICES)
    job = provider.job_of(process(1))
    assert (job.id, job.gpus, job.labels[STALE]) == ("ml/train-0/c", (GPUS[0],), "true")
    server.status, clock.now = 200, clock.now + 31
    provider.refresh(DEVICES)
    assert STALE not in provider.job_of(process(1)).labels


def test_kubelet_down_leaves_what_was_known_marked_stale(provider, node, server, clock):
    server.pods = [api_pod(1, "train-0")]
    node.reply = lambda: kubelet.answer(kubelet.pod("train-0", GPUS[0]))
    provider.refresh(DEVICES)
    node.stop()
    clock.now += 6
    with pytest.raises(ProviderAway, match="pod-resources"):
        provider.refresh(DEVICES)
    assert provider.job_of(process(1)).labels[STALE] == "true"
    assert _keys(provider) == {GPUS[0]: [f"pod:{uid(1)}/c"]}


def test_one_that_refuses_is_asked_seldom(provider, server, clock):
    server.status = 403
    for _ in range(200):
        with pytest.raises(ProviderAway, match="403"):
            provider.refresh(DEVICES)
        clock.now += 1
    assert len(server.asked) == 3


def test_long_lists_come_in_pages(provider, server):
    server.page, server.pods = 2, [api_pod(n, f"p{n}") for n in range(5)]
    provider.refresh(DEVICES)
    assert [provider.job_of(process(n)).pod for n in range(5)] == [f"p{n}" for n in range(5)]


def test_without_an_api_server_processes_are_told_apart_but_have_no_name(node, clock, tmp_path, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    node.reply = lambda: kubelet.answer(kubelet.pod("train-0", GPUS[0]))
    provider = make(JobOptions(node="n1", pod_resources=node.socket.parent))
    provider.refresh(DEVICES)
    job = provider.job_of(process(1))
    assert (job.namespace, job.pod, job.gpus) == ("", "", ())
    assert job.key == f"pod:{uid(1)}/{container_id(1)[:12]}"
    assert (provider.allotted(), provider.unnamed) == ({}, 1)
    provider.close()


def test_hostile_objects_are_left_out_or_cut():
    assert read_pod({"metadata": {"uid": "../x", "namespace": "a", "name": "b"}}) is None
    assert read_pod({"metadata": {"uid": uid(1), "namespace": "a/b", "name": "b"}}) is None
    assert read_pod({"metadata": [], "spec": 7, "status": None}) is None
    pod = api_pod(1, "a")
    pod["metadata"]["labels"] = {"k" * 9999: "v", "ok\n": "v", "ok": "\x1b[31m"} | {f"l{i}": "" for i in range(99)}
    pod["metadata"]["ownerReferences"] = [{"controller": True, "kind": 7, "name": "x" * 999}]
    pod["status"]["containerStatuses"][0]["containerID"] = "containerd://../../etc"
    pod["status"]["containerStatuses"][0]["state"] = {"running": {"startedAt": "yesterday"}}
    found = read_pod(pod)
    assert (len(found.labels), found.labels["ok"], found.owner) == (32, "", "")
    assert (found.containers[0].id, found.containers[0].started_unix_s) != (container_id(1), 0)


def test_a_person_before_a_terminal_and_a_static_pod():
    pod = api_pod(1, "a", spec={"containers": [{"name": "sh", "image": "x", "stdin": True, "tty": True}]})
    hashed = "0123456789abcdef0123456789abcdef"
    pod["metadata"]["annotations"] = {"kubernetes.io/config.hash": hashed}
    found = read_pod(pod)
    assert found.containers[0].interactive
    assert (found.uid, found.cgroup_uid) == (uid(1), hashed)


@pytest.mark.parametrize(
    ("given", "gpus", "unknown"),
    [
        (ContainerDevices("a", "b", "c", (("nvidia.com/gpu", "2"),)), (GPUS[2],), 0),
        (ContainerDevices("a", "b", "c", (("nvidia.com/gpu", "9"),)), (), 1),
        (ContainerDevices("a", "b", "c", (("nvidia.com/gpu", "GPU-../../x"),)), (), 1),
        (
            ContainerDevices("a", "b", "c", (), (Claim("", "", "", ("k8s.gpu.nvidia.com/device=gpu-0",)),)),
            (GPUS[0],),
            0,
        ),
        (ContainerDevices("a", "b", "c", (), (Claim("gpu.nvidia.com", "n", "gpu-0-mig-9-0-1"),)), (), 1),
        (ContainerDevices("a", "b", "c", (), (Claim("net.example", "n", "gpu-0"),)), (), 0),
    ],
)
def test_names_of_devices(given, gpus, unknown):
    found = allotment_of(given, DEVICES, {0: GPUS[0]}, GpuNames())
    assert (found.gpus, found.unknown) == (gpus, unknown)


def test_a_part_of_a_claimed_device_is_a_share():
    claim = Claim("gpu.nvidia.com", "n", "gpu-0", shared=True)
    assert not allotment_of(ContainerDevices("a", "b", "c", (), (claim,)), DEVICES, {0: GPUS[0]}, GpuNames()).alone


def test_minor_numbers_are_the_drivers(tmp_path):
    (tmp_path / "0000:01:00.0").mkdir()
    text = f"Model: \t\t NVIDIA H100\nGPU UUID: \t {GPUS[3]}\nDevice Minor: \t 5\n"
    (tmp_path / "0000:01:00.0" / "information").write_text(text)
    assert uuids_by_minor(tmp_path) == {5: GPUS[3]}


def test_the_table_of_jobs_finds_a_real_process_in_a_real_cgroup(provider, node, server):
    """Two pods share a GPU; whose a process on it is, its cgroup tells."""
    server.pods = [api_pod(1, "train-0"), api_pod(2, "other")]
    node.reply = lambda: kubelet.answer(kubelet.pod("train-0", f"{GPUS[0]}::0"), kubelet.pod("other", f"{GPUS[0]}::1"))
    table = JobTable([provider], wait_s=None)
    with kubelet.hierarchy() as root:
        folder = root / f"kubepods-pod{uid(1).replace('-', '_')}.slice" / f"cri-containerd-{container_id(1)}.scope"
        with kubelet.sleeper(folder) as pid:
            table.refresh({GPUS[0]: frozenset({pid})}, DEVICES, 1.0, 1.0)
            assert table.owner(pid) == Owner(f"pod:{uid(1)}/c", (GPUS[0],))
            assert {job.pod for job in table.jobs_on(GPUS[0])} == {"train-0", "other"}
            assert table.own_pids(GPUS[0]) == frozenset()
    table.close()
