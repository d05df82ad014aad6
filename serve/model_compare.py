"""Whether a job model is fit to take over: what it and the present one make of the same labelled runs.

Both read the same runs from their beginning, with all that the runs show, through the path that the agent uses. A model
takes over if it is no worse than the margins below allow in any of the five figures; they are the noise of a
reference set of some dozens of runs. A set of one's own recordings is the better judge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError
from hashwarden.model.job.taxonomy import CLASSES, MINING
from hashwarden.model.trace import Run
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.onnx_session import shipped
from hashwarden.serve.score_runs import Scored, score_run

__all__ = ["MARGINS", "Figures", "Line", "compare", "figures", "shipped_reference"]

F64 = npt.NDArray[np.float64]

MARGINS: Final = {
    "AUROC, mining or not": 0.005,
    "log loss": 0.03,
    "honest runs confirmed": 0.0,
    "highest evidence of an honest run (log10)": 1.0,
    "mining runs confirmed": 0.0,
}
"""By how much each figure may be worse than the present model's. The highest evidence counts only above 0, where it is
evidence for mining at all."""

_HIGHER_IS_BETTER: Final = ("AUROC, mining or not", "mining runs confirmed")


@final
@dataclass(frozen=True, slots=True)
class Figures:
    """What a model makes of a reference set.

    Attributes
    ----------
    runs, mining : int
    auroc : float
        Of the mean P(mining) of runs, mining against the rest.
    log_loss : float
        Mean over classes of the mean over runs of the mean over samples.
    honest_confirmed, mining_confirmed : int
        Runs that reached the state ``confirmed``.
    highest_honest : float
        Highest evidence that an honest run reached, as a power of 10.
    """

    runs: int
    mining: int
    auroc: float
    log_loss: float
    honest_confirmed: int
    highest_honest: float
    mining_confirmed: int

    @property
    def lines(self) -> dict[str, float]:
        """The five that decide, by name."""
        values = (self.auroc, self.log_loss, float(self.honest_confirmed), self.highest_honest,
                  float(self.mining_confirmed))  # fmt: skip
        return dict(zip(MARGINS, values, strict=True))


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One figure of the comparison.

    Attributes
    ----------
    name : str
    present, new, margin : float
    fit : bool
        Whether the new model is no worse than the margin allows.
    """

    name: str
    present: float
    new: float
    margin: float
    fit: bool


def shipped_reference() -> Path:
    """The reference set of the installed package: 60 synthesised runs (data/job/README.md)."""
    return shipped("job_reference.parquet")


def figures(scorer: JobScorer, runs: Iterable[Run]) -> Figures:
    """Let a model judge labelled runs.

    Raises
    ------
    DataError
        If there is no mining run among them, or none that does not mine.
    """
    means, mines, losses = [], [], {label: list[float]() for label in range(len(CLASSES))}
    confirmed, highest = [0, 0], -math.inf
    for run in runs:
        if run.label not in CLASSES:
            continue
        scored, label = score_run(scorer, run), CLASSES.index(run.label)
        means.append(float(np.nanmean(scored.probabilities[:, MINING])))
        mines.append(label == MINING)
        losses[label].append(_loss(scored, label))
        confirmed[label == MINING] += int(scored.confirmed)
        if label != MINING:
            highest = max(highest, scored.highest)
    if len(set(mines)) < 2:
        raise DataError(f"{sum(mines)} mining runs of {len(mines)}", "labelled runs that mine and that do not",
                        "Name another reference trace.")  # fmt: skip
    loss = float(np.mean([np.mean(some) for some in losses.values() if some]))
    return Figures(len(mines), sum(mines), _auroc(np.array(means), np.array(mines)), loss, confirmed[0], highest,
                   confirmed[1])  # fmt: skip


def _loss(scored: Scored, label: int) -> float:
    return float(-np.log(np.maximum(scored.probabilities[:, label], 1e-7)).mean())


def _auroc(score: F64, positive: npt.NDArray[np.bool_]) -> float:
    """Chance that a positive scores higher than a negative, ties a half (Hanley and McNeil 1982)."""
    more = (score[positive][:, None] > score[~positive]).mean()
    same = (score[positive][:, None] == score[~positive]).mean()
    return float(more + same / 2)


def compare(present: Figures, new: Figures) -> list[Line]:
    """Compare figure by figure."""
    lines = []
    for name, margin in MARGINS.items():
        before, after = present.lines[name], new.lines[name]
        fit = after >= before - margin if name in _HIGHER_IS_BETTER else after <= max(before, 0.0) + margin
        lines.append(Line(name, before, after, margin, fit))
    return lines
