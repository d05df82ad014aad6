"""What ``hashwarden record`` does: choose what to record, watch for signals, and say what came of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import final

import typer

from hashwarden.cli.run_record_plan import candidates, planned, record_labelled
from hashwarden.errors import DataError, UsageError
from hashwarden.serve.campaign import IDLE, Item, Result, run_campaign
from hashwarden.serve.record_live import Naming, one_device, open_sources, record_live
from hashwarden.serve.record_work import LONG_S, Done, Owner, Plan, check_seconds, record_idle
from hashwarden.serve.recorder import Tally, check_period, seal
from hashwarden.serve.sources.registry import makers
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Device, Options
from hashwarden.serve.workload_process import Work

__all__ = ["Request", "run_record"]


@final
@dataclass(frozen=True, slots=True)
class Request:
    """The flags of ``hashwarden record``, by their names there."""

    output: Path
    gpus: tuple[str, ...]
    seconds: float
    period_s: float
    sources: tuple[str, ...]
    replay: Path | None
    recover: bool
    label: str
    family: str
    strategy: str
    labelled_by: str
    workload: str
    size: str
    engine: str
    settings: tuple[str, ...]
    evasion: str
    evasion_settings: tuple[str, ...]
    company: tuple[str, ...]
    seed: int
    cut_s: float
    start_limit_s: float
    everything: bool
    within_s: float
    dcgm_url: str = ""
    prometheus_url: str = ""
    plan: Path | None = None


@final
@dataclass(frozen=True, slots=True)
class _Ready:
    """Open sources, their devices, what ends the recording, and whose processes are one's own."""

    runner: Runner
    devices: tuple[Device, ...]
    stop: Event
    owner: Owner


def run_record(request: Request) -> None:
    """Record as asked.

    Raises
    ------
    HashwardenError
        As `hashwarden.serve.record_live`, `record_work` and `campaign` say.
    """
    if request.recover:
        runs = seal(request.output)
        _say(f"{request.output}: {runs} runs recovered")
        return
    _check(request)
    with _ready(request) as ready:
        if request.everything:
            _all(request, ready)
        elif request.workload:
            _workload(request, ready)
        else:
            _live(request, ready)
        for name, health in ready.runner.health.items():
            if health.failures or health.hangs:
                _say(f"source {name}: {health.failures} failures, {health.hangs} hangs; last: {health.error}")


def _check(request: Request) -> None:
    """What cannot be meant is refused before anything is opened."""
    check_period(request.period_s)
    starts = bool(request.workload) or request.everything
    if starts and (request.label or request.labelled_by or request.family or request.strategy != "plain"):
        raise UsageError("a label for a workload", "none: the workload has its own", "Leave --label and its kin out.")
    if request.workload and request.everything:
        raise UsageError("--workload and --all", "one of them", "Choose.")
    if request.plan and not request.everything:
        raise UsageError("a plan without --all", "both", "Add --all.")
    if request.plan and (request.settings or request.evasion or request.evasion_settings or request.company):
        raise UsageError("a plan, and what it says itself", "one of them", "Write it into the plan's entries.")
    if request.evasion and not starts:
        raise UsageError("an evasion without a workload", "--workload", "To name what a job does, use --strategy.")
    if (request.dcgm_url or request.prometheus_url) and "dcgm" not in request.sources:
        raise UsageError("an address without the source 'dcgm'", "--source dcgm", "Add it, or leave the address out.")
    if request.dcgm_url and request.prometheus_url:
        raise UsageError("--dcgm-url and --prometheus-url", "one of them", "Choose who is asked.")
    if "replay" in request.sources and starts:
        raise UsageError("a workload with the source 'replay'", "a live source", "Leave one of them out.")
    if starts:
        check_seconds(request.seconds, request.cut_s)


@contextmanager
def _ready(request: Request) -> Iterator[_Ready]:
    owner = Owner()
    burst_s, every_s = _duty(request.sources)
    options = Options(
        request.gpus, request.period_s, own_pids=owner, trace=request.replay, burst_s=burst_s, every_s=every_s,
        dcgm_url=request.dcgm_url or Options().dcgm_url, prometheus_url=request.prometheus_url,
    )  # fmt: skip
    runner = Runner(makers(request.sources, options))
    stop = Event()
    try:
        with _signals(stop):
            yield _Ready(runner, open_sources(runner, request.sources), stop, owner)
    finally:
        runner.close()


