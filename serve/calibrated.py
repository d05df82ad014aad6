"""What a job model says of its own limits: how its evidence is calibrated, and how novel work may be."""

from __future__ import annotations

import math

from hashwarden.errors import ModelError
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.serve.job_scorer import JobScorer

__all__ = ["calibration_of", "novelty_limit_of"]


def calibration_of(scorer: JobScorer) -> EvidenceCalibration:
    """The calibration that a model file carries.

    Raises
    ------
    ModelError
        If it carries none, or one that does not fit this version.
    """
    try:
        return EvidenceCalibration.model_validate(scorer.metadata.evidence)
    except ValueError as error:
        raise ModelError(
            "no calibration of evidence that can be read", "one made by hashwarden train job of this version",
            "Train the model again, or use the shipped one.", where=str(scorer.path),
        ) from error  # fmt: skip


def novelty_limit_of(scorer: JobScorer) -> float:
    """The mean novelty above which work is called unknown; infinite where the model names none."""
    return scorer.metadata.novelty_limits.get("unlike", math.inf)
