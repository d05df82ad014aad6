"""What truly happens on a GPU in each tick, before any sensor looks: activities, clocks, watts, degrees, launches.

T = ticks of 0.1 s, K = kernels, Q = quantities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import UsageError
from hashwarden.training.synthesise.gpus import Gpu
from hashwarden.training.synthesise.physics import QUANTITIES, Activity
from hashwarden.training.synthesise.power import DRAM_WATTS, clock_under_limit, sm_weight, temperature, voltage
from hashwarden.training.synthesise.schedule import HOST, Schedule

__all__ = ["IDLE_HOST", "Truth", "host_of", "truth"]

F32 = npt.NDArray[np.float32]

IDLE_HOST: Final[Mapping[str, float]] = dict.fromkeys(HOST, 0.0) | {
    "processes": 1.0, "clock_share": 1.0, "memory_clock_share": 1.0, "power_share": 1.0,
}  # fmt: skip
"""What a schedule leaves out."""

AWAKE_TICKS: Final = 20
"""Ticks without work after which the clock may fall."""

_PER_CYCLE: Final = tuple(name for name in QUANTITIES if name != "dram")


@final
@dataclass(frozen=True, slots=True)
class Truth:
    """A GPU over time.

    Attributes
    ----------
    rates : mapping of str to float32 array, shape (T,)
        Activities by name of `QUANTITIES`: of the SMs per cycle of their clock, of the memory over time.
    busy : float32 array, shape (T,)
        Share of the tick in which any kernel ran.
    clock : float32 array, shape (T,)
        SM clock over the highest.
    capped : float32 array, shape (T,)
        1 where the power limit holds the clock down.
    watts, celsius, memory_celsius : float32 array, shape (T,)
    ran : float32 array, shape (T, K)
        Share of the tick that each kernel ran for, times its pace: launches are this over the length of a launch.
    host : mapping of str to float32 array, shape (T,)
    swing : float32 array, shape (T,)
        Watts by which power swings within the tick, between work and none.
    """

    rates: Mapping[str, F32]
    busy: F32
    clock: F32
    capped: F32
    watts: F32
    celsius: F32
    memory_celsius: F32
    ran: F32
    host: Mapping[str, F32]
    swing: F32


def host_of(schedule: Schedule, name: str) -> F32:
    """One host quantity of a schedule, shape (T,), or what an idle host has."""
    given = schedule.host.get(name)
    ticks = len(schedule.busy)
    return np.full(ticks, IDLE_HOST[name], np.float32) if given is None else np.asarray(given, np.float32)


def truth(schedule: Schedule, kernels: Activity, gpu: Gpu, rng: np.random.Generator) -> Truth:
    """What a schedule does to a GPU.

    Parameters
    ----------
    schedule : Schedule
    kernels : Activity
        Of the schedule's parts, in their order.
    gpu : Gpu
    rng : Generator

    Raises
    ------
    UsageError
        If shapes do not fit or shares lie outside 0 to 1.
    """
    busy, narrow = _checked(schedule)
    host = {name: host_of(schedule, name) for name in HOST}
    memory_clock = np.maximum(host["memory_clock_share"], 0.05)
    asked = np.clip(host["clock_share"], 0.05, 1.0)
    working = busy.sum(1)
    idle_watts = gpu.idle_watts * rng.uniform(0.85, 1.15)
    floor = idle_watts + np.where(host["fb_mib"] > 0, 0.06 * gpu.limit_watts * rng.uniform(0.4, 1.0), 0.0)
    span, weight = gpu.limit_watts - idle_watts, sm_weight(kernels, rng).astype(np.float32)
    dram_of = kernels.rate("dram").astype(np.float32)

    def watts_at(clock: F32) -> tuple[F32, F32, F32]:
        ran: F32 = busy * _pace(kernels, narrow, clock, memory_clock)
        sms: F32 = np.float32(span) * (ran @ weight) * voltage(clock) ** 2
        rest: F32 = np.float32(span * DRAM_WATTS) * (ran @ dram_of)
        return sms, rest, ran

    limit = gpu.limit_watts * np.clip(host["power_share"], 0.1, 1.0)
    sms, rest, ran = watts_at(asked)
    share = np.maximum(working, np.float32(1e-3))  # the limit holds while work runs, not on its mean with the gaps
    over = (sms + rest) / share + floor > limit
    clock = asked
    if over.any():
        fits = clock_under_limit(asked, sms / share, rest / share + floor, limit)
        clock = np.where(over, fits, asked).astype(np.float32)
        sms, rest, ran = watts_at(clock)
    watts = np.minimum(floor + sms + rest, limit * 1.03).astype(np.float32)
    chip, memory = temperature(watts, gpu, rng)
    clock = _resting(clock, working, host["fb_mib"] > 0, gpu, rng)
    swing = (watts - floor) * np.clip(1 - working, 0, 1)
    return Truth(_rates(kernels, ran, busy, narrow, clock, memory_clock), working, clock, over.astype(np.float32),
                 watts, chip, memory, ran, host, swing.astype(np.float32))  # fmt: skip


def _checked(schedule: Schedule) -> tuple[F32, F32 | np.float32]:
    """Busy shares and shares of the SMs."""
    busy = np.asarray(schedule.busy, np.float32)
    ticks = len(busy)
    wrong = [name for name, values in schedule.host.items() if name not in HOST or np.shape(values) != (ticks,)]
    if busy.ndim != 2 or busy.shape[1] != len(schedule.parts) or wrong:
        raise UsageError(
            f"busy shares of shape {busy.shape} for {len(schedule.parts)} parts; host {wrong}",
            "(T, K), and known host quantities of shape (T,)", "Correct the schedule.",
        )  # fmt: skip
    if busy.size and (busy.min() < 0 or not busy.sum(1).max() <= 1.0 + 1e-3):
        raise UsageError("busy shares below 0 or above 1 in a tick", "rows that sum to 1 at most", "Correct them.")
    narrow = np.float32(1) if schedule.sm_share is None else np.clip(np.asarray(schedule.sm_share, np.float32), 1e-3, 1)
    return busy, narrow


def _pace(kernels: Activity, narrow: F32 | np.float32, clock: F32, memory_clock: F32) -> F32:
    """How fast each kernel runs, over alone on the whole GPU at full clocks; shape (T, K)."""
    sms = kernels.sm_time.astype(np.float32) / (narrow * clock[:, None])
    memory = kernels.dram_time.astype(np.float32) / memory_clock[:, None]
    pace: F32 = np.float32(1) / np.maximum(np.maximum(sms, memory), np.float32(1e-6))
    return pace


def _rates(  # noqa: PLR0913, PLR0917
    kernels: Activity, ran: F32, busy: F32, narrow: F32 | np.float32, clock: F32, memory_clock: F32
) -> dict[str, F32]:
    """Activities by name; those of the SMs are per cycle, so that a slower clock shows the same work as more."""
    held = (busy * narrow) @ kernels.rates[:, :2].astype(np.float32)
    worked = ran @ kernels.rates[:, 2:].astype(np.float32)
    names = list(QUANTITIES)
    per_cycle = np.minimum(worked / np.maximum(clock, 0.05)[:, None], 1.0)
    rates = {name: held[:, place] for place, name in enumerate(names[:2])}
    rates |= {name: per_cycle[:, place] for place, name in enumerate(names[2:])}
    moved = worked[:, names.index("dram") - 2] / memory_clock
    read = ran @ (kernels.rate("dram") * kernels.read_share).astype(np.float32) / memory_clock
    misses = ran @ (kernels.rate("l2") * kernels.miss).astype(np.float32)
    return rates | {"dram": np.minimum(moved, 1.0), "dram_read": np.minimum(read, 1.0),
                    "miss": misses / np.maximum(worked[:, names.index("l2") - 2], 1e-6)}  # fmt: skip


def _resting(clock: F32, working: F32, context: npt.NDArray[np.bool_], gpu: Gpu, rng: np.random.Generator) -> F32:
    """The clock without work: it falls after a while, where nothing holds it; many drivers hold it for a context."""
    awake = working > 0
    reach = np.cumsum(awake)
    before = np.concatenate([np.zeros(min(AWAKE_TICKS, len(reach)), reach.dtype), reach[:-AWAKE_TICKS]])
    recent = reach - before[: len(reach)] > 0
    held = context & bool(rng.random() < HELD)
    return np.where(recent | held, clock, np.float32(gpu.idle_clock_mhz / gpu.clock_mhz)).astype(np.float32)


HELD: Final = 0.6
"""Chance that a context keeps the clock up without work. Assumed; both are seen in public listings."""
