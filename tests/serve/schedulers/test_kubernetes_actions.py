"""What can be asked of the API server, against a stand-in, and against a real one where HASHWARDEN_API_SERVER names it.

HASHWARDEN_API_SERVER=/path/to/kube-apiserver pytest -m 'slow or not slow' tests/serve/schedulers/test_kubernetes*
"""

import importlib.util
import time
from pathlib import Path

import pytest
import yaml

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.schedulers import kubernetes_pod
from hashwarden.serve.schedulers.kubernetes import CASE, VERDICT, Kubernetes, make
from hashwarden.serve.schedulers.kubernetes_access import from_kubeconfig
from hashwarden.serve.schedulers.kubernetes_api import MERGE_PATCH, KubernetesApi
from hashwarden.serve.schedulers.kubernetes_node import CORDONED
from hashwarden.serve.schedulers.kubernetes_pod import PodPlace
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.queue import ActionQueue
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Result, SchedulerAway

_SPEC = importlib.util.spec_from_file_location("kubernetes_cluster", Path(__file__).parent / "kubernetes_cluster.py")
kube = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(kube)

Cluster, action, fake, real = kube.Cluster, kube.action, kube.fake, kube.real
WARN, EVICT, CANCEL = ActionKind.WARN, ActionKind.EVICT, ActionKind.CANCEL


def _annotations(found: dict | None) -> dict:
    return (found or {"metadata": {}})["metadata"].get("annotations") or {}


def _events(cluster: Cluster) -> list[dict]:
    path = f"/apis/events.k8s.io/v1/namespaces/{cluster.namespace}/events"
    if cluster.server is not None:
        return [found for where, found in cluster.server.objects.items() if where.startswith(path)]
    return cluster.get(path)["items"]


def test_a_warning_is_an_event_and_annotations_and_given_once(cluster, scheduler):
    job = cluster.pod()
    hostile = "mining \x1b[31m\n" + "x" * 5000
    assert scheduler.apply(action(WARN, job, reason=hostile)).result is Result.DONE
    notes = _annotations(cluster.get(cluster.path()))
    assert notes[CASE] == "case-1"
    assert notes[VERDICT].startswith(r"mining \x1b[31m\x0a")
    (event,) = _events(cluster)
    assert (event["reportingController"], event["reportingInstance"]) == ("hashwarden.io/agent", cluster.node)
    assert (event["type"], event["action"], event["regarding"]["uid"]) == ("Warning", "Warn", job.key[4:-2])
    assert "\x1b" not in event["note"]
    assert len(event["note"].encode()) <= 1024
    assert scheduler.apply(action(WARN, job, reason=hostile)).result is Result.ALREADY
    assert "series" not in _events(cluster)[0]


def test_a_second_warning_of_a_case_is_counted_in_its_event(cluster, scheduler):
    job = cluster.pod()
    for name in ("a1", "a2", "a2", "a3"):
        scheduler.apply(action(WARN, job, name))
    (event,) = _events(cluster)
    assert event["series"]["count"] == 3
    scheduler.apply(action(WARN, job, "b1", case="case-2"))
    assert len(_events(cluster)) == 2


@pytest.mark.parametrize("kind", [EVICT, CANCEL])
def test_a_pod_ends_once(kind, cluster, scheduler):
    job = cluster.pod()
    done = scheduler.apply(action(kind, job))
    assert (done.result, done.detail) == (Result.DONE, "the pod is gone")
    assert cluster.get(cluster.path()) is None
    assert scheduler.apply(action(kind, job)).result is Result.ALREADY


@pytest.mark.parametrize("kind", [WARN, EVICT, CANCEL])
def test_a_pod_of_the_same_name_is_not_touched(kind, cluster, scheduler):
    old = cluster.pod()
    scheduler.apply(action(CANCEL, old))
    new = cluster.pod()
    before = cluster.get(cluster.path())
    outcome = scheduler.apply(action(kind, old, "a2"))
    assert (outcome.result, "another one" in outcome.detail) == (Result.ALREADY, True)
    assert cluster.get(cluster.path()) == before
    assert new.key != old.key
    assert _events(cluster) == []


def test_the_server_itself_refuses_what_is_of_another_pod(cluster):
    """Should the pod be exchanged between the look and the call."""
    job = cluster.pod()
    pod = cluster.get(cluster.path())
    other = PodPlace(cluster.namespace, "train-0", "00000000-0000-4000-8000-000000000000")
    assert kubernetes_pod.delete(cluster.api, other, pod).status == 409
    older = {"metadata": {"resourceVersion": "1"}}
    this = kubernetes_pod.place_of_job(job)
    assert kubernetes_pod.evict(cluster.api, this, older).status == 409
    assert kubernetes_pod.delete(cluster.api, this, older).status == 409
    assert cluster.get(cluster.path()) == pod


def test_a_disruption_budget_is_heeded_by_eviction_and_later_it_may_work(cluster, scheduler):
    job = cluster.pod(labels={"app": "x"})
    cluster.budget("x")
    with pytest.raises(SchedulerAway, match="disruption budget"):
        scheduler.apply(action(EVICT, job))
    assert cluster.get(cluster.path()) is not None
    assert scheduler.apply(action(CANCEL, job)).result is Result.DONE


