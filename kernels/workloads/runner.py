"""Run a workload for a while, plainly or under an evasion, and say what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any, Final

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads import registry
from hashwarden.kernels.workloads.evasions import find_evasion
from hashwarden.kernels.workloads.evasions.evasion import Clock, Evasion, Run, SystemClock
from hashwarden.kernels.workloads.events import Silence
from hashwarden.kernels.workloads.prepare import Prepared, choose_engine, gpu_name, prepare
from hashwarden.kernels.workloads.workload import Settings, Workload

__all__ = ["Order", "RunReport", "run_order"]

_BASELINE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """What to run, and how.

    Attributes
    ----------
    name : str
        Of the workload.
    size : str
        "small", "trace" or "gpu".
    changes : mapping
        Settings that differ from the size's.
    engine : str
        "auto" or one of `hashwarden.kernels.workloads.prepare.ENGINES`.
    seconds : float
        How long to run; at least one step is taken.
    seed : int
        Of everything random.
    check : bool
        Compare with the oracle first.
    evasion : str
        Name of an evasion, or empty.
    evasion_changes : mapping
        Settings of the evasion that differ from its defaults.
    company : sequence of str
        Workloads beside the hidden one; empty for those that the evasion names.
    """

    name: str
    size: str = "small"
    changes: Settings = field(default_factory=dict)
    engine: str = "auto"
    seconds: float = 5.0
    seed: int = 0
    check: bool = True
    evasion: str = ""
    evasion_changes: Settings = field(default_factory=dict)
    company: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did.

    Attributes
    ----------
    workload, label, family, bound, size, engine, device, evasion : str
        What ran where; the device is a GPU's name or "cpu".
    settings : mapping
        All parameters.
    company : tuple of str
        What ran beside it.
    checked : bool
        Whether the result was compared with the oracle; a wrong one raises CheckError instead.
    memory_bytes : int or None
        Memory of the hidden workload's arrays.
    seconds : float
        How long it ran, set-up and check apart.
    steps : int
        Steps taken.
    units : float
        What they did.
    unit : str
        In this unit.
    rate : float
        Units per second.
    kept_share : float or None
        Measured share of the rate without the evasion in the same run; None without an evasion.
    built_share : float or None
        Share that the evasion keeps by construction; None if only a measurement can tell.
    """

    workload: str
    label: str
    family: str
    bound: str
    size: str
    settings: Mapping[str, int]
    engine: str
    device: str
    evasion: str
    company: tuple[str, ...]
    checked: bool
    memory_bytes: int | None
    seconds: float
    steps: int
    units: float
    unit: str
    rate: float
    kept_share: float | None
    built_share: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Taken:
    seconds: float
    steps: int


def _take_steps(
    run: Run, seconds: float, clock: Clock, events: Silence | None = None, all_of: Sequence[Prepared] = ()
) -> _Taken:
    start, steps = clock.now(), 0
    while steps == 0 or clock.now() - start < seconds:
        run.step()
        run.wait()
        steps += 1
        if events is not None:
            events.progress(steps, lambda: _launched(all_of))
    return _Taken(max(clock.now() - start, 1e-9), steps)


def _launched(all_of: Sequence[Prepared]) -> dict[str, list[int]] | None:
    """Launches of all of them by kernel; None if one of them cannot tell."""
    total: dict[str, list[int]] = {}
    for prepared in all_of:
        found = prepared.launched()
        if found is None:
            return None
        for name, (launches, threads) in found.items():
            entry = total.setdefault(name, [0, 0])
            entry[0] += launches
            entry[1] += threads
    return total


