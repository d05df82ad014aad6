"""What sensors show of a GPU: samples with lag, averages, noise, gaps and faults, per architecture.

`observe` is the whole way: a schedule's kernels are drawn (`physics`), what they do to the GPU is worked out tick by
tick (`truth`), and each group of channels is read as its source reads it.

T = ticks, T' = samples, C = len(CHANNELS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS, GROUPS, INDEX, Group
from hashwarden.training.synthesise.faults import add_faults
from hashwarden.training.synthesise.gpus import Gpu, gpu_named
from hashwarden.training.synthesise.physics import Activity, activity
from hashwarden.training.synthesise.schedule import TICK_S, Schedule
from hashwarden.training.synthesise.sensors_code import read_code, read_probes
from hashwarden.training.synthesise.sensors_counters import read_counters, read_pm
from hashwarden.training.synthesise.sensors_nvml import read_nvml
from hashwarden.training.synthesise.shared import together
from hashwarden.training.synthesise.site import Site
from hashwarden.training.synthesise.truth import truth
from hashwarden.training.synthesise.windows import sample_times

__all__ = ["Sensors", "observe"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
SHORTEST_S: Final = 0.1
LONGEST_S: Final = 600.0


@final
@dataclass(frozen=True, slots=True)
class Sensors:
    """How a GPU is watched.

    Attributes
    ----------
    period_s : float
        Seconds between samples, 0.1 to 600.
    groups : tuple of str
        Groups of channels that are read; the others are missing.
    jitter : float
        Mean lateness of a sample over the period.
    missed : float
        Share of samples that never come.
    noise : float
        Factor on the noise of all counters; 0 for none.
    faults : float
        Factor on the rates of faults (`hashwarden.training.synthesise.faults.RATES`); 0 for none.
    trace_every_s, trace_s : float
        Launches are traced for ``trace_s`` in every ``trace_every_s``; in between they are missing. Loads of modules
        are always seen.
    burst_every_s, burst_s : float
        The same for PM sampling.
    probe_hz : float
        Probes a second.
    site : Site or None
        What is not documented about the counters, and how they are read; None draws it.
    """

    period_s: float = 1.0
    groups: tuple[Group, ...] = GROUPS
    jitter: float = 0.01
    missed: float = 0.002
    noise: float = 1.0
    faults: float = 1.0
    trace_every_s: float = 30.0
    trace_s: float = 1.0
    burst_every_s: float = 30.0
    burst_s: float = 1.0
    probe_hz: float = 0.2
    site: Site | None = None

    def checked(self) -> Self:
        """The same, if it can be meant.

        Raises
        ------
        UsageError
            If it cannot.
        """
        if not SHORTEST_S <= self.period_s <= LONGEST_S or set(self.groups) - set(GROUPS):
            raise UsageError(
                f"a period of {self.period_s} s and the groups {', '.join(self.groups)}",
                f"{SHORTEST_S} to {LONGEST_S} s, groups of {', '.join(GROUPS)}", "Correct them.",
            )  # fmt: skip
        return self


def observe(  # noqa: PLR0913, PLR0917  the last two are rare
    schedule: Schedule,
    gpu: Gpu | str,
    sensors: Sensors,
    rng: np.random.Generator,
    beside: Schedule | None = None,
    kernels: Activity | None = None,
) -> tuple[F64, F32]:
    """What sensors show while a schedule runs.

    Parameters
    ----------
    schedule : Schedule
        Of the job that is watched.
    gpu : Gpu or str
        Or its name.
    sensors : Sensors
    rng : Generator
    beside : Schedule, optional
        Of another job on the same GPU, as long as the first: the counters of the GPU see both, launches, code and
        process counts the first alone.
    kernels : Activity, optional
        Of the schedule's parts, if they are already drawn.

    Returns
    -------
    times : float64 array, shape (T',)
        Seconds, strictly rising.
    values : float32 array, shape (T', C)
        NaN where missing.

    Raises
    ------
    UsageError
        If names, shapes or settings cannot be meant.
    """
    gpu, sensors = gpu_named(gpu) if isinstance(gpu, str) else gpu, sensors.checked()
    kernels = activity(schedule.parts, gpu, rng) if kernels is None else kernels
    site = sensors.site or Site.drawn(gpu, rng)
    times = sample_times(len(schedule.busy) * TICK_S, sensors.period_s, sensors.jitter, sensors.missed, rng)
    values = np.full((len(times), len(CHANNELS)), np.nan, np.float32)
    if not len(times):
        return times, values
    both, drawn = together(schedule, kernels, beside, gpu, rng)
    true = truth(both, drawn, gpu, rng)
    own = true.ran[:, : len(schedule.parts)]
    readings: dict[str, F64] = {}
    if "nvml" in sensors.groups:
        readings |= read_nvml(true, times, gpu, site, rng, sensors.noise)
    if "gpm" in sensors.groups:
        readings |= read_counters(true, times, gpu, site, rng, sensors.noise, beside is not None)
    if "pm" in sensors.groups:
        readings |= read_pm(true, drawn, times, gpu, (max(sensors.burst_every_s, sensors.period_s), sensors.burst_s),
                            rng, sensors.noise)  # fmt: skip
    if {"launch", "code"} & set(sensors.groups):
        duty = (max(sensors.trace_every_s, sensors.period_s), sensors.trace_s)
        readings |= read_code(own, kernels, true.host, times, duty, rng)
    if "probe" in sensors.groups:
        readings |= read_probes(true, times, sensors.probe_hz, rng)
    for name, column in readings.items():
        if CHANNELS[INDEX[name]].group in sensors.groups:
            values[:, INDEX[name]] = column
    add_faults(values, sensors.faults, rng)
    return times, values
