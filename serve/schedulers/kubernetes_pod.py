"""One pod through the API, and only that one: whatever is asked of it is bound to its UID.

A pod that was made anew under the same name (every StatefulSet does that) is another pod: it was not judged. So every
deletion carries the UID as a precondition, and every change the version of the very object that was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.kubernetes_key import is_name, pod_uid
from hashwarden.serve.schedulers.kubernetes_api import MERGE_PATCH, Answer, ApiAway, KubernetesApi, path_of

__all__ = [
    "LONGEST_GRACE_S", "POLICY", "PodPlace", "annotate", "annotations_of", "delete", "ends_soon", "evict", "get_pod",
    "place_of_job",
]  # fmt: skip

POLICY: Final = "policy/v1"
"""Group and version of an Eviction; since Kubernetes 1.22."""

LONGEST_GRACE_S: Final = 300
"""Seconds that a pod gets to end, however long its owner wrote that it takes: he could write years."""

_TRIES: Final = 5
"""Status updates of kubelet change a pod's version a few times a minute."""


@final
@dataclass(frozen=True, slots=True)
class PodPlace:
    """Which pod it is."""

    namespace: str
    name: str
    uid: str

    @property
    def path(self) -> str:
        """Of the object, in the API."""
        return path_of("api", "v1", "namespaces", self.namespace, "pods", self.name)

    def is_(self, body: Mapping[str, Any]) -> bool:
        """Whether an object is this pod."""
        metadata = body.get("metadata")
        return isinstance(metadata, dict) and metadata.get("uid") == self.uid


def place_of_job(job: Job) -> PodPlace | None:
    """Pod of a job; None if its name or UID is not known."""
    uid = pod_uid(job)
    return PodPlace(job.namespace, job.pod, uid) if uid and is_name(job.namespace) and is_name(job.pod) else None


def annotations_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Annotations of an object."""
    metadata = body.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def get_pod(api: KubernetesApi, place: PodPlace) -> Answer:
    """Get the pod; one of the same name with another UID counts as 404."""
    answer = api.call("GET", place.path)
    if answer.fine and not place.is_(answer.body):
        return Answer(404, {"message": "there is a pod of this name, but it is another one"})
    return answer


def annotate(api: KubernetesApi, place: PodPlace, wanted: Mapping[str, str | None]) -> Answer:
    """Set annotations of the pod; None takes one away.

    Raises
    ------
    ApiAway
        Also if others change it all the time.
    """
    for _ in range(_TRIES):
        pod = get_pod(api, place)
        if not pod.fine:
            return pod
        version = pod.body["metadata"].get("resourceVersion")
        change = {"metadata": {"uid": place.uid, "resourceVersion": version, "annotations": dict(wanted)}}
        answer = api.call("PATCH", place.path, body=change, content_type=MERGE_PATCH)
        if answer.status != 409:
            return answer
    raise ApiAway(f"{place.path} changes faster than it can be annotated")


def _preconditions(place: PodPlace, pod: Mapping[str, Any]) -> dict[str, Any]:
    """That it is this very pod, as it was read: without the version the server itself tries an eviction for minutes."""
    return {"uid": place.uid, "resourceVersion": pod["metadata"].get("resourceVersion")}


def _grace_s(pod: Mapping[str, Any]) -> dict[str, int]:
    """Given only where the pod asks for too long; then the API server takes a shorter one, of a pod that ends too."""
    spec = pod.get("spec")
    wanted = spec.get("terminationGracePeriodSeconds") if isinstance(spec, dict) else None
    return {"gracePeriodSeconds": LONGEST_GRACE_S} if _is_long(wanted) or not ends_soon(pod) else {}


def _is_long(seconds: object) -> bool:
    return isinstance(seconds, int) and seconds > LONGEST_GRACE_S


def ends_soon(pod: Mapping[str, Any]) -> bool:
    """Whether a pod that was told to end got no longer for it than it may have."""
    metadata = pod.get("metadata")
    return not (isinstance(metadata, dict) and _is_long(metadata.get("deletionGracePeriodSeconds")))


def evict(api: KubernetesApi, place: PodPlace, pod: Mapping[str, Any]) -> Answer:
    """Ask for eviction; disruption budgets are heeded (429, which is `ApiAway`), 409 if the pod is not as it was."""
    body = {
        "apiVersion": POLICY,
        "kind": "Eviction",
        "metadata": {"namespace": place.namespace, "name": place.name},
        "deleteOptions": {"preconditions": _preconditions(place, pod), **_grace_s(pod)},
    }
    return api.call("POST", place.path + "/eviction", body=body)


def delete(api: KubernetesApi, place: PodPlace, pod: Mapping[str, Any]) -> Answer:
    """Delete the pod, with the grace period that it asks for, up to `LONGEST_GRACE_S`; 409 if it is not as it was."""
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": _preconditions(place, pod), **_grace_s(pod)}
    return api.call("DELETE", place.path, body=body)
