"""The pods of this node, as the API server knows them: by UID, with the names of their containers.

They are listed for this node only, from the server's cache (``resourceVersion=0``): a list from its store would have
it read every pod of the cluster, on every node, again and again. What is kept of a pod is little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, final

from hashwarden.serve.jobs.kubernetes_key import is_name
from hashwarden.serve.schedulers.kubernetes_api import KubernetesApi, path_of

__all__ = ["Pod", "PodContainer", "list_pods", "read_pod"]

MOST_PAGES: Final = 20
MOST_LABELS: Final = 32

_UID: Final = re.compile(r"[0-9a-f-]{32,36}")
_CONTAINER: Final = re.compile(r"[a-z-]{1,32}://([0-9a-f]{64})")
_STATUSES: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_SPECS: Final = ("initContainers", "containers", "ephemeralContainers")


@final
@dataclass(frozen=True, slots=True)
class PodContainer:
    """One container of a pod, as it runs now.

    Attributes
    ----------
    name : str
    id : str
        64 hexadecimal digits; empty if it was not started yet.
    started_unix_s : float
        NaN if it does not run.
    interactive : bool
        Whether it has a terminal and a standard input.
    """

    name: str
    id: str = ""
    started_unix_s: float = float("nan")
    interactive: bool = False


@final
@dataclass(frozen=True, slots=True)
class Pod:
    """One pod, as much of it as is of use.

    Attributes
    ----------
    uid : str
    cgroup_uid : str
        By which kubelet names its cgroup: the UID, but of a static pod the hash of its manifest.
    namespace, name : str
    service_account : str
    owner : str
        Kind and name of its controller, ``Job/train-7``; empty if it has none.
    qos : str
        ``Guaranteed``, ``Burstable``, ``BestEffort``.
    labels : mapping of str to str
        32 at most.
    containers : tuple of PodContainer
    ended : bool
        Whether it has succeeded or failed; kubelet may still name its devices, which others may have by then.
    """

    uid: str
    cgroup_uid: str
    namespace: str
    name: str
    service_account: str = ""
    owner: str = ""
    qos: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    containers: tuple[PodContainer, ...] = ()
    ended: bool = False


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> Iterator[Mapping[str, Any]]:
    yield from (item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def _text(value: object, longest: int = 253) -> str:
    return value if isinstance(value, str) and len(value) <= longest and value.isprintable() else ""


def read_pod(document: Mapping[str, Any]) -> Pod | None:
    """Read a Pod object of the API; None if it has no name or UID that can be."""
    metadata, spec, status = (_dict(document.get(key)) for key in ("metadata", "spec", "status"))
    uid, namespace, name = (_text(metadata.get(key)) for key in ("uid", "namespace", "name"))
    if not (_UID.fullmatch(uid) and is_name(namespace) and is_name(name)):
        return None
    static = _text(_dict(metadata.get("annotations")).get("kubernetes.io/config.hash"))
    owner = next((o for o in _dicts(metadata.get("ownerReferences")) if o.get("controller") is True), {})
    labels = [(_text(key, 317), _text(value, 63)) for key, value in _dict(metadata.get("labels")).items()]
    return Pod(
        uid=uid,
        cgroup_uid=static if _UID.fullmatch(static) else uid,
        namespace=namespace,
        name=name,
        service_account=_text(spec.get("serviceAccountName")),
        owner=f"{_text(owner.get('kind'))}/{_text(owner.get('name'))}" if _text(owner.get("name")) else "",
        qos=_text(status.get("qosClass")),
        labels=dict([pair for pair in labels if pair[0]][:MOST_LABELS]),
        containers=tuple(_containers(spec, status)),
        ended=status.get("phase") in {"Succeeded", "Failed"},
    )


def _containers(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Iterator[PodContainer]:
    running = {c.get("name"): c for key in _STATUSES for c in _dicts(status.get(key))}
    for container in (c for key in _SPECS for c in _dicts(spec.get(key))):
        name = _text(container.get("name"))
        if not is_name(name):
            continue
        now = _dict(running.get(name))
        found = _CONTAINER.fullmatch(_text(now.get("containerID")))
        started = _text(_dict(_dict(now.get("state")).get("running")).get("startedAt"))
        person = container.get("stdin") is True and container.get("tty") is True
        yield PodContainer(name, found[1] if found else "", _unix(started), person)


def _unix(text: str) -> float:
    """Seconds since 1970 of a time as the API writes it; NaN if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return float("nan")


def list_pods(api: KubernetesApi, node: str) -> tuple[Pod, ...] | str:
    """List the pods of a node.

    Returns
    -------
    tuple of Pod or str
        What the server says if it refuses.

    Raises
    ------
    ApiAway
        If it does not answer.
    """
    query = {"fieldSelector": f"spec.nodeName={node}", "resourceVersion": "0", "limit": "250"}
    found: list[Pod] = []
    for _ in range(MOST_PAGES):
        answer = api.call("GET", path_of("api", "v1", "pods"), query=query)
        if not answer.fine:
            return answer.words
        found += [pod for item in _dicts(answer.body.get("items")) if (pod := read_pod(item)) is not None]
        token = _dict(answer.body.get("metadata")).get("continue")
        if not token:
            break
        query = {"fieldSelector": query["fieldSelector"], "limit": "250", "continue": str(token)}
    return tuple(found)