def _duty(sources: tuple[str, ...]) -> tuple[float, float]:
    """Burst and period: a GPU that is recorded is known to be free, so ``pm`` samples always, ``probe`` every second.

    Raises
    ------
    UsageError
        If both are wanted: what one does would be recorded by the other.
    """
    if "pm" in sources and "probe" in sources:
        raise UsageError("the sources pm and probe", "one of them", "Record twice: pm would see the probes at work.")
    if "probe" in sources:
        return 0.5, 1.0
    usual = Options()
    return usual.every_s if "pm" in sources else usual.burst_s, usual.every_s


@contextmanager
def _signals(stop: Event) -> Iterator[None]:
    """SIGINT and SIGTERM end the recording in order; a second SIGINT at once."""

    def end(number: int, _: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _live(request: Request, ready: _Ready) -> None:
    naming = Naming(request.label, request.family, request.strategy, request.labelled_by)
    more = {"sources": list(ready.runner.health)}
    tally = record_live(
        ready.runner, ready.devices, request.output, naming, seconds=request.seconds, period_s=request.period_s,
        stop=ready.stop, more=more,
    )  # fmt: skip
    _say(f"{request.output}: {tally.samples} samples of {len(ready.devices)} devices; {_words(tally)}")
    if not request.label:
        _say("unlabelled: it can be scored and looked at, training refuses it")


def _workload(request: Request, ready: _Ready) -> None:
    plan = Plan(
        ready.runner, one_device(ready.devices), request.period_s, ready.stop, ready.owner, request.cut_s,
        request.start_limit_s,
    )  # fmt: skip
    known = {candidate.name: candidate for candidate in candidates()}
    if request.workload not in known:
        raise UsageError(f"no workload is called {request.workload!r}", "a known name", "hashwarden workloads list")
    work = Work(
        request.workload, request.evasion, request.size, request.engine, request.seconds, request.settings,
        request.evasion_settings, request.company, request.seed,
    )  # fmt: skip
    done = record_labelled(plan, work, known[request.workload], request.output)
    _say(f"{done.path}: {done.samples} samples; {_words(done.tally)}")
    if done.note:
        _say(done.note)


def _all(request: Request, ready: _Ready) -> None:
    device, known = one_device(ready.devices), {candidate.name: candidate for candidate in candidates()}
    items = planned(request.plan, list(known.values()), request.engine)

    def one(item: Item, path: Path, start_limit_s: float) -> Done:
        limit, seconds = min(request.start_limit_s, start_limit_s), item.seconds or request.seconds
        plan = Plan(ready.runner, device, request.period_s, ready.stop, ready.owner, request.cut_s, limit)
        if item.name == IDLE:
            return record_idle(plan, seconds, path)
        work = Work(
            item.name, item.evasion, item.size or request.size, item.engine, seconds, item.settings,
            item.evasion_settings, item.company, request.seed,
        )  # fmt: skip
        others = [Work(name, size=work.size, seconds=LONG_S, seed=request.seed) for name in item.beside]
        return record_labelled(plan, work, known[item.name], path, others)

    results = run_campaign(
        items, request.output, one, seconds=request.seconds, within_s=request.within_s, stop=ready.stop, say=_told
    )
    recorded = sum(result.status == "recorded" for result in results)
    failed = sum(result.status == "failed" for result in results)
    _say(f"{recorded} recorded, {failed} failed, {len(results) - recorded - failed} skipped; see plan.json")
    if not recorded and not any(result.reason == "recorded already" for result in results):
        raise DataError("nothing was recorded", "at least one run", "Read the reasons in plan.json.")


def _told(result: Result) -> None:
    if result.reason.startswith("no time"):  # so ends every long plan; the sum says how many
        return
    what = f"{result.samples} samples in {result.seconds:.0f} s" if result.status == "recorded" else ""
    _say(f"{result.item.stem}: {result.status} {what}{'; ' if what and result.reason else ''}{result.reason}".rstrip())


def _words(tally: Tally) -> str:
    return f"{tally.ticks} ticks, {tally.missed} missed, {tally.silent} without an answer, {tally.cpu_s:.2f} s CPU"


def _say(text: str) -> None:
    typer.echo(text, err=True)
    sys.stderr.flush()
