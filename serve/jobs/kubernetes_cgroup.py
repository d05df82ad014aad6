"""From the path of a cgroup to the pod and the container: kubelet's and the runtimes' names, matched from the root on.

Two drivers of kubelet name pods in two ways, under v1 and v2 of cgroups alike::

    cgroupfs  /kubepods/burstable/pod<uid>/<container id>
    systemd   /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope

Guaranteed pods have no level of quality between; the systemd driver writes the dashes of a UID as underscores. With
``--cgroup-root`` and in kind, ``kubelet`` stands before all of it. A containerd that was not told of systemd takes
kubelet's path for a name: ``/system.slice/containerd.service/kubepods-…-pod<uid>.slice:cri-containerd:<id>``.

What lies below the container belongs to the container, which may have made it look like another pod's: it says nothing.
To a reader in a cgroup namespace of its own, as containers are by default under v2, the kernel shows the rest of the
machine as ``/../../kubepods-pod<uid>.slice/…``: the ancestors that both share are left out. What comes after the dots
is a child of one of the reader's own ancestors, and only kubelet and the runtime make those.

Sources: kubernetes/kubernetes pkg/kubelet/cm/cgroup_manager_linux.go, qos_container_manager_linux.go; the runtimes'
scope names from containerd/containerd internal/cri, cri-o/cri-o internal/config/cgmgr and moby/moby daemon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, final

__all__ = ["ContainerPlace", "place_of", "place_of_path"]

LONGEST_PATH: Final = 4096

_UID: Final = r"(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
_ID: Final = r"(?P<id>[0-9a-f]{64})"
_RUNTIME: Final = r"(?:cri-containerd|crio|docker)"
_SLICE: Final = r"(?:kubelet-)?kubepods(?:-burstable|-besteffort)?-pod" + _UID + r"\.slice"

_ROOTS: Final = re.compile(r"kubelet|kubelet\.slice|system\.slice|containerd\.service")
_SHARED: Final = re.compile(
    r"(?:kubelet-)?kubepods(?:\.slice)?|burstable|besteffort|(?:kubelet-)?kubepods-(?:burstable|besteffort)\.slice"
)
_POD: Final = re.compile(rf"{_SLICE}|pod{_UID.replace('(?P<uid>', '(?P<plain>')}")
_CONTAINER: Final = re.compile(rf"(?:{_RUNTIME}-)?{_ID}(?:\.scope)?")
_JOINED: Final = re.compile(rf"{_SLICE}:{_RUNTIME}:{_ID}")


@final
class ContainerPlace(NamedTuple):
    """Where a process runs.

    Attributes
    ----------
    pod_uid : str
        With dashes; of a static pod the hash of its manifest.
    container_id : str
        64 hexadecimal digits, as the runtime names it; empty for what runs in the pod, but in no container.
    """

    pod_uid: str
    container_id: str


def place_of_path(path: str) -> ContainerPlace | None:
    """Read one path of /proc/PID/cgroup.

    Returns
    -------
    ContainerPlace or None
        None if it is of no pod, or cannot be told.
    """
    if len(path) > LONGEST_PATH or not path.startswith("/"):
        return None
    parts = path.split("/")[1:]
    outside = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    return _from_the_root(parts[outside:], hidden=outside > 0)


def _from_the_root(parts: Sequence[str], *, hidden: bool) -> ContainerPlace | None:
    """Match the levels from the root on; where some are hidden, from any level down to the pod's."""
    level, shared = 0, False
    while level < len(parts) and _ROOTS.fullmatch(parts[level]):
        level += 1
    while level < len(parts) and _SHARED.fullmatch(parts[level]):
        level, shared = level + 1, True
    if level == len(parts):
        return None
    if joined := _JOINED.fullmatch(parts[level]):
        return ContainerPlace(_dashes(joined["uid"]), joined["id"])
    pod = _POD.fullmatch(parts[level])
    if pod is None or not (shared or hidden):
        return None
    container = _CONTAINER.fullmatch(parts[level + 1]) if level + 1 < len(parts) else None
    return ContainerPlace(_dashes(pod["uid"] or pod["plain"]), container["id"] if container else "")


def _dashes(uid: str) -> str:
    return uid.replace("_", "-")


def place_of(paths: Iterable[str]) -> ContainerPlace | None:
    """Read all paths of one process: one for each hierarchy, which all say the same.

    Returns
    -------
    ContainerPlace or None
        None if no path is of a pod, or if two name different ones: then it cannot be told.
    """
    found = {place for path in paths if (place := place_of_path(path)) is not None}
    return found.pop() if len(found) == 1 else None
