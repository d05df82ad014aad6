"""What a run may teach: who labelled it, and what it did at each sample.

A run that a watched user could have influenced enters only with a label that somebody answers for: ``construction``
(the recorder started the workload, or it was synthesised) or ``operator:NAME``. A verdict of the model is no label.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES, STRATEGIES
from hashwarden.model.trace import Run

__all__ = ["UNKNOWN", "check_labels", "family_index", "truth"]

UNKNOWN: Final = -1
"""Class or family of what is not judged in the loss."""

_TRUSTED: Final = re.compile(r"construction|operator:\S.*")


def check_labels(run: Run, where: str = "") -> None:
    """Refuse a run that must not teach.

    Parameters
    ----------
    run : Run
    where : str
        The file that it was read from.

    Raises
    ------
    DataError
        If it carries no label, a label of an unknown class, family or strategy, or one that nobody answers for.
    """
    place = f"{where}: run {run.name!r}" if where else f"run {run.name!r}"
    if not run.label:
        raise DataError(
            "a run without a label", f"one of {', '.join(CLASSES)}", "Label it, or leave it out.", where=place
        )
    _known(run.label, CLASSES, "class", place)
    _known(run.strategy, STRATEGIES, "strategy", place)
    if run.label == "mining" and run.family:
        _known(run.family, MINING_FAMILIES, "family of mining", place)
    if not _TRUSTED.fullmatch(run.info.labelled_by):
        raise DataError(
            f"a label given by {run.info.labelled_by or 'nobody'!r}",
            "'construction' or 'operator:NAME'",
            "Have an operator look at the run and sign its label; what the model said is no label.",
            where=place,
        )


def _known(value: str, known: tuple[str, ...], what: str, where: str) -> None:
    if value not in known:
        raise DataError(f"the {what} {value!r}", f"one of {', '.join(known)}", "Correct the label.", where=where)


def family_index(run: Run) -> int:
    """The mining family by index; `UNKNOWN` for what does not mine or whose family nobody named."""
    if run.label != "mining" or not run.family:
        return UNKNOWN
    return MINING_FAMILIES.index(run.family)


def truth(run: Run) -> npt.NDArray[np.int8]:
    """The class at each sample.

    A run that hides its mining among honest work is honest while it does not mine: ``mining_spans_s`` among its
    parameters says when it mines, ``cover`` what it does in between.

    Returns
    -------
    int8 array, shape (T,)
        Class by index; `UNKNOWN` where nobody knows.
    """
    whole = np.full(len(run), CLASSES.index(run.label), np.int8)
    spans: Any = run.info.parameters.get("mining_spans_s")
    if run.label != "mining" or spans is None:
        return whole
    cover = str(run.info.parameters.get("cover", ""))
    found = np.full(len(run), CLASSES.index(cover) if cover in CLASSES else UNKNOWN, np.int8)
    for start, end in spans:
        found[(run.times >= start) & (run.times < end)] = CLASSES.index("mining")
    return found
