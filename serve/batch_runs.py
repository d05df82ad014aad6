"""Runs from what a program holds in memory: an Arrow table, or an array of samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.trace import Run
from hashwarden.model.trace_check import check_run

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["runs_of_array", "runs_of_table"]

_BESIDE = ("run", "time_s", "label", "family", "strategy", "gpu", "origin")
"""Columns of a trace that are no channels."""


def runs_of_table(table: pa.Table) -> Iterator[Run]:
    """Runs of a table: ``time_s``, channels by name, and ``run`` if there are several. Rows of a run in order of time.

    Raises
    ------
    DataError
        If ``time_s`` is missing, a column is no channel, holds no numbers, or a time does not rise.
    """
    unknown = [name for name in table.column_names if name not in INDEX and name not in _BESIDE]
    if unknown or "time_s" not in table.column_names:
        got = f"the column {unknown[0][:60]!r}" if unknown else "no column time_s"
        raise DataError(got, "time_s, run and names of channels (docs/channels.md)", "Rename or leave out columns.")
    values = np.full((len(table), len(CHANNELS)), np.nan, np.float32)
    for name in table.column_names:
        if name in INDEX:
            values[:, INDEX[name]] = _numbers(table, name)
    times = _numbers(table, "time_s")
    names = np.array(table["run"].to_pylist() if "run" in table.column_names else ["run"] * len(table), object)
    for name in dict.fromkeys(names):
        rows = names == name
        yield _checked(str(name), times[rows], values[rows])


def runs_of_array(samples: npt.ArrayLike, times: npt.ArrayLike | None, period_s: float) -> Iterator[Run]:
    """Runs of an array of shape (T, C) or (N, T, C), named by their place.

    Raises
    ------
    DataError
        If the shape is another, or a time does not rise.
    """
    values = np.asarray(samples, np.float32)
    if values.ndim not in (2, 3) or values.shape[-1] != len(CHANNELS):
        got, wanted = f"samples of shape {values.shape}", f"([runs,] samples, {len(CHANNELS)})"
        raise DataError(got, wanted, "Order the columns by CHANNELS, NaN for what is missing.")
    runs = values[None] if values.ndim == 2 else values
    when = np.arange(runs.shape[1]) * period_s if times is None else np.asarray(times, np.float64)
    for number, run in enumerate(runs):
        yield _checked(str(number), when, run)


def _checked(name: str, times: Any, values: npt.NDArray[np.float32]) -> Run:  # noqa: ANN401
    run = Run(name, np.asarray(times, np.float64), values)
    check_run(run, "")
    return run


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(table[name].to_numpy(), np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the column {name!r} of {table[name].type}", "numbers", "Convert it.") from error
