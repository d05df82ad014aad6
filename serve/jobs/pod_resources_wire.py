"""The answer of kubelet's pod-resources API, read from protobuf's wire format, with limits on everything.

The API is published as ``staging/src/k8s.io/kubelet/pkg/apis/podresources/v1/api.proto`` of kubernetes/kubernetes
(Apache-2.0); the field numbers below are its. A few messages of strings need no generated code, and generated code
would tie the agent to one major version of the protobuf package, which Ray and ONNX tie to others. The tests compare
this reader with protobuf's own. The format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

__all__ = ["MOST_DEVICES", "MOST_PODS", "Claim", "ContainerDevices", "WireError", "read_allocatable", "read_pods"]

MOST_PODS: Final = 2048
"""Pods of one node; kubelet's own default limit is 110."""
MOST_DEVICES: Final = 16384
"""Device ids in one answer: time slicing multiplies them."""
LONGEST: Final = 1024
"""Bytes of one string; names of Kubernetes have 253 at most."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no such message, or one beyond the limits."""


@final
@dataclass(frozen=True, slots=True)
class Claim:
    """A device that a container has through dynamic resource allocation.

    Attributes
    ----------
    driver, pool, device : str
        As the driver's ResourceSlice names it: ``gpu.nvidia.com``, the node, ``gpu-0``; empty before Kubernetes 1.31.
    cdi : tuple of str
        CDI names: ``k8s.gpu.nvidia.com/claim=UID-gpu-0``.
    shared : bool
        Whether the device may be claimed in parts (it has a share id).
    """

    driver: str
    pool: str
    device: str
    cdi: tuple[str, ...] = ()
    shared: bool = False


@final
@dataclass(frozen=True, slots=True)
class ContainerDevices:
    """What one container was given.

    Attributes
    ----------
    namespace, pod, container : str
        Names; not unique over time.
    devices : tuple of (str, str)
        Name of the resource, id of the device.
    claims : tuple of Claim
    """

    namespace: str
    pod: str
    container: str
    devices: tuple[tuple[str, str], ...] = ()
    claims: tuple[Claim, ...] = ()


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise WireError("the answer ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise WireError("a number of more than ten bytes")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of the fields that are strings or messages; the others are stepped over."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            size, at = _varint(data, at)
            if size > len(data) - at:
                raise WireError("the answer ends inside a field")
            yield number, data[at : at + size]
            at += size
        else:
            at = _after(data, at, kind)


def _after(data: memoryview, at: int, kind: int) -> int:
    if kind == _VARINT:
        return _varint(data, at)[1]
    if kind not in {_FIXED64, _FIXED32}:
        raise WireError(f"wire type {kind}")
    at += 8 if kind == _FIXED64 else 4
    if at > len(data):
        raise WireError("the answer ends inside a field")
    return at


def _text(data: memoryview) -> str:
    if len(data) > LONGEST:
        raise WireError(f"a string of {len(data)} bytes")
    return str(data, "utf-8", "replace")


def _last_text(data: memoryview) -> str:
    """Field 1 of a message that has nothing else; given twice, the last counts."""
    text = ""
    for number, field in _fields(data):
        if number == 1:
            text = _text(field)
    return text


@final
class _Budget:
    """What one answer may still hold."""

    def __init__(self) -> None:
        self.devices = MOST_DEVICES

    def spend(self) -> None:
        self.devices -= 1
        if self.devices < 0:
            raise WireError(f"more than {MOST_DEVICES} devices")


def _claim(data: memoryview, budget: _Budget) -> Claim:
    named, cdi, shared = {2: "", 3: "", 4: ""}, [], False
    for number, field in _fields(data):
        if number == 1:
            budget.spend()
            cdi.append(_last_text(field))
        elif number in named:
            named[number] = _text(field)
        elif number == 5:
            shared = len(field) > 0
    return Claim(named[2], named[3], named[4], tuple(cdi), shared)


def _device_ids(data: memoryview, budget: _Budget) -> list[tuple[str, str]]:
    resource, ids = "", []
    for number, field in _fields(data):
        if number == 1:
            resource = _text(field)
        elif number == 2:
            budget.spend()
            ids.append(_text(field))
    return [(resource, device) for device in ids]


def _claims(data: memoryview, budget: _Budget) -> list[Claim]:
    claims = []
    for number, field in _fields(data):
        if number == 4:
            budget.spend()
            claims.append(_claim(field, budget))
    return claims


def _container(data: memoryview, namespace: str, pod: str, budget: _Budget) -> ContainerDevices:
    name = ""
    devices: list[tuple[str, str]] = []
    claims: list[Claim] = []
    for number, field in _fields(data):
        if number == 1:
            name = _text(field)
        elif number == 2:
            devices += _device_ids(field, budget)
        elif number == 5:
            claims += _claims(field, budget)
    return ContainerDevices(namespace, pod, name, tuple(devices), tuple(claims))


def _pod(data: memoryview, budget: _Budget) -> list[ContainerDevices]:
    names, containers = {1: "", 2: ""}, []
    for number, field in _fields(data):
        if number in names:
            names[number] = _text(field)
        elif number == 3:
            budget.spend()
            containers.append(field)
    return [_container(field, names[2], names[1], budget) for field in containers]


def read_pods(answer: bytes) -> list[ContainerDevices]:
    """Read a ListPodResourcesResponse.

    Returns
    -------
    list of ContainerDevices
        Those that have devices or claims.

    Raises
    ------
    WireError
        If it is none, or holds more than the limits allow.
    """
    budget, pods, found = _Budget(), 0, []
    for number, field in _fields(memoryview(answer)):
        if number == 1:
            pods += 1
            if pods > MOST_PODS:
                raise WireError(f"more than {MOST_PODS} pods")
            found += [container for container in _pod(field, budget) if container.devices or container.claims]
    return found


def read_allocatable(answer: bytes) -> list[tuple[str, str]]:
    """Read an AllocatableResourcesResponse: name of the resource and id of each device that could be given.

    Raises
    ------
    WireError
        As `read_pods`.
    """
    budget, found = _Budget(), []
    for number, field in _fields(memoryview(answer)):
        if number == 1:
            found += _device_ids(field, budget)
    return found
