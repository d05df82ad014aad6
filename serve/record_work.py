"""Records one workload, or an idle GPU, to one trace with a label that holds.

What a sample shows while the workload compiles, checks itself against its oracle or measures its speed without an
evasion is cut off. So are the first seconds of the run proper (`CUT_S`), through which averages of the sensors still
remember what was before, and all that came after the workload was last heard of.

``construction`` stands for a label only where the workload itself says that it ran on the recorded GPU.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any, Final, final

from hashwarden.errors import DataError, UsageError
from hashwarden.model.channels import INDEX
from hashwarden.model.trace import Run
from hashwarden.serve.journal import StorageError
from hashwarden.serve.recorder import Recording, Sample, Tally, record, run_of
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Device, Reading
from hashwarden.serve.workload_process import Work, WorkloadProcess

__all__ = [
    "CUT_S", "LONG_S", "Done", "Gate", "Owner", "Plan", "check_seconds", "finished_run", "record_idle", "record_work",
]  # fmt: skip

CUT_S: Final = 2.0
"""Seconds cut off at the start: NVML's power is a mean over 1 s, a GPM window reaches back 0.2 s."""

LONG_S: Final = 86_400.0
"""A workload beside another is ended when that has ended, however long it may run."""

_LOOK_S: Final = 0.05
_SHARED: Final = "others were on the GPU, as wanted: the label is not vouched for"

CONSTRUCTION: Final = "construction"


@final
class Owner:
    """Whose processes are one's own at present; given to the sources before there is a workload."""

    def __init__(self) -> None:
        self.process: WorkloadProcess | None = None

    def __call__(self, _gpu: str) -> frozenset[int]:
        """The workload's processes, on whatever GPU; none while there is no workload."""
        return frozenset() if self.process is None else self.process.pids


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """How to record.

    Attributes
    ----------
    runner : Runner
        Its sources are open.
    device : Device
        Which GPU.
    period_s : float
        From sample to sample.
    stop : Event
        Ends the recording early; what was recorded is sealed.
    owner : Owner
        Is told whose processes run.
    cut_s : float
        See `CUT_S`.
    start_limit_s : float
        A workload that has not begun by then is given up.
    """

    runner: Runner
    device: Device
    period_s: float
    stop: Event
    owner: Owner = field(default_factory=Owner)
    cut_s: float = CUT_S
    start_limit_s: float = 300.0


@final
@dataclass(frozen=True, slots=True)
class Done:
    """What came of it.

    Attributes
    ----------
    path : Path
        The trace.
    samples : int
        In it.
    labelled_by : str
        Empty if the label could not be vouched for; then `note` says why.
    note : str
        What the operator should know.
    tally : Tally
        How the recording went.
    """

    path: Path
    samples: int
    labelled_by: str
    note: str
    tally: Tally


@final
class Gate:
    """Lets samples pass that belong to the run proper; holds back what may or may not.

    Parameters
    ----------
    process : WorkloadProcess
        Tells when it started and ended, and until when it was heard of.
    cut_s : float
        Seconds after the start that do not pass.
    """

    def __init__(self, process: WorkloadProcess, cut_s: float) -> None:
        self._process, self._cut_s = process, cut_s
        self._held: deque[Sample] = deque()

    def admit(self, samples: Iterable[Sample]) -> list[Sample]:
        """Samples that are known to belong to the run by now, by time; the others wait or are dropped."""
        self._held.extend(samples)
        told = self._process.told
        if told.started_s is None:
            self._held.clear()
            return []
        until = told.heard_s if told.ended_s is None else told.ended_s
        ready = []
        while self._held and self._held[0].time_s <= until:
            sample = self._held.popleft()
            if sample.time_s >= told.started_s + self._cut_s:
                ready.append(sample)
        return ready


def record_work(  # noqa: PLR0913, PLR0917
    plan: Plan, work: Work, path: Path, names: tuple[str, str, str], more: Mapping[str, Any],
    beside: Sequence[Work] = (),
) -> Done:  # fmt: skip
    """Record a workload.

    Parameters
    ----------
    plan : Plan
        How.
    work : Work
        What.
    path : Path
        Of the trace, which must not exist.
    names : (str, str, str)
        Label, family and strategy (`hashwarden.serve.labels.labels_of`).
    more : mapping
        Goes into the run's parameters.
    beside : sequence of Work
        Run on the same GPU meanwhile, each in a process of its own: to the recorder they are somebody else's. What the
        counters show is not the workload's alone then, and nobody vouches for the label.

    Raises
    ------
    HashwardenError
        If a workload fails, does not begin in time, or not a sample came; no trace is left then.
    """
    label, family, strategy = names
    others = {"beside": [other.name for other in beside]} if beside else {}
    blank = run_of(plan.device, plan.period_s, path.stem, {"workload": work.name, **others, **more})
    blank = replace(blank, label=label, family=family, strategy=strategy)
    with tempfile.TemporaryDirectory(prefix="hashwarden-") as folder:
        recording = Recording(path, {plan.device.gpu: blank})
        try:
            with _others(plan, beside, Path(folder)), WorkloadProcess(work, plan.device, Path(folder)) as process:
                plan.owner.process = process
                tally = _watch(plan, process, recording)
                report = None if plan.stop.is_set() else process.report()
        except StorageError:
            recording.salvage()
            raise
        except BaseException:
            recording.drop()
            raise
        finally:
            plan.owner.process = None
    labelled_by, note = ("", _SHARED) if beside and report is not None else _vouch(report, plan.device)
    samples = recording.samples
    recording.seal(lambda run: finished_run(run, report, labelled_by))
    return Done(path, samples, labelled_by, note, tally)


