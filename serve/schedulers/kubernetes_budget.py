"""Disruption budgets that keep a pod from being evicted: which they are, and whom else they protect.

A budget is of one namespace. Whoever may write there can let it forbid every eviction of his own miner, or make two of
them, for which the eviction API has no answer but an error. So a policy may ask for such a pod to be deleted after a
while. A budget that also protects pods of other users is theirs as well, and stays in force unless the policy says
that none does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.schedulers import kubernetes_pod
from hashwarden.serve.schedulers.kubernetes_api import Answer, KubernetesApi, path_of
from hashwarden.serve.schedulers.kubernetes_pod import PodPlace

__all__ = ["Blockers", "find_blockers", "selects", "text_of"]

_MOST: Final = 500
"""Budgets of a namespace, and pods of a budget, that are looked through."""

_MOST_BLOCKERS: Final = 8
_OVER: Final = frozenset({"Succeeded", "Failed"})
_WORD: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?|", re.ASCII)


@final
@dataclass(frozen=True, slots=True)
class Blockers:
    """Budgets that speak for a pod.

    Attributes
    ----------
    names : tuple of str
    others : str
        Whom else they protect, in words; empty if nobody. What could not be looked through counts as somebody.
    refused : Answer or None
        Why they could not be read.
    """

    names: tuple[str, ...] = ()
    others: str = ""
    refused: Answer | None = None


def find_blockers(api: KubernetesApi, place: PodPlace, pod: Mapping[str, Any]) -> Blockers:
    """The budgets of a pod, and whether they protect pods of another service account.

    Raises
    ------
    ApiAway
        If the API server does not answer.
    """
    path = path_of("apis", *kubernetes_pod.POLICY.split("/"), "namespaces", place.namespace, "poddisruptionbudgets")
    answer = api.call("GET", path, query={"limit": str(_MOST)})
    if not answer.fine:
        return Blockers(refused=answer)
    labels = _part(pod, "metadata").get("labels")
    mine = [one for one in _items(answer) if selects(_part(one, "spec").get("selector"), labels)]
    names = tuple(shorten(printable(str(_part(one, "metadata").get("name"))), 80) for one in mine[:_MOST_BLOCKERS])
    if _goes_on(answer):
        return Blockers(names or ("one of many",), f"there are more than {_MOST} budgets")
    if len(mine) > _MOST_BLOCKERS:
        return Blockers(names, f"there are {len(mine)} budgets")
    said = (_others(api, place, _part(one, "spec")["selector"], _account(pod)) for one in mine)
    return Blockers(names, next(filter(None, said), ""))


def _others(api: KubernetesApi, place: PodPlace, selector: Mapping[str, Any], account: str) -> str:
    """Whose pods, but those of this service account, the budget is about."""
    query = {"labelSelector": text_of(selector), "limit": str(_MOST)}
    answer = api.call("GET", path_of("api", "v1", "namespaces", place.namespace, "pods"), query=query)
    if not answer.fine:
        return f"its pods cannot be listed: {answer.words}"
    live = [one for one in _items(answer) if _part(one, "status").get("phase") not in _OVER]
    for one in live:
        if _account(one) != account:
            name = shorten(printable(str(_part(one, "metadata").get("name"))), 80)
            return f"pod {name} of service account {shorten(printable(_account(one)), 80)}"
    return f"it is about more than {_MOST} pods" if _goes_on(answer) else ""


def selects(selector: object, labels: object) -> bool:
    """Whether a label selector of ``policy/v1`` selects a pod: an empty one selects all, none selects nothing."""
    if not isinstance(selector, dict):
        return False
    known = labels if isinstance(labels, dict) else {}
    return all(_holds(key, operator, values, known) for key, operator, values in _requirements(selector))


def text_of(selector: Mapping[str, Any]) -> str:
    """The selector as a query has it; what a query could not carry is left out, so that more pods are found."""
    parts = []
    for key, operator, values in _requirements(selector):
        if not all(_WORD.fullmatch(word) for word in (key, *values)):
            continue
        match operator:
            case "In" | "NotIn":
                parts.append(f"{key} {operator.lower()} ({','.join(values)})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def _requirements(selector: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for key, value in _part(selector, "matchLabels").items():
        yield str(key), "In", (str(value),)
    listed = selector.get("matchExpressions")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict):
            yield str(one.get("key")), str(one.get("operator")), tuple(str(value) for value in one.get("values") or ())


def _holds(key: str, operator: str, values: tuple[str, ...], labels: Mapping[str, Any]) -> bool:
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return True  # an operator of tomorrow: taken for one that holds


def _account(pod: Mapping[str, Any]) -> str:
    return str(_part(pod, "spec").get("serviceAccountName") or "default")


def _items(answer: Answer) -> list[Mapping[str, Any]]:
    found = answer.body.get("items")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _goes_on(answer: Answer) -> bool:
    """Whether there is more than was asked for."""
    return bool(_part(answer.body, "metadata").get("continue"))


def _part(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = of.get(name)
    return found if isinstance(found, dict) else {}
