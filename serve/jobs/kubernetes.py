"""Pods as jobs: kubelet says which container was given which GPU, the cgroup of a process in which container it is.

kubelet's answer names pods by namespace and name, a cgroup by the UID of the pod; the API server knows both. Without it
(it is not asked, it refuses, or it never answered) a process is still told apart by UID, but its pod has no name, so
that nothing can be asked of it, and what kubelet gave to whom cannot be told.

A job is a container of a pod: ``pod:UID/CONTAINER``. A container that was started anew is the same job.
"""

from __future__ import annotations

import platform
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.kubernetes_cgroup import ContainerPlace, place_of
from hashwarden.serve.jobs.kubernetes_devices import Allotment, GpuNames, allotment_of, uuids_by_minor
from hashwarden.serve.jobs.kubernetes_key import job_key
from hashwarden.serve.jobs.kubernetes_pods import Pod, PodContainer, list_pods
from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.pod_resources import SOCKET, PodResources
from hashwarden.serve.jobs.provider import ProcessFacts, ProviderAway
from hashwarden.serve.schedulers.kubernetes_access import look_for_access
from hashwarden.serve.schedulers.kubernetes_api import ApiAway, KubernetesApi
from hashwarden.serve.sources.source import Device

__all__ = ["STALE", "Kubernetes", "make"]

STALE: Final = "hashwarden.io/stale"
"""Label of a job whose pod could not be confirmed lately."""

_EVERY_S: Final = 30.0
"""Time between two lists of pods."""
_SOON_S: Final = 2.0
"""Shortest time between two lists of pods, when there is a pod that the last one did not have."""
_LONGEST_WAIT_S: Final = 300.0
_MOST_WANTED: Final = 1024
_NONE: Final = Allotment((), False, 0)


@final
@dataclass(frozen=True, slots=True)
class _Known:
    """What was learnt, whole; made anew and put in place of the last at once, so that readers need no lock.

    Attributes
    ----------
    by_container : mapping of (str, str) to Job
        By the UID of the cgroup and the id of the container.
    pods : mapping of str to Pod
        By the UID of the cgroup.
    allotted : mapping of str to tuple of Job
        By UUID of the device.
    unnamed : int
        Containers with GPUs whose pod is not known.
    unknown : int
        Devices that are GPUs, but cannot be told.
    """

    by_container: Mapping[tuple[str, str], Job] = field(default_factory=dict)
    pods: Mapping[str, Pod] = field(default_factory=dict)
    allotted: Mapping[str, tuple[Job, ...]] = field(default_factory=dict)
    unnamed: int = 0
    unknown: int = 0