@contextmanager
def _others(plan: Plan, works: Sequence[Work], folder: Path) -> Iterator[None]:
    """Workloads that compute from here on; each is over at the end, and none may be over before."""
    with ExitStack() as running:
        begun = []
        for number, work in enumerate(works):
            (folder / str(number)).mkdir()
            begun.append(running.enter_context(WorkloadProcess(work, plan.device, folder / str(number))))
            _wait(plan, begun[-1])
        yield
        for other in begun:
            if other.over:
                other.report()  # says why
                raise DataError(f"{other.work.name} ended early", "one that outlasts the recording", "Record it again.")


def _wait(plan: Plan, process: WorkloadProcess) -> None:
    until = time.monotonic() + plan.start_limit_s
    while process.told.started_s is None and not plan.stop.wait(_LOOK_S):
        over = process.over
        process.listen()
        if process.told.started_s is not None:
            return
        if over:
            process.report()  # says why
        if over or time.monotonic() > until:
            got = f"{process.work.name}, beside it, did not begin within {plan.start_limit_s:.0f} s"
            raise DataError(got, "a workload that compiles and checks itself in time", "Give it more time.")


def record_idle(plan: Plan, seconds: float, path: Path) -> Done:
    """Record a GPU that nothing runs on; the label stands only if NVML saw no process on it all the time."""
    blank = run_of(plan.device, plan.period_s, path.stem, {})
    recording = Recording(path, {plan.device.gpu: replace(blank, label="idle", family="idle")})
    processes: list[float] = []

    def take(samples: Sequence[Sample]) -> None:
        processes.extend(float(s.values[INDEX["process_count"]]) for s in samples if s.gpu == plan.device.gpu)
        recording.take(samples)

    try:
        done = lambda passed: passed >= seconds  # noqa: E731  a name for the line below
        tally = record(plan.runner, take, period_s=plan.period_s, stop=plan.stop, done=done)
    except BaseException:
        recording.salvage()
        raise
    quiet = bool(processes) and all(count == 0 for count in processes)
    note = "" if quiet else "processes were on the GPU, or NVML could not tell: the label is not vouched for"
    labelled_by, samples = CONSTRUCTION if quiet else "", recording.samples
    recording.seal(lambda run: _labelled(run, labelled_by, 0.0, {}))
    return Done(path, samples, labelled_by, note, tally)


def finished_run(run: Run, report: Mapping[str, Any] | None, labelled_by: str) -> Run:
    """A run with what its workload reported; None if it was interrupted."""
    if report is None:
        share = 1.0 if run.strategy == "plain" else math.nan
        return _labelled(run, labelled_by, share if run.label == "mining" else 0.0, {"interrupted": True})
    kept = report["kept_share"] if report["kept_share"] is not None else report["built_share"]
    if run.strategy == "plain":
        kept = 1.0
    share = 0.0 if run.label != "mining" else math.nan if kept is None else min(1.0, float(kept))
    left_out = {"workload", "label", "family"}
    return _labelled(run, labelled_by, share, {key: value for key, value in report.items() if key not in left_out})


def _labelled(run: Run, labelled_by: str, share: float, more: Mapping[str, Any]) -> Run:
    changes = {"labelled_by": labelled_by, "share": share, "parameters": {**run.info.parameters, **more}}
    return replace(run, info=run.info.model_copy(update=changes))


def _watch(plan: Plan, process: WorkloadProcess, recording: Recording) -> Tally:
    gate = Gate(process, plan.cut_s)

    def take(samples: Sequence[Sample]) -> None:
        recording.take(gate.admit(sample for sample in samples if sample.gpu == plan.device.gpu))

    def done(passed: float) -> bool:
        if process.told.started_s is None and passed > plan.start_limit_s and not process.over:
            got = f"{process.work.name} did not begin within {plan.start_limit_s:.0f} s"
            raise DataError(got, "a workload that compiles and checks itself in time", "Give it more time.")
        return process.told.ended_s is not None or process.over

    def launches(readings: Sequence[Reading]) -> Sequence[Reading]:
        process.listen()
        return process.launches(readings)

    tally = record(plan.runner, take, period_s=plan.period_s, stop=plan.stop, done=done, extra=launches)
    process.listen()
    take(())
    return tally


def _vouch(report: Mapping[str, Any] | None, device: Device) -> tuple[str, str]:
    """Who stands for the label: the recorder, if the workload says that it ran on the recorded GPU."""
    if report is None:
        return "", "interrupted before the workload said where it ran: the label is not vouched for"
    ran_on = str(report["device"])
    if ran_on in {"", "cpu"} or not (device.name.startswith(ran_on) or ran_on.startswith(device.name)):
        return "", f"the workload ran on {ran_on!r}, the counters are those of {device.name!r}: unlabelled"
    return CONSTRUCTION, ""


def check_seconds(seconds: float, cut_s: float) -> None:
    """Refuse a run of which nothing would be left."""
    if not cut_s < seconds <= 86_400:
        got = f"{seconds:g} s, of which the first {cut_s:g} s are cut off"
        raise UsageError(got, "longer runs, up to a day", "Choose more --seconds, or a smaller --cut.")
