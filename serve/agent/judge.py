"""From the samples of a tick to verdicts, and to what policy may know of each job."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from hashwarden.errors import DataError
from hashwarden.model.channels import INDEX
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.sequential_state import Blind, JobEvidence, State
from hashwarden.serve.agent.coverage import Coverage
from hashwarden.serve.agent.joining import JobSample, session_of, split, watched_name
from hashwarden.serve.agent.trials import CUT, Trials
from hashwarden.serve.agent.window import RawWindow
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.guards import CODE_MINING
from hashwarden.serve.policy.observation import Blindness, Observation
from hashwarden.serve.watch import JobWatch, Sample

__all__ = ["QUIET_S", "Judge", "Places", "Watched"]

Places = Mapping[str, Collection[str]]
"""From the key of a job to the GPUs that it is on now."""

QUIET_S: Final = 5.0
"""Silence that is none yet; sources that speak seldom have three times their own spacing."""

_SLOWEST_S: Final = 180.0
_SLEPT_S: Final = 60.0
_REFRESH_S: Final = 10.0
_CODE_S: Final = 180.0
"""For so long the machine code of what was launched speaks for what is launched now."""

_CODE: Final = INDEX["code_mining_ratio"]

_BLIND: Final[Mapping[Blind, Blindness]] = {
    Blind.STALE: Blindness.STALE,
    Blind.DEAD: Blindness.DEAD_COUNTERS,
    Blind.FEW: Blindness.DEAD_COUNTERS,
    Blind.SHARED: Blindness.SHARED,
    Blind.NO_CALIBRATION: Blindness.UNCALIBRATED,
    Blind.NO_SCORE: Blindness.MODEL,
}


@final
@dataclass(slots=True)
class Watched:
    """One job on one GPU.

    Attributes
    ----------
    job : Job
    gpu : str
    verdict : JobVerdict
        As of at most `_REFRESH_S` ago.
    evidence : JobEvidence
        As it stands.
    last_s, spacing_s : float
        The time of the last sample, and the time between the last two, by the clock of whoever took them.
    heard_s : float
        When the last one came.
    counted_s : float
        Up to when its GPU time was counted.
    refreshed_s : float
        When the verdict was made.
    shared : bool
    on : bool
        Whether the job is on this GPU now.
    code_mining, code_s : float
        Newest ``code_mining_ratio``, and when it came.
    session : str
        Which session of the job the last sample was of; see `hashwarden.serve.agent.trials`.
    borrowed : bool
        Whether the verdict rests on sessions before that one alone.
    anew : bool
        Whether nothing was heard of it since its evidence was taken up.
    """

    job: Job
    gpu: str
    verdict: JobVerdict
    evidence: JobEvidence
    last_s: float
    heard_s: float
    counted_s: float
    refreshed_s: float
    spacing_s: float = math.nan
    shared: bool = False
    on: bool = True
    code_mining: float = math.nan
    code_s: float = -math.inf
    session: str = ""
    borrowed: bool = False
    anew: bool = False

    @property
    def blind(self) -> Blindness | None:
        """Why nothing can be said of it now."""
        return Blindness.STALE if self.anew else _BLIND.get(self.evidence.blind)

    @property
    def behind_s(self) -> float:
        """By how much the clock of its samples is behind that of this program."""
        return self.heard_s - self.last_s

    @property
    def quiet_s(self) -> float:
        """Silence after which samples of it are missing."""
        known = 0.0 if math.isnan(self.spacing_s) else 3 * self.spacing_s
        return min(max(QUIET_S, known), _SLOWEST_S)


@final
class Judge:
    """Watches the jobs of one node.

    Parameters
    ----------
    watch : JobWatch
    window : RawWindow
        Takes the raw samples.
    coverage : Coverage
        Takes the GPU time.
    """

    def __init__(self, watch: JobWatch, window: RawWindow, coverage: Coverage) -> None:
        self._watch, self._window, self._coverage = watch, window, coverage
        self._trials = Trials(watch)
        self._watched: dict[str, Watched] = {}
        self._stepped_s = self._usual_s = math.nan

    @property
    def watched(self) -> Mapping[str, Watched]:
        """By `watched_name`."""
        return self._watched

    def step(self, samples: Sequence[JobSample], time_s: float, on: Places) -> list[JobVerdict]:
        """Take the samples of a tick.

        Parameters
        ----------
        samples : sequence of JobSample
        time_s : float
            Monotonic clock.
        on : mapping of str to collection of str
            Where the jobs are now: of a GPU that a job left, or is not on, no samples are expected, and no time is
            counted. Silence there is no blindness: else a glance at another GPU would make a job safe for good.

        Returns
        -------
        list of JobVerdict
            Those that changed.
        """
        fresh = [sample for sample in samples if self._is_later(sample)]
        for sample in fresh:
            self._window.add(sample)
            self._go_on(sample)
        mine = [Sample(_name(s), s.time_s, s.values, self._is_foreign(s, time_s)) for s in fresh]
        told = self._watch.step(self._trials.doubled(mine))
        for sample in fresh:
            self._keep(sample, time_s)
        for one in self._watched.values():
            one.on = one.gpu in on.get(one.job.key, ())
        quiet = [name for name, one in self._watched.items() if one.on and time_s - one.heard_s > one.quiet_s]
        behind = {name: self._watched[name].behind_s for name in quiet}
        told += self._watch.tick(time_s, self._trials.rows(quiet), self._trials.of_rows(behind))
        cut = self._trials.settle()
        changed = {verdict.job: verdict for verdict in self._trials.of_sequences(told)}
        names, slept = list(self._watched), self._has_slept(time_s)
        rows = [self._trials.row(name) for name in names]
        for name, evidence in zip(names, self._watch.evidence_on(rows), strict=True):
            one = self._watched[name]
            one.evidence, one.borrowed = evidence, self._trials.borrows(name)
            if (name in cut or name in self._trials) and evidence.state.word != one.verdict.state:
                changed[name] = self._trials.verdict(name)
            self._refresh(name, one, changed.get(name), time_s)
            self._count(one, time_s, slept=slept)
        return list(changed.values())

    def observe(
        self, jobs: Iterable[Job], now: tuple[float, float], on: Places,
        node: frozenset[Blindness] = frozenset(),
    ) -> list[Observation]:  # fmt: skip
        """What is known of each of the jobs.

        Parameters
        ----------
        jobs : iterable of Job
        now : tuple of float
            Monotonic clock, and seconds since 1970.
        on : mapping of str to collection of str
            See `step`.
        node : frozenset of Blindness
            What blinds all of them.
        """
        by_job: dict[str, list[Watched]] = {}
        for one in self._watched.values():
            by_job.setdefault(one.job.key, []).append(one)
        return [
            self._observe(job, self._drop_left(job, by_job.get(job.key, ())), now, on, node) for job in jobs
        ]  # fmt: skip

    def end(self, job: str) -> dict[str, Any]:
        """A job has ended: nothing of it is kept. Gives the evidence on it, if there is any, as `saved` does."""
        names = [name for name in self._watched if split(name)[0] == job]
        held = [name for name in names if self._watched[name].evidence.evidence[-1] > 1.0]
        saved = self.saved() if held else {}
        for name in names:
            self._forget(name)
        self._window.forget(job)
        self._coverage.forget(job)
        return {name: saved[name] for name in held}

    def saved(self) -> dict[str, Any]:
        """The evidence on every job, for a restart."""
        return self._trials.saved()

    def restore(self, saved: Mapping[str, Any], jobs: Mapping[str, Job], time_s: float) -> int:
        """Take up the evidence on jobs that are still there; gives how many."""
        still = [name for name in saved if split(name)[0] in jobs and name not in self._watched]
        return sum(self._restored(name, saved[name], jobs, time_s) for name in still)

    def _restored(self, name: str, record: Any, jobs: Mapping[str, Job], time_s: float) -> bool:  # noqa: ANN401
        """Whether the record could be read; if it is of another version, the evidence begins anew."""
        try:
            self._watch.restore({name: record})
        except (DataError, AttributeError, LookupError, TypeError, ValueError):
            if name in self._watch.jobs:
                self._watch.forget(name)
            return False
        job, gpu = split(name)
        self._watched[name] = self._new(name, jobs[job], gpu, time_s)
        self._watched[name].anew = True
        return True

    def _is_later(self, sample: JobSample) -> bool:
        known = self._watched.get(_name(sample))
        return known is None or known.anew or sample.time_s > known.last_s

    def _is_foreign(self, sample: JobSample, time_s: float) -> bool:
        """Whether others use the GPU, and the job's own code does not say that it is the one that mines.

        Their work must not become evidence against it, which would speak on when they are gone.
        """
        if not sample.shared:
            return False
        code, known = float(sample.values[_CODE]), self._watched.get(_name(sample))
        if math.isnan(code) and known is not None and time_s - known.code_s <= _CODE_S:
            code = known.code_mining
        return not code >= CODE_MINING  # NaN is not known

    def _new(self, name: str, job: Job, gpu: str, time_s: float) -> Watched:
        verdict, evidence = self._watch.verdict(name), self._watch.evidence(name)
        return Watched(job, gpu, verdict, evidence, time_s, time_s, time_s, time_s, session=job.key)

    def _forget(self, name: str) -> None:
        self._trials.forget(name)
        self._watch.forget(name)
        del self._watched[name]

    def _go_on(self, sample: JobSample) -> None:
        """Note that another session of a job is there now."""
        one, session = self._watched.get(_name(sample)), session_of(sample.job)
        if one is not None and one.session != session:
            self._trials.begin(_name(sample))
            one.session, one.code_mining, one.code_s = session, math.nan, -math.inf

    def _drop_left(self, job: Job, parts: Sequence[Watched]) -> list[Watched]:
        """Forget what other sessions of a job did on GPUs where it is no more, if this one is another matter."""
        session = session_of(job)
        mine = [one for one in parts if one.session == session or one.on]
        clear = any(one.evidence.state is State.CLEAR and one.evidence.blocks >= CUT for one in mine)
        if len(mine) == len(parts) or not clear:
            return list(parts)
        for one in parts:
            if one.session != session and not one.on:
                self._forget(watched_name(job.key, one.gpu))
        return mine

    def _keep(self, sample: JobSample, time_s: float) -> None:
        name = _name(sample)
        one = self._watched.get(name)
        if one is None:
            one = self._watched[name] = self._new(name, sample.job, sample.gpu, time_s)
            one.session = session_of(sample.job)
        elif not one.anew:
            one.spacing_s = max(sample.time_s - one.last_s, sample.every_s)
        one.last_s, one.anew = sample.time_s, False
        one.heard_s = sample.time_s if sample.heard_s is None else sample.heard_s
        one.job, one.shared = sample.job, sample.shared
        code = float(sample.values[_CODE])
        if not math.isnan(code):
            one.code_mining, one.code_s = code, one.heard_s

    def _refresh(self, name: str, one: Watched, changed: JobVerdict | None, time_s: float) -> None:
        old = time_s - one.refreshed_s >= _REFRESH_S or one.last_s - one.verdict.time_s >= _REFRESH_S
        if changed is not None or old:
            one.verdict, one.refreshed_s = changed or self._trials.verdict(name), time_s

    def _has_slept(self, time_s: float) -> bool:
        """Whether this program stood still since the last step, or the machine did: that time was not watched."""
        gap = time_s - self._stepped_s
        slept = gap > max(_SLEPT_S, 3 * self._usual_s if self._usual_s > 0 else 0.0)
        self._usual_s = gap if gap > 0 and not slept else self._usual_s
        self._stepped_s = time_s
        return slept

    def _count(self, one: Watched, time_s: float, *, slept: bool) -> None:
        blind = Blindness.STALE if slept else one.blind
        seconds, one.counted_s = time_s - one.counted_s, time_s
        if seconds > 0 and one.on:
            self._coverage.add(one.job, seconds, one.verdict.likeliest, "" if blind is None else blind.value)

    def _observe(
        self, job: Job, parts: Sequence[Watched], now: tuple[float, float], on: Places,
        node: frozenset[Blindness],
    ) -> Observation:  # fmt: skip
        blind = {one.blind for one in parts if one.on} - {None}
        if job.key in on and {*job.gpus, *on[job.key]} - {one.gpu for one in parts}:
            blind.add(Blindness.STALE)  # a GPU of it was never seen
        codes = [one.code_mining for one in parts if now[0] - one.code_s <= _CODE_S]
        return Observation(
            job=job,
            time_s=now[0],
            unix_s=now[1],
            verdicts={one.gpu: one.verdict for one in parts},
            blind=node | {each for each in blind if each is not None},
            shared=any(one.shared for one in parts if one.on),
            code_mining=max(codes, default=math.nan),
            gpu_seconds=self._coverage.of(job.key),
            borrowed=frozenset(one.gpu for one in parts if one.borrowed or one.session != session_of(job)),
        )


def _name(sample: JobSample) -> str:
    return watched_name(sample.job.key, sample.gpu)
