"""The node: cordoned for a case, and let go when the last case that asked for it is closed.

Whose it was is written on the node itself, so that a restarted agent knows, and a cordon that somebody else set stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hashwarden.serve.schedulers.kubernetes_api import MERGE_PATCH, Answer, ApiAway, KubernetesApi, path_of
from hashwarden.serve.schedulers.kubernetes_pod import annotations_of

__all__ = ["CORDONED", "cordon", "uncordon"]

CORDONED: Final = "hashwarden.io/cordoned-for"
"""Annotation of the node: cases, with commas between."""

_MOST_CASES: Final = 100
_TRIES: Final = 5


def _cases(node: Mapping[str, Any]) -> list[str]:
    return [case for case in str(annotations_of(node).get(CORDONED) or "").split(",") if case]


def _is_cordoned(node: Mapping[str, Any]) -> bool:
    spec = node.get("spec")
    return isinstance(spec, dict) and spec.get("unschedulable") is True


def _put(api: KubernetesApi, node: Answer, name: str, cases: list[str], *, free: bool) -> Answer:
    """Write the cases, and cordon or uncordon; 409 if somebody else was faster."""
    change = {
        "metadata": {
            "resourceVersion": node.body["metadata"].get("resourceVersion"),
            "annotations": {CORDONED: ",".join(cases) or None},
        },
        "spec": {"unschedulable": None if free else True},
    }
    return api.call("PATCH", path_of("api", "v1", "nodes", name), body=change, content_type=MERGE_PATCH)


def cordon(api: KubernetesApi, name: str, case: str) -> Answer | None:
    """Let the node take no new pods; None if nothing is left to do."""
    for _ in range(_TRIES):
        node = api.call("GET", path_of("api", "v1", "nodes", name))
        if not node.fine:
            return node
        cases = _cases(node.body)
        if _is_cordoned(node.body) and (not cases or case in cases or len(cases) >= _MOST_CASES):
            return None
        # Marks without a cordon are of a cordon that somebody lifted.
        kept = cases if _is_cordoned(node.body) else []
        answer = _put(api, node, name, [*kept, case], free=False)
        if answer.status != 409:
            return answer
    raise ApiAway(f"node {name} changes faster than it can be cordoned")


def uncordon(api: KubernetesApi, name: str, case: str) -> Answer | None:
    """Take back what `cordon` did for this case; None if it did nothing, or somebody lifted it."""
    for _ in range(_TRIES):
        node = api.call("GET", path_of("api", "v1", "nodes", name))
        if not node.fine:
            return node
        cases = _cases(node.body)
        if case not in cases:
            return None
        left = [one for one in cases if one != case]
        answer = _put(api, node, name, left, free=not left or not _is_cordoned(node.body))
        if answer.status != 409:
            return answer
    raise ApiAway(f"node {name} changes faster than it can be uncordoned")
