"""The many names of a GPU: UUIDs, MIG UUIDs old and new, NVML's numbers, minor numbers, places in gres.conf.

NVML counts GPUs by PCI bus. Slurm names them after their device files, ``/dev/nvidiaN``, whose N is the minor number,
and lists those of a job by their place in gres.conf (``IDX``). Where the three differ, the driver's own
``/proc/driver/nvidia/gpus/*/information`` tells the minor number of each UUID.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, final

from hashwarden.serve.sources.source import Device

__all__ = ["DRIVER", "DeviceNames", "read_minors"]

DRIVER: Final = Path("/proc/driver/nvidia/gpus")

_MOST_GPUS: Final = 64
_SHORTEST_PREFIX: Final = len("GPU-12345678")


def read_minors(driver: Path = DRIVER) -> dict[str, int]:
    """Minor numbers by UUID; empty where the driver says nothing."""
    found: dict[str, int] = {}
    try:
        files = sorted(driver.glob("*/information"))[:_MOST_GPUS]
        for file in files:
            fields = dict(_field(line) for line in file.read_text("utf-8", "replace")[:4096].splitlines())
            minor = fields.get("Device Minor", "")
            if fields.get("GPU UUID", "").startswith("GPU-") and minor.isascii() and minor.isdigit():
                found[fields["GPU UUID"]] = int(minor)
    except OSError:
        return {}
    return found


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


@final
class DeviceNames:
    """From what others call devices to the UUIDs of those that are watched.

    Parameters
    ----------
    devices : sequence of Device
    minors : mapping of str to int
        By UUID of the GPU, see `read_minors`; where it is empty, NVML's number is taken for the minor number.
    """

    def __init__(self, devices: Sequence[Device], minors: dict[str, int] | None = None) -> None:
        self.devices = tuple(devices)
        self._minors = dict(minors or {})
        self._by_index: dict[int, list[Device]] = {}
        for device in devices:
            self._by_index.setdefault(device.index, []).append(device)

    def index(self, number: int) -> tuple[str, ...]:
        """The GPU of this number in NVML's order, or all its MIG instances if it is cut up."""
        return tuple(device.gpu for device in self._by_index.get(number, ()))

    def minor(self, number: int) -> tuple[str, ...]:
        """The GPU of ``/dev/nvidiaN``; nothing if it is cut up and its UUID is not among the devices."""
        if not self._minors:
            return self.index(number)
        uuids = {uuid for uuid, minor in self._minors.items() if minor == number}
        found = tuple(device.gpu for device in self.devices if device.gpu in uuids)
        return found or self._cut_up(number)

    def place(self, number: int) -> tuple[str, ...]:
        """The n-th GPU of gres.conf, if it lists all of them by their device files in order.

        Nothing where a GPU is cut up: there Slurm counts instances, in an order of its own.
        """
        if any(device.mig is not None for device in self.devices):
            return ()
        if not self._minors:
            return self.index(number)
        ordered = sorted(self._minors.values())
        return self.minor(ordered[number]) if 0 <= number < len(ordered) else ()

    def named(self, name: str) -> tuple[str, ...]:
        """A UUID, whole or the unique beginning of one as CUDA takes it; an old MIG name with its GPU inside."""
        if not name.startswith(("GPU-", "MIG-")):
            return ()
        exact = tuple(device.gpu for device in self.devices if device.gpu == name)
        if exact:
            return exact
        if name.startswith("MIG-GPU-"):  # MIG-GPU-UUID/gi/ci, drivers before 470
            return ()
        begin = [device.gpu for device in self.devices if device.gpu.startswith(name)]
        return tuple(begin) if len(begin) == 1 and len(name) >= _SHORTEST_PREFIX else ()

    def instance(self, index: int, mig: int) -> tuple[str, ...]:
        """A GPU instance on the GPU of this number, as dcgm-exporter names it: ``index.instance``."""
        return tuple(device.gpu for device in self._by_index.get(index, ()) if device.mig == mig)

    def all_of(self, groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        """Each once, in the order of the devices."""
        wanted = {uuid for group in groups for uuid in group}
        return tuple(device.gpu for device in self.devices if device.gpu in wanted)

    def _cut_up(self, minor: int) -> tuple[str, ...]:
        """MIG instances name no GPU but NVML's number, which is the minor number's place where all are listed."""
        ordered = sorted(self._minors.values())
        if minor not in ordered or ordered != list(range(len(ordered))):
            return ()
        return tuple(device.gpu for device in self._by_index.get(minor, ()) if device.mig is not None)
