"""Pods whose disruption budgets block their eviction, against the stand-in and a real API server."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.schedulers.kubernetes import Kubernetes
from hashwarden.serve.schedulers.kubernetes_budget import selects, text_of
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Result, SchedulerAway

_SPEC = importlib.util.spec_from_file_location("kubernetes_cluster", Path(__file__).parent / "kubernetes_cluster.py")
kube = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(kube)

Cluster, action, EVICT = kube.Cluster, kube.action, ActionKind.EVICT


def despite(job: Job, budgets: str, name: str = "a1") -> Action:
    return replace(action(EVICT, job, name), parameters={"despite_budgets": budgets, "evict_wait_s": "300"})


def patient(cluster: Cluster) -> tuple[Kubernetes, list[float]]:
    """A scheduler, and its clock."""
    now = [1000.0]
    return Kubernetes(cluster.api, cluster.node, grace_s=1, sleep=lambda _s: None, steady=lambda: now[0]), now


@pytest.mark.parametrize("names", ["b", "bc"])
def test_a_pod_whose_own_budgets_block_its_eviction_is_deleted_after_a_while(names, cluster):
    """One budget that allows nothing, or two, for which eviction has no answer but an error."""
    job, _twin = cluster.pod(labels={"app": "x"}), cluster.pod("twin", labels={"app": "x"})
    for name in names:
        cluster.budget("x", name)
    scheduler, now = patient(cluster)
    for after_s in (0, 299):
        now[0] = 1000.0 + after_s
        with pytest.raises(SchedulerAway, match=f"passed over if it still forbids this in {300 - after_s} s"):
            scheduler.apply(despite(job, "own"))
    assert cluster.get(cluster.path()) is not None
    now[0] += 1
    outcome = scheduler.apply(despite(job, "own"))
    words = f"deleted, for budget {', '.join(names)} did not allow to evict it; the pod is gone"
    assert (outcome.result, outcome.detail) == (Result.DONE, words)
    assert cluster.get(cluster.path()) is None
    assert cluster.get(cluster.path("twin")) is not None
    assert scheduler.apply(despite(job, "own")).result is Result.ALREADY


def test_a_budget_that_protects_others_too_is_heeded_unless_none_is(cluster):
    job, _other = cluster.pod(labels={"app": "x"}), cluster.pod("web-0", account="web", labels={"app": "x"})
    cluster.budget("x")
    scheduler, now = patient(cluster)
    for _ in range(2):
        with pytest.raises(SchedulerAway, match="protects others too: pod web-0 of service account web"):
            scheduler.apply(despite(job, "own"))
        now[0] += 1000
    with pytest.raises(SchedulerAway, match="passed over"):
        scheduler.apply(despite(job, "all"))
    now[0] += 300
    assert scheduler.apply(despite(job, "all")).result is Result.DONE


def test_without_a_word_of_the_policy_budgets_are_heeded_for_ever(cluster):
    job = cluster.pod(labels={"app": "x"})
    cluster.budget("x")
    scheduler, now = patient(cluster)
    for parameters in ({}, {"despite_budgets": "none", "evict_wait_s": "0"}):
        now[0] += 10_000
        with pytest.raises(SchedulerAway, match="disruption budget"):
            scheduler.apply(replace(action(EVICT, job), parameters=parameters))
    assert cluster.get(cluster.path()) is not None


@pytest.mark.parametrize("cluster", ["stand-in"], indirect=True)
@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ({("POST", "/eviction"): 429}, "cannot post"),  # no budget: the server has too much to do
        ({("GET", "/poddisruptionbudgets"): 403}, "budgets cannot be read: 403"),
        ({("GET", "/pods?"): 403}, "its pods cannot be listed: 403"),
        ({("DELETE", "/pods/"): 403}, "deletion: 403"),
    ],
)
def test_what_is_no_budget_or_not_allowed_is_waited_for(cluster, refused, words):
    job = cluster.pod(labels={"app": "x"})
    if ("POST", "/eviction") not in refused:
        cluster.budget("x")
    cluster.server.refuse = refused
    scheduler, now = patient(cluster)
    for _ in range(2):
        with pytest.raises(SchedulerAway, match=r"4(03|29)") as away:
            scheduler.apply(despite(job, "own"))
        now[0] += 10_000
    assert words in str(away.value)
    assert cluster.get(cluster.path()) is not None


@pytest.mark.parametrize(
    ("selector", "holds"),
    [
        ({}, True),
        (None, False),
        ({"matchLabels": {"app": "x"}}, True),
        ({"matchLabels": {"app": "y"}}, False),
        ({"matchLabels": {"app": "x", "tier": "y"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["y", "x"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["y", "x"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["y"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "x"}, "matchExpressions": [{"key": "t/x", "operator": "DoesNotExist"}]}, True),
    ],
)
def test_selectors_select_here_what_they_select_there(cluster, selector, holds):
    """As the API server does with what is asked in a query."""
    cluster.pod(labels={"app": "x", "other": "z"})
    assert selects(selector, {"app": "x", "other": "z"}) is holds
    if selector is not None:
        path = f"/api/v1/namespaces/{cluster.namespace}/pods"
        found = cluster.api.call("GET", path, query={"labelSelector": text_of(selector)})
        assert (found.fine, len(found.body["items"])) == (True, int(holds))


@pytest.mark.slow
def test_an_api_server_that_is_too_old_to_evict_is_told_of(real_config):
    cluster = Cluster(real_config)
    if "policy/v1" in [group["groupVersion"] for group in cluster.get("/apis/policy")["versions"]]:
        pytest.skip("this API server is new enough")
    outcome = Kubernetes(cluster.api, cluster.node).apply(action(EVICT, cluster.pod()))
    assert (outcome.result, outcome.detail.endswith("of Kubernetes 1.22 or newer")) == (Result.REFUSED, True)