def run_order(order: Order, clock: Clock | None = None, events: Silence | None = None) -> RunReport:
    """Run a workload as ordered.

    Parameters
    ----------
    order : Order
        What to run.
    clock : Clock, optional
        Time, for tests.
    events : Silence, optional
        Is told when the run proper begins and ends, and what it launched (see `hashwarden.kernels.workloads.events`).

    Raises
    ------
    UsageError
        If the workload, the size, a setting, the engine or the evasion is unknown or impossible.
    MissingExtraError, NoDeviceError, MemoryShortError
        If this machine cannot run it; nothing stays allocated.
    CheckError
        If a result differs from its oracle.
    """
    if not 0 <= order.seconds <= 86_400:
        raise UsageError(f"{order.seconds:g} seconds", "0 to 86,400", "Choose a time in this range.")
    clock = clock or SystemClock()
    workload = registry.find(order.name)
    settings = workload.settings(order.size, order.changes)
    engine = choose_engine(workload, order.engine)
    evasion = find_evasion(order.evasion) if order.evasion else None
    ways = evasion.settings(order.evasion_changes) if evasion else {}
    limit = evasion.most_blocks(ways) if evasion and evasion.most_blocks else None
    names = tuple(order.company) or (evasion.company if evasion else ())
    if names and evasion is None:
        raise UsageError("company without an evasion", "an evasion that uses it", "Add --evasion interleave.")
    with ExitStack() as open_runs:
        beside = [_beside(name, order, open_runs) for name in names]
        company = [prepared.run for prepared in beside]
        hidden = _opened(prepare(workload, settings, engine, order.seed), open_runs)
        hidden.check() if order.check else hidden.start()
        full = _rate(hidden.run, min(_BASELINE_S, order.seconds), clock) if evasion else None
        if limit is not None:
            hidden.close()
            hidden = _opened(prepare(workload, settings, engine, order.seed, limit), open_runs)
            hidden.start()
        shown = evasion.wrap(hidden.run, company, ways, order.seed, clock) if evasion else hidden.run
        taken = _timed(shown, order.seconds, clock, events or Silence(), (hidden, *beside))
        return _report(order, workload, settings, engine, names, hidden, taken, full, evasion, ways)


def _timed(run: Run, seconds: float, clock: Clock, events: Silence, all_of: Sequence[Prepared]) -> _Taken:
    """The run proper: what comes before it is set-up, the check and the baseline of an evasion."""
    events.tell("start", launches=_launched(all_of))
    taken = _take_steps(run, seconds, clock, events, all_of)
    events.tell("end", steps=taken.steps, launches=_launched(all_of))
    return taken


def _opened(prepared: Prepared, stack: ExitStack) -> Prepared:
    stack.callback(prepared.close)
    return prepared


def _beside(name: str, order: Order, stack: ExitStack) -> Prepared:
    workload = registry.find(name)
    prepared = _opened(prepare(workload, workload.settings(order.size), choose_engine(workload), order.seed), stack)
    prepared.start()
    return prepared


def _rate(run: Run, seconds: float, clock: Clock) -> float:
    taken = _take_steps(run, seconds, clock)
    return taken.steps * run.units / taken.seconds


def _report(  # noqa: PLR0913, PLR0917
    order: Order, workload: Workload, settings: Settings, engine: str, names: tuple[str, ...], hidden: Prepared,
    taken: _Taken, full: float | None, evasion: Evasion | None, ways: Settings,
) -> RunReport:  # fmt: skip
    units = taken.steps * hidden.run.units
    rate = units / taken.seconds
    built = evasion.share(ways) if evasion else None
    return RunReport(
        workload=workload.name,
        label=workload.label,
        family=workload.family,
        bound=workload.bound,
        size=order.size,
        settings=dict(settings),
        engine=engine,
        device=(gpu_name() or "cpu") if engine != "cpu" else "cpu",
        evasion=order.evasion,
        company=names,
        checked=order.check,
        memory_bytes=hidden.memory_bytes,
        seconds=taken.seconds,
        steps=taken.steps,
        units=units,
        unit=workload.unit,
        rate=rate,
        kept_share=None if full is None else rate / full,
        built_share=None if built is None or isnan(built) else built,
    )
