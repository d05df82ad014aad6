"""The judges of a scan: the shipped model and the file rule."""

from __future__ import annotations

from hashwarden.serve.scan.judge import FileRule, Scorer

__all__ = ["judges"]


def judges() -> tuple[Scorer, FileRule]:
    """Load the shipped kernel model, and the file rule that belongs to it.

    Raises
    ------
    ModelError
        If the model file is missing, damaged or made for another version.
    """
    from hashwarden.serve.scorer import KernelScorer

    scorer = KernelScorer()
    return scorer, scorer.rule
