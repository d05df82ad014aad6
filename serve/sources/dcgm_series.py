"""From samples to devices: of which GPU or MIG instance each is, whose work it is said to do, and what contradicts it.

Labels are dcgm-exporter's: ``gpu, UUID, modelName, Hostname``, for MIG ``GPU_I_ID, GPU_I_PROFILE``, for pods
``namespace, pod, container`` (``exported_…`` where a Prometheus server has such labels of its own), and ``hpc_job``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.sources.dcgm_fields import NUMBERS, raw_value
from hashwarden.serve.sources.dcgm_text import Sample
from hashwarden.serve.sources.source import Device

__all__ = ["MOST_DEVICES", "Series", "devices_of"]

MOST_DEVICES: Final = 20_000
"""More are not read: of a cluster, ask for a part."""

TOGETHER_S: Final = 5.0
"""Samples of one device whose own times lie further apart are not of one look at it."""

_UUID: Final = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z-]{1,64}")
_NUMBER: Final = re.compile(r"[0-9]{1,4}")
_OWNER: Final = ("namespace", "pod", "container")
_WIDEST: Final = 253
"""The longest name that Kubernetes allows."""


@final
@dataclass(slots=True)
class Series:
    """What was said of one device at one time.

    Attributes
    ----------
    device : Device
        A MIG instance is called ``GPU-…/7``, which is its alias too: DCGM does not tell its own UUID.
    raw : dict of int to float
        Values by number of the field (`hashwarden.serve.sources.dcgm_fields.channels`).
    labels : dict of str to str
        ``hostname``, ``namespace``, ``pod``, ``container``, ``hpc_job``, as far as told and the same in all
        samples of the device: of what several share, nobody is the owner. Printable, and hostile all the same.
    unix_s : float
        Its own time; NaN if the exporter told none.
    """

    device: Device
    raw: dict[int, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    unix_s: float = math.nan


def devices_of(samples: Iterable[Sample], faults: Counter[str], *, federated: bool = False) -> dict[str, Series]:
    """Put samples together by device.

    Parameters
    ----------
    samples : iterable of Sample
        In any order. Where they have times of their own, those near the newest of their device count.
    faults : Counter of str
        Is told what could not be believed.
    federated : bool
        Whether a Prometheus server gave them: it may have put labels of the exporter's own pod in.

    Returns
    -------
    dict of str to Series
        By `Device.gpu`. A GPU that is cut up is given as its instances only.
    """
    grouped: dict[str, list[Sample]] = {}
    devices: dict[str, Device] = {}
    for sample in samples:
        device = _device(sample.labels)
        if device is None:
            faults["a series without a usable UUID"] += 1
        elif device.gpu in devices or len(devices) < MOST_DEVICES:
            devices.setdefault(device.gpu, device)
            grouped.setdefault(device.gpu, []).append(sample)
        else:
            faults["more devices than are read"] += 1
    cut_up = {device.gpu.split("/")[0] for device in devices.values() if device.mig is not None}
    return {
        gpu: _series(devices[gpu], own, faults, federated) for gpu, own in grouped.items() if gpu not in cut_up
    }  # fmt: skip


def _device(labels: Mapping[str, str]) -> Device | None:
    uuid, index, instance = labels.get("UUID", ""), labels.get("gpu", ""), labels.get("GPU_I_ID", "")
    if not _UUID.fullmatch(uuid):
        return None
    number = int(index) if _NUMBER.fullmatch(index) else -1
    name = _clean(labels.get("modelName", ""))
    driver = _clean(labels.get("DCGM_FI_DRIVER_VERSION", ""))
    if not _NUMBER.fullmatch(instance):
        return Device(uuid, number, name, driver=driver)
    profile = _clean(labels.get("GPU_I_PROFILE", ""))
    name, alias = f"{name} MIG {profile}".strip(), f"{uuid}/{int(instance)}"
    return Device(alias, number, name, driver=driver, mig=int(instance), alias=alias)


def _series(device: Device, samples: list[Sample], faults: Counter[str], federated: bool) -> Series:
    newest = max((s.unix_s for s in samples if not math.isnan(s.unix_s)), default=math.nan)
    near = [s for s in samples if not newest - s.unix_s > TOGETHER_S]
    said: dict[int, dict[float, float]] = {}
    for sample in near:
        value = raw_value(sample.name, sample.value)
        if value is not None:
            said.setdefault(NUMBERS[sample.name], {})[value] = sample.unix_s
    raw = {}
    for number, values in said.items():
        latest = max(values.values())
        last = [value for value, at in values.items() if math.isnan(latest) or at == latest]
        if len(last) == 1:
            raw[number] = last[0]
        else:
            faults[f"field {number} has several values for one device"] += 1
    return Series(device, raw, _owner(near, federated), newest)


def _owner(samples: list[Sample], federated: bool) -> dict[str, str]:
    """What all samples agree on."""
    found: dict[str, set[str]] = {}
    for sample in samples:
        for name, value in _owner_labels(sample.labels, federated).items():
            found.setdefault(name, set()).add(value)
    agreed = {name: next(iter(values)) for name, values in found.items() if len(values) == 1}
    if any(len(found.get(name, ())) > 1 for name in _OWNER):  # several pods: half of a name is nobody's
        agreed = {name: value for name, value in agreed.items() if name not in _OWNER}
    return {name: value for name, value in agreed.items() if value}


def _owner_labels(labels: Mapping[str, str], federated: bool) -> dict[str, str]:
    """Prometheus renames only those that collide, and an exporter whose GPU is idle names no pod at all."""
    exported = {name: labels.get(f"exported_{name}", "") for name in _OWNER}
    chosen = {name: exported[name] or labels.get(name, "") for name in _OWNER}
    exporters = "dcgm-exporter" in chosen["pod"] or chosen["pod"] == labels.get("Hostname", "")
    if not chosen["pod"] or (federated and not any(exported.values()) and exporters):
        chosen = dict.fromkeys(_OWNER, "")
    chosen |= {"hpc_job": labels.get("hpc_job", ""), "hostname": labels.get("Hostname", "")}
    return {name: _clean(value) for name, value in chosen.items()}


def _clean(text: str) -> str:
    return shorten(printable(text), _WIDEST)
