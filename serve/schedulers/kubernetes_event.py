"""Events of Kubernetes: what ``kubectl describe pod`` shows to the owner of the pod.

One Event for each case and pod; a second warning of the same case makes it a series with a count, and the same action
asked for twice changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.schedulers.kubernetes_api import MERGE_PATCH, Answer, ApiAway, KubernetesApi, path_of
from hashwarden.serve.schedulers.kubernetes_pod import PodPlace, annotations_of
from hashwarden.serve.schedulers.scheduler import Action

__all__ = ["ACTION", "CONTROLLER", "emit"]

CONTROLLER: Final = "hashwarden.io/agent"
ACTION: Final = "hashwarden.io/action"
"""Annotation with the id of the last action."""

LONGEST_NOTE: Final = 1024
"""Bytes, by the API."""
_TRIES: Final = 5


def _note(text: str) -> str:
    """Cut to the bytes that the API takes."""
    plain = printable(text)
    return plain if len(plain.encode()) <= LONGEST_NOTE else shorten(plain, LONGEST_NOTE // 4)


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _event(action: Action, place: PodPlace, node: str, name: str, unix_s: float) -> dict[str, Any]:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": place.namespace, "name": name, "annotations": {ACTION: action.id}},
        "eventTime": _time(unix_s),
        "reportingController": CONTROLLER,
        "reportingInstance": shorten(node, 128),
        "action": action.kind.value.capitalize(),
        "reason": "UnwelcomeComputation",
        "regarding": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": place.namespace,
            "name": place.name,
            "uid": place.uid,
        },
        "note": _note(action.reason),
        "type": "Warning",
    }


def emit(api: KubernetesApi, action: Action, place: PodPlace, node: str, unix_s: float) -> Answer:
    """Write the Event of an action, or count it in the one of its case.

    Returns
    -------
    Answer
        409 if this very action was written before.

    Raises
    ------
    ApiAway
        If the API server does not answer.
    """
    digest = hashlib.sha256("\0".join((action.case, place.uid, action.kind)).encode()).hexdigest()[:32]
    folder = ("apis", "events.k8s.io", "v1", "namespaces", place.namespace, "events")
    event = _event(action, place, node, f"hashwarden.{digest}", unix_s)
    for _ in range(_TRIES):
        answer = api.call("POST", path_of(*folder), body=event)
        if answer.status != 409:
            return answer
        answer = _count(api, path_of(*folder, event["metadata"]["name"]), event)
        if answer.status not in {404, 409} or answer.body.get("reason") == "AlreadyExists":
            return answer
    raise ApiAway("the Event of this case changes faster than it can be counted")


def _count(api: KubernetesApi, path: str, event: Mapping[str, Any]) -> Answer:
    """Add one to the Event that is there."""
    found = api.call("GET", path)
    if not found.fine:
        return found
    if annotations_of(found.body).get(ACTION) == event["metadata"]["annotations"][ACTION]:
        return Answer(409, {"reason": "AlreadyExists", "message": "this warning was given before"})
    series = found.body.get("series")
    count = series.get("count") if isinstance(series, dict) else 1
    change = {
        "metadata": {
            "resourceVersion": found.body["metadata"].get("resourceVersion"),
            "annotations": event["metadata"]["annotations"],
        },
        "series": {"count": (count if isinstance(count, int) else 1) + 1, "lastObservedTime": event["eventTime"]},
    }
    return api.call("PATCH", path, body=change, content_type=MERGE_PATCH)
