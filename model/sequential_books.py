"""What the evidence keeps of each job: a few numbers, which can be written down and read back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError
from hashwarden.model.sequential_math import CAP

__all__ = ["SCHEMA", "STEPS", "Books"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

SCHEMA: Final = 1
STEPS: Final = 3
"""Null levels followed at once: for watching, suspect, confirmed."""


@final
@dataclass(slots=True)
class Books:
    """N jobs, J fractions.

    Attributes
    ----------
    wealth : float64 array, shape (N, STEPS, J)
    evidence : float64 array, shape (N, STEPS)
    raised : bool array, shape (N, STEPS)
        Whether the threshold was reached and the evidence has not fallen back to none since.
    blocks : int64 array, shape (N,)
        Bets so far.
    watched_s, covered_s : float64 array, shape (N,)
        Seconds in blocks that were bet on, and in the block that is not full.
    score_sum, samples, null_sum : arrays, shapes (N,), (N,), (N, STEPS)
        Of the block that is not full.
    blind, blind_s, unknown, tier, confirmed_s : arrays, shape (N,)
        Reason and length of blindness, share of unknown work (half until anything is seen), tier last seen, when it
        was confirmed (NaN: never).
    """

    wealth: F64
    evidence: F64
    raised: npt.NDArray[np.bool_]
    blocks: I64
    watched_s: F64
    covered_s: F64
    score_sum: F64
    samples: I64
    null_sum: F64
    blind: npt.NDArray[np.int8]
    blind_s: F64
    unknown: F64
    tier: I64
    confirmed_s: F64

    @classmethod
    def new(cls, jobs: int, fractions: int) -> Books:
        """Jobs with no evidence."""
        zero, none = np.zeros(jobs), np.zeros(jobs, np.int64)
        return cls(
            np.zeros((jobs, STEPS, fractions)), np.ones((jobs, STEPS)), np.zeros((jobs, STEPS), np.bool_), none,
            zero.copy(), zero.copy(), zero.copy(), none.copy(), np.zeros((jobs, STEPS)), np.zeros(jobs, np.int8),
            zero.copy(), zero + 0.5, none - 1, zero + np.nan,
        )  # fmt: skip

    def joined(self, others: Books) -> Books:
        """These jobs and then the others."""
        return Books(*(np.concatenate([getattr(self, f.name), getattr(others, f.name)]) for f in fields(self)))

    def put(self, row: int, one: Books) -> None:
        """Write the first job of ``one`` into a row."""
        for field in fields(self):
            getattr(self, field.name)[row] = getattr(one, field.name)[0]

    def record(self, row: int) -> dict[str, Any]:
        """One job as JSON; NaN is null."""
        values = {f.name: getattr(self, f.name)[row].tolist() for f in fields(self)}
        confirmed = values["confirmed_s"]
        return {"schema": SCHEMA, **values, "confirmed_s": None if math.isnan(confirmed) else confirmed}

    @classmethod
    def read(cls, record: Mapping[str, Any], fractions: int, block_s: float) -> Books:
        """Read one job back.

        Raises
        ------
        DataError
            If it does not fit.
        """
        if record.get("schema") != SCHEMA or record.get("block_s") != block_s:
            raise _refused(f"schema {record.get('schema')!r} and blocks of {record.get('block_s')!r} s")
        blank = cls.new(1, fractions)
        for field in fields(cls):
            target = getattr(blank, field.name)
            try:
                given = record[field.name]
                value = np.array(math.nan if given is None else given).astype(target.dtype, casting="same_kind")
            except (KeyError, TypeError, ValueError) as error:
                raise _refused(f"no {field.name} that can be read") from error
            if value.shape != target.shape[1:]:
                raise _refused(f"{field.name} of shape {value.shape}")
            target[0] = value
        blank._check()
        return blank

    def _check(self) -> None:
        finite = [getattr(self, f.name) for f in fields(self) if f.name not in ("confirmed_s", "tier")]
        if not all(np.isfinite(array).all() and (array >= 0).all() for array in finite) or self.wealth.max() > CAP:
            raise _refused("numbers that cannot be")


def _refused(got: str) -> DataError:
    return DataError(got, "a job's evidence as this version writes it", "Without it the job starts anew.")
