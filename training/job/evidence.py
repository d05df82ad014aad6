"""From a fitted network and runs that it never saw to the numbers that its evidence and its card need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import TIERS
from hashwarden.model.job.network import JobNet
from hashwarden.model.job.taxonomy import CLASSES, MINING
from hashwarden.model.sequential_calibration import EvidenceCalibration, Payoff
from hashwarden.training.job.calibrate import ScoredRun, calibrate, choose_payoff
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.material import HORIZON_S
from hashwarden.training.job.predict import predict
from hashwarden.training.job.store import DT

__all__ = ["calibrated", "novelty_limit", "scored"]

I64 = npt.NDArray[np.int64]

ALPHA: Final = 1e-3
_LEAST_S: Final = 120.0
_USUAL: Final = 0.999
_SETTLED_S: Final = 60.0
_CHOOSING: Final = 8
"""One honest run in eight chooses what a score pays and calibrates nothing: the choice must see rare runs too."""
_ENOUGH: Final = 1700
"""Runs from which so many can be spared: what is left still answers for 1 in 1,000."""


def scored(network: JobNet, data: Dataset, rows: I64, tier: str) -> list[ScoredRun]:
    """Score whole runs as one tier of evidence sees them."""
    runs = []
    for said in predict(network, data, data.showing(rows, TIERS[tier]), TIERS[tier]):
        times = np.cumsum(data.read(said.run)[:, DT], dtype=np.float64)
        chance = np.exp(said.classes[:, MINING].astype(np.float64))
        name, label = f"{said.run} {data.name[said.run]}", CLASSES[data.label[said.run]]
        runs.append(ScoredRun(name, times, np.minimum(chance, 1.0), label, "construction", data.origin[said.run]))
    return runs


def calibrated(network: JobNet, honest: Dataset, data: Dataset, held: I64) -> EvidenceCalibration:
    """Calibrate the evidence on honest runs; what scores pay is chosen on some of them and on held-out runs of the fit.

    Parameters
    ----------
    network : JobNet
    honest : Dataset
        Honest runs that the fit never saw; the horizon is what 19 of 20 of them were watched for.
    data : Dataset
        What the network was fitted on.
    held : int64 array
        Runs of it that were held out.

    Returns
    -------
    EvidenceCalibration
        Of the tiers that some honest run shows in full; of another nothing is known.
    """
    everything = np.arange(len(honest))
    tiers = [tier for tier, groups in TIERS.items() if honest.shows(groups).any()]
    runs, payoffs = {}, {}
    for tier in tiers:
        chooses, runs[tier] = _spared(scored(network, honest, everything, tier))
        payoffs[tier] = _payoff([*chooses, *scored(network, data, held, tier)])
    return calibrate(runs, payoffs=payoffs)


def _spared(runs: list[ScoredRun]) -> tuple[list[ScoredRun], list[ScoredRun]]:
    """Those that choose and those that calibrate, of every length alike; none chooses where they are too few."""
    if len(runs) < _ENOUGH:
        return [], runs
    return runs[::_CHOOSING], [run for place, run in enumerate(runs) if place % _CHOOSING]


def _payoff(runs: Sequence[ScoredRun]) -> Payoff | None:
    """What pays best on runs that are long enough to tell; the probability itself where there are too few."""
    long = [run for run in runs if run.times[-1] >= _LEAST_S]
    mining = [run for run in long if run.label == CLASSES[MINING]]
    honest = [run for run in long if run.label != CLASSES[MINING]]
    return choose_payoff(honest, mining, ALPHA, HORIZON_S) if len(mining) > 9 and len(honest) > 9 else None


def novelty_limit(network: JobNet, data: Dataset, rows: I64) -> float:
    """The novelty that one sample in 1,000 of known work exceeds, after the first minute."""
    found = []
    for said in predict(network, data, rows):
        times = np.cumsum(data.read(said.run)[:, DT], dtype=np.float64)
        found.append(said.novelty[times >= min(_SETTLED_S, times[-1] / 2)])
    return float(np.quantile(np.concatenate(found), _USUAL))
