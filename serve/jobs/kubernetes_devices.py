"""From what kubelet calls a device to the UUID of a GPU or a MIG instance.

NVIDIA's device plugin names devices by UUID (``GPU-…``, ``MIG-…``); one that it shares has replicas, ``GPU-…::3``, and
whoever holds a replica does not hold the GPU for itself. Its other strategy names them by number (``0``), and MIG
instances by ``gpu:instance``. NVIDIA's driver for dynamic resource allocation names them by minor number, ``gpu-0``.

Sources: NVIDIA/k8s-device-plugin internal/rm/device_map.go, devices.go (AnnotatedID); NVIDIA/k8s-dra-driver-gpu
cmd/gpu-kubelet-plugin/deviceinfo.go (CanonicalName); ``/proc/driver/nvidia/gpus/*/information``, README of the driver.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple, final

from hashwarden.serve.jobs.device_names import DRIVER, read_minors
from hashwarden.serve.jobs.pod_resources_wire import Claim, ContainerDevices
from hashwarden.serve.sources.source import Device

__all__ = ["DRIVERS", "RESOURCES", "Allotment", "GpuNames", "allotment_of", "uuids_by_minor"]

RESOURCES: Final = ("nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-*")
"""Resources whose devices are GPUs or parts of them."""

DRIVERS: Final = ("gpu.nvidia.com",)
"""Drivers of dynamic resource allocation whose devices are."""

_UUID: Final = re.compile(r"(?:GPU|MIG)-[0-9a-fA-F-]{36}|MIG-GPU-[0-9a-fA-F-]{36}/\d{1,2}/\d{1,2}")
_NUMBER: Final = re.compile(r"\d{1,3}")
_CDI: Final = re.compile(
    r"k8s\.gpu\.nvidia\.com/[a-z]{1,16}=(?:[0-9a-f-]{36}-)?(?P<name>gpu-\d{1,3}(?:-mig-[\d-]{1,20})?)"
)
_CLAIMED: Final = re.compile(r"gpu-(\d{1,3})")


@final
class Allotment(NamedTuple):
    """What one container was given.

    Attributes
    ----------
    gpus : tuple of str
        UUIDs, each once, sorted.
    alone : bool
        Whether none of them was given as a share.
    unknown : int
        Devices of GPUs that could not be told.
    """

    gpus: tuple[str, ...]
    alone: bool
    unknown: int


def uuids_by_minor(driver: Path = DRIVER) -> dict[int, str]:
    """UUIDs of the GPUs by their minor number; empty without a driver."""
    return {minor: uuid for uuid, minor in read_minors(driver).items()}


def _by_number(number: str, devices: Sequence[Device]) -> str | None:
    """UUID of the whole GPU of this number."""
    return next((d.gpu for d in devices if d.mig is None and str(d.index) == number), None)


def _of_plugin(device: str, devices: Sequence[Device]) -> str | None:
    plain = device.split("::", 1)[0]
    if _UUID.fullmatch(plain):
        return plain
    return _by_number(plain, devices) if _NUMBER.fullmatch(plain) else None


def _of_claim(claim: Claim, minors: Mapping[int, str]) -> list[str | None]:
    """UUIDs of a claim; None for each device that is a GPU, but cannot be told (a MIG instance by its placement)."""
    names = [claim.device] if claim.device else [m["name"] for name in claim.cdi if (m := _CDI.fullmatch(name))]
    matches = [_CLAIMED.fullmatch(name) for name in names]
    return [minors.get(int(match[1])) if match else None for match in matches]


def _wanted(resource: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(resource, pattern) for pattern in patterns)


@final
@dataclass(frozen=True, slots=True)
class GpuNames:
    """What stands for GPUs here.

    Attributes
    ----------
    resources : tuple of str
        Names of resources, with ``*``; others are no GPUs.
    drivers : tuple of str
        Of dynamic resource allocation.
    minors : callable
        UUIDs of the GPUs by minor number; for claims.
    """

    resources: tuple[str, ...] = RESOURCES
    drivers: tuple[str, ...] = DRIVERS
    minors: Callable[[], Mapping[int, str]] = uuids_by_minor


def allotment_of(
    container: ContainerDevices, devices: Sequence[Device], minors: Mapping[int, str], names: GpuNames
) -> Allotment:
    """Read which GPUs a container was given.

    Parameters
    ----------
    container : ContainerDevices
        As kubelet tells.
    devices : sequence of Device
        Those of this node, for devices that are named by number.
    minors : mapping of int to str
        What ``names.minors`` gave.
    names : GpuNames
    """
    named = [device for resource, device in container.devices if _wanted(resource, names.resources)]
    found = [_of_plugin(device, devices) for device in named]
    alone = not any("::" in device for device in named)
    for claim in container.claims:
        if claim.driver in names.drivers or (not claim.driver and any(map(_CDI.fullmatch, claim.cdi))):
            found += _of_claim(claim, minors)
            alone = alone and not claim.shared
    return Allotment(tuple(sorted({gpu for gpu in found if gpu})), alone, sum(gpu is None for gpu in found))