def test_a_pod_that_takes_its_time_is_ending(cluster, scheduler):
    job = cluster.pod(grace_s=30)
    first, second = (scheduler.apply(action(EVICT, job, name)) for name in ("a1", "a2"))
    expected = [(Result.DONE, "the pod is ending"), (Result.ALREADY, "the pod is ending")]
    assert [(first.result, first.detail), (second.result, second.detail)] == expected


@pytest.mark.parametrize("kind", [EVICT, CANCEL])
def test_a_pod_whose_owner_wrote_that_it_takes_years_to_end_gets_minutes(kind, cluster, scheduler):
    job = cluster.pod(grace_s=10**8)
    assert scheduler.apply(action(kind, job)).result is Result.DONE
    assert cluster.get(cluster.path())["metadata"]["deletionGracePeriodSeconds"] == kubernetes_pod.LONGEST_GRACE_S


def test_a_pod_that_its_owner_ends_over_years_is_ended_in_minutes(cluster, scheduler):
    job = cluster.pod(grace_s=30)
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 10**8,
            "preconditions": {"uid": cluster.get(cluster.path())["metadata"]["uid"]}}  # fmt: skip
    assert cluster.api.call("DELETE", cluster.path(), body=body).fine
    assert scheduler.apply(action(EVICT, job)).result is Result.DONE
    assert cluster.get(cluster.path())["metadata"]["deletionGracePeriodSeconds"] == kubernetes_pod.LONGEST_GRACE_S
    assert scheduler.apply(action(EVICT, job, "a2")).result is Result.ALREADY


def test_a_static_pod_is_left_to_its_file(cluster, scheduler):
    job = cluster.pod(annotations={"kubernetes.io/config.mirror": "x"})
    assert scheduler.apply(action(EVICT, job)).result is Result.REFUSED
    assert cluster.get(cluster.path()) is not None


def test_a_cordon_is_lifted_when_its_last_case_is_released(cluster, scheduler):
    job, node = cluster.pod(), f"/api/v1/nodes/{cluster.node}"
    drain, release = ActionKind.DRAIN, ActionKind.RELEASE
    assert scheduler.apply(action(drain, job)).result is Result.DONE
    assert scheduler.apply(action(drain, job)).result is Result.ALREADY
    scheduler.apply(action(drain, job, "a2", case="case-2"))
    assert _annotations(cluster.get(node))[CORDONED] == "case-1,case-2"
    assert scheduler.apply(action(release, job)).result is Result.DONE
    assert cluster.get(node)["spec"]["unschedulable"] is True
    scheduler.apply(action(release, job, "a2", case="case-2"))
    assert "unschedulable" not in cluster.get(node)["spec"]
    assert CORDONED not in _annotations(cluster.get(node))
    assert scheduler.apply(action(release, job)).result is Result.ALREADY


def test_a_cordon_of_somebody_else_stays(cluster, scheduler):
    job, node = cluster.pod(), f"/api/v1/nodes/{cluster.node}"
    cluster.api.call("PATCH", node, body={"metadata": {}, "spec": {"unschedulable": True}}, content_type=MERGE_PATCH)
    assert scheduler.apply(action(ActionKind.DRAIN, job)).result is Result.ALREADY
    scheduler.apply(action(ActionKind.RELEASE, job))
    assert cluster.get(node)["spec"]["unschedulable"] is True


def test_release_takes_back_the_annotations_of_its_own_case(cluster, scheduler):
    job = cluster.pod(annotations={"mine": "stays"})
    scheduler.apply(action(WARN, job))
    assert scheduler.apply(action(ActionKind.RELEASE, job, case="case-2")).result is Result.ALREADY
    assert scheduler.apply(action(ActionKind.RELEASE, job)).detail == "annotations removed"
    assert _annotations(cluster.get(cluster.path())) == {"mine": "stays"}


def test_what_is_no_pod_or_no_name_is_refused(cluster, scheduler):
    nameless = Job("pod:00000000-0000-4000-8000-000000000000/abc", "kubernetes", "x")
    climbing = Job(f"{nameless.key}", "kubernetes", "x", namespace="a", pod="../../nodes/n1")
    for job in (nameless, climbing, Job("slurm:1", "slurm", "1", namespace="a", pod="b")):
        assert scheduler.apply(action(EVICT, job)).result is Result.REFUSED
    assert scheduler.apply(action(ActionKind.HOLD, cluster.pod())).result is Result.REFUSED
    assert ActionKind.HOLD not in scheduler.kinds


@pytest.mark.parametrize("cluster", ["stand-in"], indirect=True)
def test_a_pod_that_changes_meanwhile_is_asked_for_again(cluster, scheduler):
    job, left = cluster.pod(), [2]

    def change(path: str) -> None:
        if path.startswith(cluster.path()) and left[0]:
            left[0] -= 1
            cluster.server.version += 1
            cluster.server.objects[cluster.path()]["metadata"]["resourceVersion"] = str(cluster.server.version)

    cluster.server.before_write = change
    assert scheduler.apply(action(EVICT, job)).result is Result.DONE
    again, left[0] = cluster.pod(), 1000
    with pytest.raises(SchedulerAway, match="faster"):
        scheduler.apply(action(WARN, again, "a2"))


