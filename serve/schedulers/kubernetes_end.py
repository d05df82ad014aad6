"""Ending a pod: by eviction, and where the policy says so by deletion, once its budgets have blocked that long enough.

Whose budgets those are is in `hashwarden.serve.schedulers.kubernetes_budget`. How long they have blocked is kept in
memory alone: after a restart of the agent the wait begins anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from hashwarden.serve.schedulers.kubernetes_api import Answer, ApiAway, KubernetesApi
from hashwarden.serve.schedulers.kubernetes_budget import find_blockers
from hashwarden.serve.schedulers.kubernetes_pod import PodPlace, delete, evict
from hashwarden.serve.schedulers.scheduler import Action, ActionKind

__all__ = ["PodEnd"]

_BLOCKED: Final = frozenset({429, 500})
"""A budget allows no eviction now; there are two of them, for which there is no way but an error."""

_MOST: Final = 1000
_OLD: Final = 'no kind "Eviction" is registered'


@final
class PodEnd:
    """See the module.

    Parameters
    ----------
    api : KubernetesApi
    steady : callable
        Seconds of a clock that nobody sets.
    """

    def __init__(self, api: KubernetesApi, steady: Callable[[], float] = time.monotonic) -> None:
        self._api, self._steady = api, steady
        self._since: dict[str, float] = {}

    def ask(self, action: Action, place: PodPlace, pod: Mapping[str, Any]) -> tuple[Answer, str]:
        """Ask for the end of a pod, as it was read; the answer, and what is to be told of the way.

        Raises
        ------
        ApiAway
            If the API server does not answer, or budgets still block.
        """
        if action.kind is not ActionKind.EVICT:
            return delete(self._api, place, pod), ""
        try:
            answer = evict(self._api, place, pod)
        except ApiAway as away:
            if away.status not in _BLOCKED or action.parameters.get("despite_budgets") not in {"own", "all"}:
                raise
            return self._despite(action, place, pod, away)
        if answer.status == 400 and _OLD in answer.words:
            return Answer(400, {"message": "evictions need policy/v1, of Kubernetes 1.22 or newer"}), ""
        return answer, ""

    def _despite(
        self, action: Action, place: PodPlace, pod: Mapping[str, Any], away: ApiAway
    ) -> tuple[Answer, str]:  # fmt: skip
        """Delete it, if nothing but budgets blocks, they have done so long enough, and they may be passed over."""
        found = find_blockers(self._api, place, pod)
        if found.refused is not None:
            raise ApiAway(f"{away}; budgets cannot be read: {found.refused.words}")
        if not found.names:
            raise away  # the server has too much to do
        named = "budget " + ", ".join(found.names)
        if found.others and action.parameters["despite_budgets"] != "all":
            raise ApiAway(f"{away}; {named} is heeded, for it protects others too: {found.others}")
        left_s = float(action.parameters.get("evict_wait_s", "0")) - self._waited_s(action.id)
        if left_s > 0:
            raise ApiAway(f"{away}; {named} is passed over if it still forbids this in {left_s:.0f} s")
        answer = delete(self._api, place, pod)
        if answer.status == 403:
            raise ApiAway(f"{away}; deletion: {answer.words}")
        return answer, f"deleted, for {named} did not allow to evict it; "

    def _waited_s(self, action: str) -> float:
        """Since a budget first blocked this action."""
        now = self._steady()
        since = self._since.setdefault(action, now)
        while len(self._since) > _MOST:
            self._since.pop(next(iter(self._since)), None)
        return now - since
