"""One file for each GPU that names its jobs: what prologs leave for exporters.

Two conventions are read. Princeton's jobstats: ``/run/gpustat/NAME`` with NAME a number, a UUID or a MIG UUID, holds
``JOBID UID``. dcgm-exporter (``--hpc-job-mapping-dir``): ``NUMBER`` or ``NUMBER.INSTANCE``, a job in each line. Only
root, or who runs slurmd, can write there if it is set up well; what others could have written is not believed.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from hashwarden.serve.jobs.device_names import DeviceNames

__all__ = ["Entry", "GpuStat", "read_gpustat"]

_MOST_FILES: Final = 256
_MOST_BYTES: Final = 4096
_MOST_JOBS: Final = 64
_LONGEST_NUMBER: Final = 10
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """A job on a GPU.

    Attributes
    ----------
    job : int
    uid : int
        -1 if the file does not say.
    sure : bool
        Whether the file names the GPU by UUID; a number can mean several things.
    """

    job: int
    uid: int
    sure: bool


@final
@dataclass(frozen=True, slots=True)
class GpuStat:
    """What the folder says.

    Attributes
    ----------
    entries : dict of str to tuple of Entry
        By UUID of the device.
    faults : Counter of str
        Files that were not believed, by reason.
    """

    entries: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)


def read_gpustat(folder: Path, names: DeviceNames, owners: frozenset[int] = frozenset({0})) -> GpuStat:
    """Read all files of the folder; one that is not there is an empty one.

    Parameters
    ----------
    folder : Path
    names : DeviceNames
    owners : frozenset of int
        Users whose files are believed.
    """
    found, faults = GpuStat(), Counter[str]()
    try:
        if not _trusted(folder.stat(), owners):
            return GpuStat(faults=Counter({"folder that others can write": 1}))
        files = sorted(e.name for e in os.scandir(folder) if not e.name.startswith("."))[:_MOST_FILES]
    except OSError:
        return found
    for name in files:
        gpus, sure = _gpus_of(name, names)
        if not gpus:
            faults["name of no watched device"] += 1
            continue
        entries = _entries_of(folder / name, sure, owners, faults)
        for gpu in gpus:
            found.entries[gpu] = (*found.entries.get(gpu, ()), *entries)
    found.faults.update(faults)
    return found


def _gpus_of(name: str, names: DeviceNames) -> tuple[tuple[str, ...], bool]:
    if name.startswith(("GPU-", "MIG-")):
        return names.named(name), True
    gpu, point, instance = name.partition(".")
    if not _number(gpu) or (point and not _number(instance)):
        return (), False
    return (names.instance(int(gpu), int(instance)) if point else names.minor(int(gpu))), False


def _entries_of(file: Path, sure: bool, owners: frozenset[int], faults: Counter[str]) -> tuple[Entry, ...]:
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        faults["file that cannot be read"] += 1
        return ()
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode) or not _trusted(info, owners):
            faults["file that others can write"] += 1
            return ()
        return _parse(os.read(handle, _MOST_BYTES).decode("ascii", "replace"), sure, faults)
    except OSError:
        faults["file that cannot be read"] += 1
        return ()
    finally:
        os.close(handle)


def _parse(text: str, sure: bool, faults: Counter[str]) -> tuple[Entry, ...]:
    found = []
    for line in text.splitlines()[:_MOST_JOBS]:
        words = line.split()
        if words and len(words) <= 2 and all(map(_number, words)):
            found.append(Entry(int(words[0]), int(words[1]) if len(words) == 2 else -1, sure))
        elif words:
            faults["line without a job"] += 1
    return tuple(found)


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER


def _trusted(info: os.stat_result, owners: frozenset[int]) -> bool:
    return info.st_uid in owners and not info.st_mode & _WRITABLE