@final
class Kubernetes:
    """The provider for Kubernetes.

    Parameters
    ----------
    node : str
        Name of this node in Kubernetes.
    resources : PodResources
        kubelet's API.
    api : KubernetesApi, optional
        The API server, to name pods; None if it is not to be asked.
    gpus : GpuNames
        What stands for GPUs.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self,
        node: str,
        resources: PodResources,
        api: KubernetesApi | None = None,
        *,
        gpus: GpuNames | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node, self._resources, self._api, self._clock = node, resources, api, clock
        self._gpus = gpus or GpuNames()
        self._pods: tuple[Pod, ...] = ()
        self._next_s, self._asked_s, self._failures, self._why = float("-inf"), float("-inf"), 0, ""
        self._wanted: set[str] = set()
        self._strangers: set[str] = set()
        self._learnt_for: tuple[tuple[Device, ...], bool] = ((), False)
        self._known = _Known()

    @property
    def name(self) -> str:
        """What metrics call it."""
        return "kubernetes"

    @property
    def unnamed(self) -> int:
        """Containers with GPUs whose pod is not known."""
        return self._known.unnamed

    @property
    def unknown_devices(self) -> int:
        """Devices of GPUs that were given to somebody, but cannot be told."""
        return self._known.unknown

    def refresh(self, devices: Sequence[Device]) -> None:
        """Ask kubelet and the API server, each if it is time to; what was known of one that is away stays.

        Raises
        ------
        ProviderAway
            If one of them does not answer; what the other said is in.
        """
        wanted, self._wanted = self._wanted, set()
        wanted -= self._strangers
        kubelet, changed = "", False
        try:
            changed = self._resources.refresh(soon=bool(wanted))
        except ProviderAway as error:
            kubelet = str(error)
        if self._api is None:
            self._strangers = wanted if len(self._strangers) > _MOST_WANTED else self._strangers | wanted
        else:
            changed |= self._ask_for_pods(self._api, wanted)
        away = "; ".join(filter(None, (kubelet, self._why)))
        if changed or (tuple(devices), bool(away)) != self._learnt_for:
            self._learnt_for = tuple(devices), bool(away)
            self._known = _learn(self._pods, self._given(devices), stale=bool(away))
        if away:
            raise ProviderAway(away)

    def _ask_for_pods(self, api: KubernetesApi, wanted: set[str]) -> bool:
        """List the pods, if it is time to; whether there is a new list."""
        now = self._clock()
        soon = bool(wanted) and not self._failures and now >= self._asked_s + _SOON_S
        if now < self._next_s and not soon:
            self._wanted |= wanted
            return False
        self._asked_s = now
        try:
            found = list_pods(api, self._node)
        except ApiAway as error:
            found = str(error)
        self._why = f"API server: {found}" if isinstance(found, str) else ""
        self._failures = self._failures + 1 if self._why else 0
        self._next_s = now + min(_EVERY_S * 2.0 ** min(max(self._failures - 1, 0), 10), _LONGEST_WAIT_S)
        if isinstance(found, str):
            return False
        self._pods = found
        # Whom the server does not know either is not asked for again before the next regular list.
        self._strangers = wanted - {pod.cgroup_uid for pod in found}
        return True

    def _given(self, devices: Sequence[Device]) -> dict[tuple[str, str, str], Allotment]:
        """What kubelet gave, by namespace, pod and container; what two containers have, neither has for itself."""
        minors = self._gpus.minors() if any(container.claims for container in self._resources.known) else {}
        over = {(pod.namespace, pod.name) for pod in self._pods if pod.ended}
        given = {}
        for one in self._resources.known:
            allotment = allotment_of(one, devices, minors, self._gpus)
            if (allotment.gpus or allotment.unknown) and (one.namespace, one.pod) not in over:
                given[one.namespace, one.pod, one.container] = allotment
        holders = Counter(gpu for allotment in given.values() for gpu in allotment.gpus)
        return {
            name: one._replace(alone=one.alone and all(holders[gpu] == 1 for gpu in one.gpus))
            for name, one in given.items()
        }

    def job_of(self, process: ProcessFacts) -> Job | None:
        """Whose the process is, by its cgroup; None if it is in no pod."""
        place = place_of(process.paths)
        if place is None:
            return None
        known = self._known
        if (job := known.by_container.get((place.pod_uid, place.container_id))) is not None:
            return job
        if len(self._wanted) < _MOST_WANTED:
            self._wanted.add(place.pod_uid)
        return _unlisted(place, known.pods.get(place.pod_uid))

    def allotted(self) -> Mapping[str, tuple[Job, ...]]:
        """Which containers were given which devices; those without a name are left out, and counted in `unnamed`."""
        return self._known.allotted

    def close(self) -> None:
        """Give the connections back."""
        self._resources.close()
        if self._api is not None:
            self._api.close()


def _learn(pods: Sequence[Pod], given: Mapping[tuple[str, str, str], Allotment], *, stale: bool) -> _Known:
    """Join what the API server and kubelet said."""
    by_container: dict[tuple[str, str], Job] = {}
    allotted: dict[str, list[Job]] = defaultdict(list)
    named = set()
    for pod in pods:
        for one in pod.containers:
            name = pod.namespace, pod.name, one.name
            job = _job(pod, one, given.get(name, _NONE), stale=stale)
            named.add(name)
            if one.id:
                by_container[pod.cgroup_uid, one.id] = job
            for gpu in job.gpus:
                allotted[gpu].append(job)
    return _Known(
        by_container,
        {pod.cgroup_uid: pod for pod in pods},
        {gpu: tuple(jobs) for gpu, jobs in allotted.items()},
        len(given.keys() - named),
        sum(allotment.unknown for allotment in given.values()),
    )


def _job(pod: Pod, container: PodContainer, allotment: Allotment, *, stale: bool) -> Job:
    labels = dict(pod.labels)
    labels |= {"kubernetes.io/controller": pod.owner} if pod.owner else {}
    labels |= {STALE: "true"} if stale else {}
    return Job(
        key=job_key(pod.uid, container.name),
        kind="kubernetes",
        id=f"{pod.namespace}/{pod.name}/{container.name}",
        gpus=allotment.gpus,
        user=_account(pod),
        qos=pod.qos,
        namespace=pod.namespace,
        pod=pod.name,
        container=container.name,
        name=pod.owner.partition("/")[2] or pod.name,
        started_unix_s=container.started_unix_s,
        interactive=container.interactive,
        allotted=bool(allotment.gpus) and allotment.alone,
        labels=labels,
    )


def _account(pod: Pod) -> str:
    """As the API server calls it: tenants name their accounts themselves, and must not be taken for other users."""
    return f"system:serviceaccount:{pod.namespace}:{pod.service_account}" if pod.service_account else ""


def _unlisted(place: ContainerPlace, pod: Pod | None) -> Job:
    """A container that is not in any list, of a pod that may be: too new for it, or the API server is not asked."""
    short = place.container_id[:12]
    if pod is None:
        return Job(key=job_key(place.pod_uid, short), kind="kubernetes", id=f"{place.pod_uid}/{short}")
    return _job(pod, PodContainer(short), _NONE, stale=False)


def make(options: JobOptions) -> Kubernetes:
    """Make the provider of this node; without credentials for the API server it is not asked, and pods have no names.

    Raises
    ------
    MissingExtraError
        If grpcio, urllib3 or PyYAML is not installed.
    UsageError
        If there is a kubeconfig, but it is not understood.
    """
    access = look_for_access(options.kubeconfig)
    api = KubernetesApi(access, timeout_s=options.timeout_s) if access else None
    resources = PodResources(options.pod_resources / SOCKET.name, timeout_s=options.timeout_s)
    gpus = GpuNames(minors=lambda: uuids_by_minor(options.driver))
    return Kubernetes(options.node or platform.node(), resources, api, gpus=gpus)
