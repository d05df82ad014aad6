"""Jobs as they are watched: samples in, judged, scored, weighed; out come verdicts when something changes.

The agent and ``hashwarden replay`` take this one path. All jobs of a step go through the network and the evidence as
one batch. C = len(CHANNELS).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final, Protocol, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS, GROUPS
from hashwarden.model.job.reasons import Deciding
from hashwarden.model.job.taxonomy import CLASSES, MINING, MINING_FAMILIES
from hashwarden.model.job.verdict import EvidenceRecord, JobVerdict, reasons_of
from hashwarden.model.sequential import Evidence
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.model.sequential_rules import BLIND_S
from hashwarden.model.sequential_state import BLIND_TEXT, Blind, JobEvidence, State
from hashwarden.model.validity_many import Validities
from hashwarden.serve.sight import Presences, Seen, Sight, given, settled
from hashwarden.serve.watch_window import Window

__all__ = ["JobWatch", "Sample", "Scorer"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_NONE: Final = np.zeros(len(GROUPS), np.bool_)


class Scorer(Protocol):
    """What `hashwarden.serve.job_scorer.JobScorer` is, as far as it matters here."""

    def initial(self, n: int) -> Any: ...  # noqa: ANN401, D102
    def step(self, sample: Any, mask: Any, dt: Any, state: Any) -> Any: ...  # noqa: ANN401, D102
    def sequence(self, samples: Any, masks: Any, dts: Any, state: Any = None) -> Any: ...  # noqa: ANN401, D102


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of one job.

    Attributes
    ----------
    job : str
    time_s : float
        On any clock that is the same for all samples of the job.
    values : float32 array, shape (C,)
        As the source gave them; NaN is missing.
    foreign : bool
        Whether it may count the work of others, and nothing says that it is this job's: no evidence then.
    """

    job: str
    time_s: float
    values: F32
    foreign: bool = False


@final
@dataclass(slots=True)
class _Job:
    """What is kept of a job beside its row of the arrays."""

    row: int
    window: Window = field(default_factory=Window)
    last_s: float | None = None
    ticked_s: float = 0.0
    told: tuple[State, Blind] | None = None
    deciding: tuple[Deciding, ...] = ()
    decided_s: tuple[float, float] | None = None
    tier: int = -1
    groups: Bools = field(default_factory=_NONE.copy)
    lost: Bools = field(default_factory=_NONE.copy)

    def since(self, time_s: float) -> float:
        """Seconds since the sample before, 0 for the first."""
        return 0.0 if self.last_s is None else max(0.0, time_s - self.last_s)


