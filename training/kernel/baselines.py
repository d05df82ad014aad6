"""What the network is measured against: gradient-boosted trees and logistic regression on the same features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xgboost
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hashwarden.model.kernel.features import features_of_counts
from hashwarden.model.kernel.taxonomy import MINING
from hashwarden.training.kernel.crossval import Told
from hashwarden.training.kernel.dataset import Dataset

__all__ = ["BASELINES", "cross_validate_baseline"]

F64 = npt.NDArray[np.float64]


def _xgboost(seed: int) -> Any:  # noqa: ANN401  xgboost ships no types
    """Three hundred trees of depth five, as in the baselines that came with the tables."""
    return xgboost.XGBClassifier(
        n_estimators=300, max_depth=5, learning_rate=0.1, subsample=0.8, colsample_bytree=0.3, max_bin=64,
        tree_method="hist", n_jobs=2, random_state=seed,
    )  # fmt: skip


def _logistic(seed: int) -> Any:  # noqa: ANN401  scikit-learn ships no types
    """L2-regularised, on standardised features, classes balanced."""
    fitted = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300, random_state=seed)
    return make_pipeline(StandardScaler(), fitted)


BASELINES: Final[dict[str, Callable[[int], Any]]] = {"XGBoost": _xgboost, "logistic regression": _logistic}


def cross_validate_baseline(  # noqa: PLR0913  the two last are by name
    name: str, data: Dataset, fold: npt.NDArray[np.int64], told: Told, *, use_own: bool = True, seed: int = 0
) -> F64:
    """Score every row by a baseline that was fitted without its fold: log-odds of mining, shape (kernels,)."""
    features, mining = features_of_counts(data.counts), data.group == MINING
    score = np.zeros(len(data))
    folds = sorted(set(fold.tolist()) - {-1})
    for index in folds:
        rows = data.usable & (fold != index) & (use_own | ~data.own)
        model = BASELINES[name](seed)
        model.fit(features[rows], mining[rows])
        here = fold == index
        if name == "XGBoost":
            score[here] = model.predict(features[here], output_margin=True)
        else:
            score[here] = model.decision_function(features[here])
        told(f"{name}: fold {index + 1} of {len(folds)}")
    return score
