"""Kubernetes as a scheduler: it warns by Events and annotations, evicts or deletes pods, and cordons the node.

Nothing is held or put back in a queue: a pod whose controller wants it back comes back, as another pod, perhaps on
another node. Whether the service account may do what is asked is the API server's business: its no is told as it is.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Final, final

from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.schedulers.kubernetes_access import find_access
from hashwarden.serve.schedulers.kubernetes_api import Answer, ApiAway, KubernetesApi
from hashwarden.serve.schedulers.kubernetes_end import PodEnd
from hashwarden.serve.schedulers.kubernetes_event import emit
from hashwarden.serve.schedulers.kubernetes_node import cordon, uncordon
from hashwarden.serve.schedulers.kubernetes_pod import (
    PodPlace,
    annotate,
    annotations_of,
    ends_soon,
    get_pod,
    place_of_job,
)
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Outcome, Result, SchedulerAway

__all__ = ["CASE", "VERDICT", "Kubernetes", "make"]

VERDICT: Final = "hashwarden.io/verdict"
CASE: Final = "hashwarden.io/case"
"""Annotations of a pod that was warned."""

_STATIC: Final = "kubernetes.io/config.mirror"
_LONGEST: Final = 1000
_POLL_S: Final = 0.5
_TRIES: Final = 5


@final
class Kubernetes:
    """The API server as a scheduler.

    Parameters
    ----------
    api : KubernetesApi
    node : str
        Name of this node.
    grace_s : float
        How long an ending pod is waited for; it goes on ending after that.
    clock : callable
        Seconds since 1970.
    sleep : callable
        Waits for so many seconds.
    steady : callable
        Seconds of a clock that nobody sets.
    """

    def __init__(  # noqa: PLR0913  three clocks
        self,
        api: KubernetesApi,
        node: str,
        *,
        grace_s: float = 10.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._node, self._grace_s, self._clock, self._sleep = api, node, grace_s, clock, sleep
        self._ending = PodEnd(api, steady)

    @property
    def kinds(self) -> frozenset[ActionKind]:
        """What it can do, if the service account may."""
        return frozenset({ActionKind.WARN, ActionKind.EVICT, ActionKind.CANCEL, ActionKind.DRAIN, ActionKind.RELEASE})

    def apply(self, action: Action) -> Outcome:
        """Do it.

        Raises
        ------
        SchedulerAway
            If the API server does not answer, or a disruption budget does not allow it now.
        """
        place = place_of_job(action.job)
        try:
            if action.kind is ActionKind.DRAIN:
                return self._drain(action)
            if place is None:
                return Outcome(action.id, Result.REFUSED, "the name of the pod is not known")
            match action.kind:
                case ActionKind.WARN:
                    return self._warn(action, place)
                case ActionKind.EVICT | ActionKind.CANCEL:
                    return self._end(action, place)
                case ActionKind.RELEASE:
                    return self._release(action, place)
        except ApiAway as error:
            raise SchedulerAway(str(error)) from error
        return Outcome(action.id, Result.REFUSED, f"Kubernetes has no {action.kind}")

    def _warn(self, action: Action, place: PodPlace) -> Outcome:
        """Annotate and write an Event; one of them is a warning, if the service account may not do the other."""
        pod = get_pod(self._api, place)
        if not pod.fine:
            return _told(action, pod, "")
        verdict = action.parameters.get("verdict") or action.reason
        wanted = {VERDICT: shorten(printable(verdict), _LONGEST), CASE: action.case}
        answers = []
        if not wanted.items() <= annotations_of(pod.body).items():
            answers.append(("annotated", annotate(self._api, place, wanted)))
        event = emit(self._api, action, place, self._node, self._clock())
        if event.status == 409:
            return Outcome(action.id, Result.ALREADY, "the owner was told before")
        answers.append(("an Event was written", event))
        if any(answer.fine for _, answer in answers):
            said = "; ".join(done if answer.fine else answer.words for done, answer in answers)
            return Outcome(action.id, Result.DONE, said)
        return _told(action, answers[0][1], "")

    def _end(self, action: Action, place: PodPlace) -> Outcome:
        """Evict or delete, then wait until it is gone, but not for long."""
        for _ in range(_TRIES):
            pod = get_pod(self._api, place)
            if not pod.fine:
                return _told(action, pod, "")
            if _STATIC in annotations_of(pod.body):
                return Outcome(action.id, Result.REFUSED, "a static pod: a file on its node starts it")
            if pod.body["metadata"].get("deletionTimestamp") and ends_soon(pod.body):
                return self._gone(action, place, Result.ALREADY, "")
            answer, way = self._ending.ask(action, place, pod.body)
            if answer.fine:
                return self._gone(action, place, Result.DONE, way)
            if answer.status != 409:
                return _told(action, answer, "")
        raise ApiAway(f"{place.path} changes faster than it can be ended")

    def _gone(self, action: Action, place: PodPlace, result: Result, way: str) -> Outcome:
        """Wait for the pod to end; the answer stands whether it is waited for or not."""
        for _ in range(max(1, int(self._grace_s / _POLL_S))):
            try:
                if get_pod(self._api, place).status == 404:
                    return Outcome(action.id, result, f"{way}the pod is gone")
            except ApiAway:
                break
            self._sleep(_POLL_S)
        return Outcome(action.id, result, f"{way}the pod is ending")

    def _drain(self, action: Action) -> Outcome:
        answer = cordon(self._api, self._node, action.case)
        if answer is None:
            return Outcome(action.id, Result.ALREADY, f"node {self._node} takes no pods already")
        return _told(action, answer, f"node {self._node} takes no new pods")

    def _release(self, action: Action, place: PodPlace) -> Outcome:
        """Take back the annotations of this case and its cordon; neither needs to be there."""
        pod = get_pod(self._api, place)
        ours = pod.fine and annotations_of(pod.body).get(CASE) == action.case
        taken = annotate(self._api, place, {VERDICT: None, CASE: None}) if ours else None
        if taken is not None and not taken.fine and taken.status != 404:
            return _told(action, taken, "")
        node = uncordon(self._api, self._node, action.case)
        # Who may not read the node did not cordon it either.
        lifted = node is not None and node.status not in {403, 404}
        if node is not None and lifted and not node.fine:
            return _told(action, node, "")
        done = [text for text, did in (("annotations removed", taken is not None), ("uncordoned", lifted)) if did]
        return Outcome(action.id, Result.DONE if done else Result.ALREADY, ", ".join(done) or "nothing was held")

    def close(self) -> None:
        """Give the connections back."""
        self._api.close()


def _told(action: Action, answer: Answer, done: str) -> Outcome:
    """What an answer means for the action."""
    if answer.fine:
        return Outcome(action.id, Result.DONE, done)
    if answer.status == 404:
        return Outcome(action.id, Result.ALREADY, f"the pod is gone: {answer.words}")
    return Outcome(action.id, Result.REFUSED, answer.words)


def make(options: SchedulerOptions) -> Kubernetes:
    """Make the scheduler of Kubernetes.

    Raises
    ------
    MissingExtraError
        If urllib3 or PyYAML is not installed.
    UsageError
        If there is no API server, or its file is not understood.
    """
    api = KubernetesApi(find_access(options.kubeconfig), timeout_s=options.timeout_s)
    return Kubernetes(api, options.node or platform.node(), grace_s=options.grace_s)
