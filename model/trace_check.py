"""What makes a run a good one, whoever wrote it: names, labels, times and shapes."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.job.taxonomy import CLASSES, MINING, MINING_FAMILIES, STRATEGIES
from hashwarden.model.trace import Run

__all__ = ["MAX_NAME", "check_run", "check_times"]

MAX_NAME: Final = 200
"""Characters of a run's name and of a GPU's."""

_FAMILY: Final = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}\Z")


def check_run(run: Run, where: str) -> None:
    """Check all of a run but its values, which may be anything.

    Raises
    ------
    DataError
        For a name that is empty, too long or not printable, an unknown label, family or strategy, arrays that do not
        fit each other, no samples, or a time that does not rise.
    """
    name = run.name
    if not (0 < len(name) <= MAX_NAME and name.isprintable()):
        raise _bad(f"the run name {name[:40]!r}", f"1 to {MAX_NAME} printable characters", "Rename the run.", where)
    where = f"{where}!{name}" if where else name
    gpu = run.info.gpu
    if len(gpu) > MAX_NAME or not gpu.isprintable():
        raise _bad(f"the GPU {gpu[:40]!r}", f"up to {MAX_NAME} printable characters", "Name it anew.", where)
    _check_labels(run, where)
    if run.values.dtype != np.float32 or run.values.shape != (len(run), len(CHANNELS)):
        got = f"values of shape {run.values.shape} and type {run.values.dtype} at {len(run)} times"
        raise _bad(got, f"float32 of shape (samples, {len(CHANNELS)})", "Order them by CHANNELS.", where)
    if len(run) == 0:
        raise _bad("a run without samples", "at least one", "Leave it out.", where)
    check_times(run.times, -np.inf, where)


def check_times(times: npt.NDArray[np.float64], after: float, where: str) -> None:
    """Times have to be finite and to rise from sample to sample, the first after ``after``.

    Raises
    ------
    DataError
        That names the first sample that breaks this.
    """
    before = np.concatenate([[after], times[:-1]])
    wrong = ~(np.isfinite(times) & (times > before))
    if wrong.any():
        row = int(wrong.argmax())
        got = f"time {float(times[row])!r} s after {float(before[row])!r} s"
        remedy = "Drop samples that were shown twice, or start a new run where the clock went back."
        raise _bad(got, "times that are finite and rise", remedy, where)


def _check_labels(run: Run, where: str) -> None:
    if run.label not in {"", *CLASSES}:
        raise _bad(f"the label {run.label[:40]!r}", f"none or one of {', '.join(CLASSES)}", "Label it anew.", where)
    if run.label == CLASSES[MINING] and run.family not in {"", *MINING_FAMILIES}:
        expected = f"none or one of {', '.join(MINING_FAMILIES)}"
        raise _bad(f"the family {run.family[:40]!r} of mining", expected, "Label it anew.", where)
    if run.family and not _FAMILY.match(run.family):
        expected = "up to 64 lower-case letters, digits and . _ + -"
        raise _bad(f"the family {run.family[:40]!r}", expected, "Label it anew.", where)
    if run.strategy not in STRATEGIES:
        raise _bad(f"the strategy {run.strategy[:40]!r}", f"one of {', '.join(STRATEGIES)}", "Label it anew.", where)


def _bad(got: str, expected: str, remedy: str, where: str) -> DataError:
    return DataError(got, expected, remedy, where=where)