@final
class JobWatch:
    """Watches any number of jobs.

    Parameters
    ----------
    scorer : Scorer
        On the CPU: states of single jobs are taken out of its batch.
    calibration : EvidenceCalibration
    alpha : float
        Share of honest jobs that may ever be confirmed.
    unlike : float
        Novelty above which work is called unknown; infinite for never.
    identity : mapping of str to str
        Of the model, for the verdicts.
    """

    def __init__(
        self, scorer: Scorer, calibration: EvidenceCalibration, alpha: float = 1e-3, unlike: float = np.inf,
        identity: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._scorer, self._calibration, self._alpha, self._unlike = scorer, calibration, alpha, unlike
        self._identity = dict(identity or {})
        self._evidence = Evidence(calibration, alpha, jobs=0)
        self._sight = Sight(calibration)
        self._validity, self._presence = Validities(), Presences()
        self._jobs: dict[str, _Job] = {}
        self._free: list[int] = []
        self._state: F32 = np.asarray(scorer.initial(0), np.float32)
        self._means: F32 = np.zeros((0, len(CLASSES) + len(MINING_FAMILIES) + 1), np.float32)

    @property
    def jobs(self) -> tuple[str, ...]:
        """Those that are watched."""
        return tuple(self._jobs)

    def step(self, samples: Sequence[Sample]) -> list[JobVerdict]:
        """Take one sample of each of some jobs; new names are new jobs.

        Returns
        -------
        list of JobVerdict
            Of the jobs whose state, or whose reason to abstain, is another than was last told.

        Raises
        ------
        UsageError
            If a job comes twice, or a sample has another shape. Nothing is changed then.
        """
        self._check(samples)
        jobs = [self._job(sample.job) for sample in samples]
        if not jobs:
            return []
        rows, times = np.array([job.row for job in jobs]), np.array([sample.time_s for sample in samples], np.float64)
        judged = self._validity.step(rows, times, _stacked(samples))
        fresh = judged.fresh
        held = given(judged)
        held[fresh] = self._presence.see(rows[fresh], times[fresh], held[fresh])
        seen = self._sight.look(judged, held)
        dts = np.array([job.since(s.time_s) if new else 0.0
                        for job, s, new in zip(jobs, samples, fresh, strict=True)])  # fmt: skip
        values = np.where(seen.masks, judged.values, np.float32(0))
        self._keep(jobs, seen, held, values, dts, fresh)
        chances = self._score(rows, values, seen.masks, dts, fresh)
        late = np.maximum(dts - [job.ticked_s for job in jobs], 0.0)
        unlike = self._means[rows, -1] > self._unlike
        foreign = (seen.blind == Blind.NO) & [sample.foreign for sample in samples]
        blind = np.where(foreign, np.int8(Blind.SHARED), seen.blind)
        state = self._evidence.update(chances, late, seen.tiers, blind, unlike, rows)
        for job, sample, new in zip(jobs, samples, fresh, strict=True):
            if new:
                job.last_s, job.ticked_s = sample.time_s, 0.0
        return self._changed(dict(zip([sample.job for sample in samples], state.each(), strict=True)))

    def tick(
        self, time_s: float, jobs: Iterable[str] | None = None, behind: Mapping[str, float] | None = None
    ) -> list[JobVerdict]:
        """Say what time it is, on the samples' clock, for jobs that gave no sample: silence is no innocence.

        Parameters
        ----------
        time_s : float
        jobs : iterable of str, optional
            All if None.
        behind : mapping of str to float, optional
            By how many seconds the clock of a job's samples is behind `time_s`; 0 for those that are not named.

        Returns
        -------
        list of JobVerdict
            As `step`.
        """
        lags = behind or {}
        passed = {n: self._jobs[n].since(time_s - lags.get(n, 0.0)) for n in (self._jobs if jobs is None else jobs)}
        names = [name for name, seconds in passed.items() if seconds > 0]
        chosen = [self._jobs[name] for name in names]
        quiet = np.array([passed[name] - self._jobs[name].ticked_s for name in names])
        if not chosen:
            return []
        blind = np.full(len(chosen), Blind.STALE, np.int8)
        none = np.full(len(chosen), np.nan)
        rows = np.array([job.row for job in chosen])
        late = np.maximum(quiet, 0.0)
        state = self._evidence.update(none, late, np.array([job.tier for job in chosen]), blind, rows=rows)
        for name, job in zip(names, chosen, strict=True):
            job.ticked_s = max(job.ticked_s, passed[name])
        return self._changed(dict(zip(names, state.each(), strict=True)))

    def verdict(self, job: str) -> JobVerdict:
        """The verdict on a job as it stands.

        Raises
        ------
        UsageError
            If there is no such job.
        """
        return self._verdict(job, self.evidence(job))

    def unseen(self, job: str) -> JobVerdict:
        """The verdict on a job of which nothing was ever seen; it is watched from now on."""
        self._job(job)
        return self.verdict(job)

    def evidence(self, job: str) -> JobEvidence:
        """The evidence on a job as it stands; errors as `verdict`."""
        return self._evidence.state(np.array([self._known(job).row])).one(0)

    def evidence_on(self, jobs: Sequence[str]) -> list[JobEvidence]:
        """The evidence on several jobs at once; errors as `verdict`."""
        return self._evidence.state(np.array([self._known(job).row for job in jobs], np.int64)).each()

    def rename(self, job: str, name: str) -> None:
        """A job is called otherwise from now on; errors as `verdict`."""
        known = self._known(job)
        del self._jobs[job]
        self._jobs[name] = known

    def forget(self, job: str) -> None:
        """A job has ended."""
        self._free.append(self._known(job).row)
        del self._jobs[job]

    def saved(self) -> dict[str, Any]:
        """The evidence on every job as JSON, for a restart of the agent; the network warms up again by itself."""
        return {name: self._evidence.saved(job.row) for name, job in self._jobs.items()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take up jobs again; errors as `Evidence.restore`."""
        for name, record in saved.items():
            self._evidence.restore(self._job(name).row, record)

    def _check(self, samples: Sequence[Sample]) -> None:
        if len({sample.job for sample in samples}) != len(samples):
            raise UsageError("two samples of one job in one step", "at most one", "Take a step for each.")
        for sample in samples:
            if sample.values.shape != (len(CHANNELS),):
                raise UsageError(
                    f"a sample of shape {sample.values.shape}", f"({len(CHANNELS)},)", "Give every channel.",
                    where=f"job {sample.job!r}",
                )  # fmt: skip

    def _known(self, job: str) -> _Job:
        if job not in self._jobs:
            raise UsageError(f"the job {job!r}", "one that gave a sample and was not forgotten", "Check its name.")
        return self._jobs[job]

    def _job(self, name: str) -> _Job:
        if name not in self._jobs:
            if not self._free:
                self._grow(max(16, len(self._jobs)))
            row = self._free.pop()
            for each in (self._evidence, self._validity, self._presence):
                each.restart(row)
            self._state[row], self._means[row] = self._scorer.initial(1)[0], np.nan
            self._jobs[name] = _Job(row)
        return self._jobs[name]

    def _grow(self, more: int) -> None:
        size = len(self._evidence)
        for each in (self._evidence, self._validity, self._presence):
            each.grow(more)
        self._state = np.concatenate([self._state, np.asarray(self._scorer.initial(more))])
        self._means = np.concatenate([self._means, np.full((more, self._means.shape[1]), np.nan, np.float32)])
        self._free += range(size + more - 1, size - 1, -1)

    def _keep(  # noqa: PLR0913, PLR0917
        self, jobs: list[_Job], seen: Seen, held: Bools, values: F32, dts: F64, fresh: Bools
    ) -> None:
        """What verdicts need later: the window, the tier, the groups that fell silent."""
        for i in np.flatnonzero(fresh).tolist():
            job = jobs[i]
            job.window.add(values[i], seen.masks[i], float(dts[i]), self._state[job.row])
            job.tier, job.lost, job.groups = int(seen.tiers[i]), job.groups & ~held[i], job.groups | held[i]

    def _score(self, rows: I64, values: F32, masks: Bools, dts: F64, fresh: Bools) -> F64:
        """One step of the network for the fresh samples; NaN for the others."""
        chances = np.full(len(rows), np.nan)
        if fresh.any():
            at, dt = rows[fresh], dts[fresh].astype(np.float32)[:, None]
            said = self._scorer.step(values[fresh], masks[fresh].astype(np.float32), dt, self._state[at])
            self._state[at] = said.state
            chances[fresh] = np.clip(said.probabilities[:, MINING], 0.0, 1.0)
            now = np.concatenate([said.probabilities, said.families, said.novelty[:, None]], axis=1)
            self._means[at] = settled(self._means[at], now[None], np.broadcast_to(dt, now.shape)[None])[0]
        return chances

    def _changed(self, found: Mapping[str, JobEvidence]) -> list[JobVerdict]:
        told = []
        for name, now in found.items():
            job = self._jobs[name]
            here = (now.state, now.blind if now.blind_s >= BLIND_S or now.state is State.ABSTAIN else Blind.NO)
            if here != job.told:
                before = State.ABSTAIN if job.told is None else job.told[0]
                if now.state > max(before, State.CLEAR):
                    job.deciding, end_s = job.window.decided(self._scorer), job.last_s or 0.0
                    job.decided_s = (end_s - job.window.seconds, end_s) if job.deciding else None
                job.told = here
                told.append(self._verdict(name, now))
        return told

    def _verdict(self, name: str, now: JobEvidence) -> JobVerdict:
        job = self._known(name)
        means = self._means[job.row]
        classes, families = means[: len(CLASSES)], means[len(CLASSES) : -1]
        scored = not np.isnan(classes).any()
        chances = {c: round(float(p), 4) for c, p in zip(CLASSES, classes, strict=True)} if scored else {}
        family = int(np.argmax(families)) if scored and now.state >= State.WATCHING else -1
        likeliest = max(chances, key=lambda c: chances[c], default="nothing known")
        lost = [f"{group} counters say nothing any more" for group in sorted(compress(GROUPS, job.lost))]
        return JobVerdict(
            job=name,
            time_s=float(job.last_s or 0.0),
            state=now.state.word,
            abstains_for=BLIND_TEXT[now.blind],
            probabilities=chances,
            family=MINING_FAMILIES[family] if family >= 0 else "",
            family_probability=round(float(families[family]), 4) if family >= 0 else 0.0,
            evidence=EvidenceRecord.model_validate(now.record()),
            alpha=self._alpha,
            reasons=(*reasons_of(now, job.deciding, self._alpha, likeliest), *lost),
            deciding=job.deciding,
            decided_s=job.decided_s,
            tier=self._calibration.names[job.tier] if job.tier >= 0 else "",
            novelty=round(float(means[-1]), 3) if scored else 0.0,
            model=self._identity,
        )


def _stacked(samples: Sequence[Sample]) -> F32:
    """Samples of several jobs as rows; what float32 cannot hold becomes infinite, which is missing."""
    values = np.stack([sample.values for sample in samples])
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)
