"""What the job model is measured against: trees over rolling statistics, on the same runs and the same splits.

Three of them. The random forest over nine NVML counters is the method of the strongest published work on telling GPU
work from such counters (arXiv 2606.19262), built anew here, since its code and data are not public; XGBoost reads the
same features; and XGBoost over every channel of the tier is the fair peer where more than NVML is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import xgboost
from sklearn.ensemble import RandomForestClassifier

from hashwarden.model.channels import CHANNELS, INDEX, NETWORK, TIERS
from hashwarden.training.job.rolling import rolling, rows_of

__all__ = ["BASELINES", "NINE", "Baseline", "Sampled", "channels_of", "sampled"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

NINE: Final = (
    "power_ratio", "temperature_celsius", "gpu_util_ratio", "memory_util_ratio", "sm_clock_ratio", "memory_clock_ratio",
    "pcie_tx_mib_per_s", "pcie_rx_mib_per_s", "fb_used_ratio",
)  # fmt: skip
"""The nine counters: power (over its limit, so that another GPU is no other world), temperature, utilisations, clocks,
PCIe, memory in use."""


@final
@dataclass(frozen=True, slots=True)
class Sampled:
    """One run as the baselines see it: rolling statistics at one row a block.

    Attributes
    ----------
    times : float64 array, shape (R,)
    features : float32 array, shape (R, len(CHANNELS) * len(STATISTICS))
        Of every channel; a baseline picks its columns.
    mining : bool
    """

    times: F64
    features: F32
    mining: bool


def sampled(times: F64, values: F32, *, mining: bool) -> Sampled:
    """Compute a run's features from its judged values, shape (T, len(CHANNELS)), NaN where not credible."""
    rows = rows_of(times)
    return Sampled(times[rows], rolling(times, values, rows), mining)


def channels_of(tier: str) -> tuple[str, ...]:
    """Name what a peer of the network may read in a tier: the network's own channels."""
    return tuple(name for name in NETWORK if CHANNELS[INDEX[name]].group in TIERS[tier])


def _forest(seed: int) -> Any:  # noqa: ANN401  scikit-learn ships no types
    return RandomForestClassifier(
        n_estimators=100, min_samples_leaf=3, max_features="sqrt", n_jobs=1, random_state=seed,
    )  # fmt: skip


def _boosted(seed: int) -> Any:  # noqa: ANN401  xgboost ships no types
    return xgboost.XGBClassifier(
        n_estimators=150, max_depth=6, learning_rate=0.15, subsample=0.8, colsample_bytree=0.5, max_bin=64,
        tree_method="hist", n_jobs=1, random_state=seed,
    )  # fmt: skip


MAKERS: Final[dict[str, tuple[Callable[[int], Any], bool]]] = {
    "random forest, nine counters": (_forest, False),
    "XGBoost, nine counters": (_boosted, False),
    "XGBoost, all channels": (_boosted, True),
}

BASELINES: Final = tuple(MAKERS)
"""Names, as they stand in tables. The first two read NVML only and are the same in every tier."""

MOST_ROWS: Final = 30_000
"""Rows that a fit takes; more are thinned evenly within each run."""


@final
class Baseline:
    """One baseline in one tier.

    Parameters
    ----------
    name : str
        One of `BASELINES`.
    tier : str
        One of ``TIERS``.
    seed : int
        Of everything random.
    """

    def __init__(self, name: str, tier: str, seed: int = 0) -> None:
        maker, every = MAKERS[name]
        self.reads = channels_of(tier) if every else NINE
        self._model = maker(seed)
        self._columns = np.array([INDEX[channel] for channel in self.reads])

    def _pick(self, features: F32) -> F32:
        per_statistic = features.reshape(len(features), -1, len(CHANNELS))
        picked: F32 = per_statistic[:, :, self._columns].reshape(len(features), -1)
        return picked

    def fit(self, runs: Sequence[Sampled]) -> Baseline:
        """Learn from runs; both classes weigh the same in all, and so does every run within its class."""
        step = max(1, -(-sum(len(run.times) for run in runs) // MOST_ROWS))
        x = np.concatenate([self._pick(run.features[::step]) for run in runs])
        y = np.concatenate([np.full(len(run.times[::step]), run.mining) for run in runs])
        weight = np.concatenate([np.full(len(run.times[::step]), 1.0 / len(run.times[::step])) for run in runs])
        for value in (False, True):
            weight[y == value] /= max(weight[y == value].sum(), 1e-9)
        self._model.fit(x, y, sample_weight=weight * len(y) / 2)
        return self

    def score(self, runs: Sequence[Sampled]) -> list[F64]:
        """Give P(mining) at every row of every run, each of shape (R,)."""
        x = np.concatenate([self._pick(run.features) for run in runs])
        chance = self._model.predict_proba(x)[:, 1].astype(np.float64)
        return np.split(chance, np.cumsum([len(run.times) for run in runs])[:-1])
