"""What a source is: it opens devices and gives readings of them, and says how it fared.

A value that a source cannot tell is left out of a reading, never 0: `vector` makes it NaN.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.serve.jobs.job import Owner, ProcessKey
from hashwarden.serve.launch_board import LaunchBoard
from hashwarden.serve.sources.helpers import Helpers

__all__ = ["F32", "NO_INDEX", "Device", "NoData", "Options", "Reading", "Source", "SourceLost", "vector"]

F32 = npt.NDArray[np.float32]

NO_INDEX: Final = -1
"""Of devices and readings that nobody has numbered."""


class NoData(Exception):  # noqa: N818  a state, not a fault
    """There is nothing to say just now; the source works. Anything else that `Source.read` raises is a failure."""


class SourceLost(Exception):  # noqa: N818  a state: the runner opens the source anew
    """What the source reads is gone (driver unloaded, every GPU lost): it has to be opened anew, later."""


@final
@dataclass(frozen=True, slots=True)
class Device:
    """A GPU or a MIG instance, as far as its driver tells.

    Attributes
    ----------
    gpu : str
        UUID, by which readings name it: ``GPU-…`` or ``MIG-…``.
    index : int
        Number of the GPU in NVML's order; of a MIG instance, that of its GPU; or `NO_INDEX`.
    name : str
        Product name; of a MIG instance, with its profile.
    architecture : int
        Compute capability times 10, 0 if unknown.
    driver, cuda : str
        Versions of the driver and of the CUDA that it brings, empty if unknown.
    mig : int or None
        GPU instance, None for a whole GPU.
    alias : str
        Another name of the same device: of a MIG instance ``GPU-…/7``, its GPU and its number, by which DCGM knows it;
        empty if it has none.
    """

    gpu: str
    index: int
    name: str = ""
    architecture: int = 0
    driver: str = ""
    cuda: str = ""
    mig: int | None = None
    alias: str = ""


@final
@dataclass(frozen=True, slots=True)
class Reading:
    """What one source said of one device at one time.

    Attributes
    ----------
    gpu : str
        UUID of the device.
    index : int
        Its number.
    time_s : float
        Seconds of the monotonic clock.
    unix_s : float
        Seconds since 1970.
    values : mapping of str to float
        By name of the channel, in the channel's unit; what is not there is missing.
    job : str
        `hashwarden.serve.jobs.job.Job.key` if it speaks of the work of one job on the device; empty if it speaks of
        the whole device.
    pids : frozenset of int, optional
        Processes with a context on the device, in this program's PID namespace; None if that is not known.
    heard_s : float, optional
        When it was handed over, on the monotonic clock, if its own time runs by another clock (``pushed``).
    every_s : float
        How often readings are handed over, if that is seldomer than they are made; 0 if it is not.
    """

    gpu: str
    index: int
    time_s: float
    unix_s: float
    values: Mapping[str, float]
    job: str = ""
    pids: frozenset[int] | None = None
    heard_s: float | None = None
    every_s: float = 0.0


def _no_pids(_gpu: str) -> frozenset[int]:
    return frozenset()


def _no_owner(_pid: int) -> Owner | None:
    return None


def _no_architecture(_gpu: str) -> int:
    return 0


@final
@dataclass(frozen=True, slots=True)
class Options:
    """What the sources are told; each takes what concerns it.

    Attributes
    ----------
    gpus : tuple of str
        Numbers or UUIDs of the devices; empty for all.
    period_s : float
        Intended time between readings.
    own_pids : callable
        From the UUID of a device to the processes of the one job that it belongs to; an empty set if that is not
        known, or if it belongs to several.
    owner : callable
        From a PID to the job that it belongs to and the devices that it works on; None if it is nobody's business.
    owner_of : callable, optional
        As `owner`, for a process that was identified before, from what is known of it already: no read of /proc. None
        from it means that it is not known; `owner` is asked then. Always `owner` if None.
    watched : callable, optional
        Whether a PID is known as some job's; nothing is looked up. By `owner` if None.
    architecture : callable
        From the UUID of a device to its compute capability times 10; 0 if that is not known.
    board : LaunchBoard
        Where ``launches`` leaves what it saw, and ``code`` finds it.
    trace : Path or None
        For ``replay``: the file to play.
    speed : float
        For ``replay``: 1 is real time, 0 is one sample a reading, as fast as asked.
    burst_hz : float
        For ``pm``: samples a second.
    burst_s, every_s : float
        For sources with a duty cycle (``launches``, ``pm``, ``probe``): how long they look, and how often.
    code_cpu_ratio : float
        For ``code``: share of one core that reading machine code may take, in the long run.
    helpers : Helpers
        Where a source notes processes of this program's own that stand on GPUs (``probe``): no source counts them.
    dcgm_url : str
        For ``dcgm``: where dcgm-exporter answers.
    prometheus_url : str
        For ``dcgm``: a Prometheus server to ask instead; empty for none.
    inbox : object
        For ``pushed``: the `hashwarden.serve.inbox.inbox.Inbox`.
    clock, unix : callable
        Of readings; a drill may let them run faster, a test stand still.
    """

    gpus: tuple[str, ...] = ()
    period_s: float = 1.0
    own_pids: Callable[[str], frozenset[int]] = field(default=_no_pids)
    owner: Callable[[int], Owner | None] = field(default=_no_owner)
    owner_of: Callable[[ProcessKey], Owner | None] | None = None
    watched: Callable[[int], bool] | None = None
    architecture: Callable[[str], int] = field(default=_no_architecture)
    board: LaunchBoard = field(default_factory=LaunchBoard)
    trace: Path | None = None
    speed: float = 1.0
    burst_hz: float = 2000.0
    burst_s: float = 1.0
    every_s: float = 30.0
    code_cpu_ratio: float = 0.005
    helpers: Helpers = field(default_factory=Helpers)
    dcgm_url: str = "http://127.0.0.1:9400/metrics"
    prometheus_url: str = ""
    inbox: object = None
    clock: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time

    def wants(self, device: Device) -> bool:
        """Whether the device is one of `gpus`: a number means the GPU and, where it is cut up, its MIG instances."""
        names = {device.gpu, device.alias or device.gpu, str(device.index)}
        return not self.gpus or not names.isdisjoint(self.gpus)


class Source(Protocol):
    """One way to learn of GPUs. The runner calls it from one thread; any call may raise."""

    def open(self) -> Sequence[Device]:
        """Take what it needs; gives the devices that it will speak of. A HashwardenError says what is missing."""

    def read(self) -> Sequence[Reading]:
        """Say what there is now, at most once a device; NoData if there is nothing, SourceLost if it is gone."""

    def close(self) -> None:
        """Give everything back; never raises."""


def vector(values: Mapping[str, float]) -> F32:
    """Values in the order of the table of channels.

    Returns
    -------
    float32 array, shape (len(CHANNELS),)
        NaN where nothing was said; a value that float32 cannot hold is infinite, and so not credible.
    """
    found = np.full(len(CHANNELS), np.nan, np.float32)
    with np.errstate(over="ignore"):
        for name, value in values.items():
            found[INDEX[name]] = value
    return found
