"""``hashwarden replay``: the runs of a trace through the whole path of the agent, with the evidence over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.sequential_state import State
from hashwarden.model.trace import Run
from hashwarden.serve.calibrated import calibration_of, novelty_limit_of
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.watch import JobWatch, Sample

__all__ = ["POINTS", "Replayed", "Track", "replay"]

F64 = npt.NDArray[np.float64]

POINTS: Final = 512
"""Points of a track at most; when it is full every second one goes."""

TOGETHER: Final = 64
"""Runs that go through the path side by side."""


@final
@dataclass(slots=True)
class Track:
    """The evidence for ``confirmed`` over time, in bounded memory.

    Attributes
    ----------
    times, strengths, states : list
        Seconds, `JobEvidence.strength` and `State` at the ends of some blocks; the highest of the blocks that each
        stands for.
    """

    times: list[float] = field(default_factory=list)
    strengths: list[float] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    _blocks: int = 0
    _every: int = 1

    def add(self, blocks: int, time_s: float, strength: float, state: State) -> None:
        """Take the evidence as it stands; anything but a new block is passed over."""
        if blocks == self._blocks:
            return
        if self._blocks // self._every == blocks // self._every and self.times:
            self.strengths[-1], self.states[-1] = max(self.strengths[-1], strength), max(self.states[-1], state)
        else:
            self.times.append(time_s)
            self.strengths.append(strength)
            self.states.append(state)
        self._blocks = blocks
        if len(self.times) > POINTS:
            self._halve()

    def _halve(self) -> None:
        pairs = range(0, len(self.times) - 1, 2)
        self.strengths = [max(self.strengths[i : i + 2]) for i in pairs]
        self.states = [max(self.states[i : i + 2]) for i in pairs]
        self.times = [self.times[i] for i in pairs]
        self._every *= 2


@final
@dataclass(slots=True)
class Replayed:
    """One run, replayed.

    Attributes
    ----------
    run : Run
        Without its values.
    verdict : JobVerdict
        At its end.
    worst : State
        The highest state that it ever had.
    changes : list of JobVerdict
        At each change of state.
    track : Track
    """

    run: Run
    verdict: JobVerdict
    worst: State
    changes: list[JobVerdict]
    track: Track


def replay(runs: Iterable[Run], scorer: JobScorer, alpha: float = 1e-3) -> Iterator[Replayed]:
    """Replay runs in their order.

    Parameters
    ----------
    runs : iterable of Run
        Read as they are needed; `TOGETHER` of them are held at a time.
    scorer : JobScorer
        On the CPU.
    alpha : float
        Share of honest jobs that may ever be confirmed.

    Yields
    ------
    Replayed
        Runs without samples are replayed too: they abstain.
    """
    calibration, source = calibration_of(scorer), iter(runs)
    while part := list(islice(source, TOGETHER)):
        watch = JobWatch(scorer, calibration, alpha, novelty_limit_of(scorer), scorer.identity)
        yield from _together(part, watch)


def _together(runs: list[Run], watch: JobWatch) -> Iterator[Replayed]:
    names = [f"{place}" for place in range(len(runs))]  # names in a file are unique, those of several files may not be
    changes: list[list[JobVerdict]] = [[] for _ in runs]
    tracks, worst = [Track() for _ in runs], [State.ABSTAIN for _ in runs]
    for at in range(max(map(len, runs))):
        here = [i for i, run in enumerate(runs) if at < len(run)]
        told = watch.step([Sample(names[i], float(runs[i].times[at]), runs[i].values[at]) for i in here])
        for verdict in told:
            i = int(verdict.job)
            changes[i].append(verdict.model_copy(update={"job": runs[i].name}))
        for i in here:
            now = watch.evidence(names[i])
            tracks[i].add(now.blocks, float(runs[i].times[at]), now.strength, now.state)
            worst[i] = max(worst[i], now.state)
    for i, run in enumerate(runs):
        verdict = (watch.verdict(names[i]) if len(run) else watch.unseen(names[i])).model_copy(update={"job": run.name})
        bare = Run(run.name, run.times, run.values[:0], run.label, run.family, run.strategy, run.info)
        yield Replayed(bare, verdict, worst[i], changes[i], tracks[i])
