"""The judges of a scan: the shipped model and the file rule."""

from __future__ import annotations

from hashwarden.serve.scan.judge import FileRule, Scorer

__all__ = ["judges"]


def judges() -> tuple[Scorer, FileRule]:
    """Load the shipped kernel model, and name the file rule.

    Raises
    ------
    ModelError
        If the model file is missing, damaged or made for another version.
    """
    from hashwarden.model.kernel.rule import judge_file
    from hashwarden.serve.scorer import KernelScorer

    return KernelScorer(), judge_file