@pytest.mark.parametrize(
    ("refused", "result"),
    [
        ({("PATCH", "/pods/"): 403}, Result.DONE),
        ({("POST", "/events"): 403}, Result.DONE),
        ({("PATCH", "/pods/"): 403, ("POST", "/events"): 403}, Result.REFUSED),
        ({("GET", "/pods/"): 403}, Result.REFUSED),
    ],
)
def test_half_a_warning_is_one_and_rights_that_lack_are_told(refused, result, tmp_path):
    with fake.stand_in(tmp_path) as (server, authority):
        cluster = Cluster(
            kube.kubeconfig(tmp_path, f"https://127.0.0.1:{server.server_port}", authority, fake.TOKEN), server
        )
        job = cluster.pod()
        server.refuse = refused
        outcome = make(SchedulerOptions(node=cluster.node, kubeconfig=cluster.config)).apply(action(WARN, job))
        assert (outcome.result, "403" in outcome.detail) == (result, True)
        server.refuse = {("POST", "/eviction"): 403}
        outcome = Kubernetes(cluster.api, cluster.node).apply(action(EVICT, job))
        assert (outcome.result, outcome.detail) == (Result.REFUSED, "403: cannot post /eviction")


class _Log:
    """An audit log that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[EventKind] = []

    def append(self, kind: EventKind, body: dict, *, sync: bool = True) -> int:
        self.told.append(kind)
        return len(self.told)


@pytest.mark.parametrize("cluster", ["stand-in"], indirect=True)
def test_an_api_server_down_for_minutes_is_asked_again_and_nothing_is_done_twice(cluster, scheduler, tmp_path):
    """With the queue of actions: the server fails after it did the work, then for minutes, then answers."""
    now, log, done = [time.time()], _Log(), []
    job = cluster.pod()
    queue = ActionQueue(tmp_path / "queue", {"kubernetes": scheduler}, log, lambda: now[0], steady=lambda: now[0])
    for kind in (WARN, EVICT):
        queue.put(Action(f"case-1.{kind}", kind, job, "case-1", "mining", now[0], now[0] + 3600))
    cluster.server.refuse = {("POST", "/events"): 503}
    for minute in range(6):
        if minute == 3:
            cluster.server.refuse = {("POST", "/eviction"): 500}
        if minute == 5:
            cluster.server.refuse = {}
        for _ in range(3):
            done += queue.step(now[0])
            now[0] += 20
    queue.close()
    assert [(outcome.action, outcome.result) for outcome in done] == [
        ("case-1.warn", Result.DONE),
        ("case-1.evict", Result.DONE),
    ]
    assert cluster.get(cluster.path()) is None
    assert len(_events(cluster)) == 1
    assert (log.told.count(EventKind.INTENT), log.told.count(EventKind.ACTION)) == (2, 2)


@pytest.mark.slow
def test_the_rights_of_the_chart_are_enough_and_no_more(real_config, monkeypatch):
    """The ClusterRole of the example that enforces, bound to a service account with a token of a real server."""
    admin = Cluster(real_config)
    monkeypatch.setattr(kubernetes_pod, "POLICY", admin.get("/apis/policy")["versions"][0]["groupVersion"])
    rendered = Path(__file__).parents[3] / "deploy" / "kubernetes" / "rendered" / "enforce.yaml"
    admin.create("/api/v1/namespaces", {"metadata": {"name": "hashwarden"}})
    for document in filter(None, yaml.safe_load_all(rendered.read_text())):
        group = document["apiVersion"]
        place = f"/apis/{group}" if "/" in group else f"/api/{group}"
        inside = f"/namespaces/{space}" if (space := document["metadata"].get("namespace")) else ""
        plural = document["kind"].lower().replace("policy", "policie") + "s"
        admin.create(f"{place}{inside}/{plural}", document)
    asked = {"spec": {"audiences": ["https://here"], "expirationSeconds": 3600}}
    token = admin.create("/api/v1/namespaces/hashwarden/serviceaccounts/hashwarden/token", asked)["status"]["token"]
    port = int(admin.api._access.server.rsplit(":", 1)[1])
    agent = KubernetesApi(from_kubeconfig(real.write_kubeconfig(real_config.parent, port, token)))
    scheduler, job = Kubernetes(agent, admin.node, grace_s=1), admin.pod()
    assert agent.call("GET", "/api/v1/pods", query={"fieldSelector": f"spec.nodeName={admin.node}"}).fine
    said = [scheduler.apply(action(kind, job, kind)).result for kind in (WARN, ActionKind.DRAIN, CANCEL, EVICT)]
    assert said == [Result.DONE, Result.REFUSED, Result.REFUSED, Result.DONE]
    for path in ("/api/v1/secrets", "/api/v1/nodes", "/api/v1/namespaces", "/apis/apps/v1/deployments"):
        assert agent.call("GET", path).status == 403
