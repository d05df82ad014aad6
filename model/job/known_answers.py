"""Known answers of a job model: a few short runs and what the model said of them when it was exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from hashwarden.model.answers_file import AnswersFile, packed, read_file, unpacked
from hashwarden.model.channels import CHANNELS
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES

__all__ = ["KnownAnswers", "read_answers"]

F32 = npt.NDArray[np.float32]


@final
@dataclass(frozen=True, slots=True)
class KnownAnswers:
    """Runs and answers; R runs of T samples.

    Attributes
    ----------
    samples, masks : float32 array, shape (R, T, C)
    dts : float32 array, shape (R, T)
    probabilities : float32 array, shape (R, T, 6)
    families : float32 array, shape (R, T, 12)
    novelty : float32 array, shape (R, T)
    """

    samples: F32
    masks: F32
    dts: F32
    probabilities: F32
    families: F32
    novelty: F32

    def to_json(self, model_sha256: str) -> str:
        """The text of the file; missing values are NaN in it, so that the mask needs no place."""
        values = np.where(self.masks > 0, self.samples, np.float32(np.nan))
        runs, steps = self.dts.shape
        return _File(
            model_sha256=model_sha256, runs=runs, steps=steps, values=packed(values), dts=packed(self.dts),
            probabilities=packed(self.probabilities), families=packed(self.families), novelty=packed(self.novelty),
        ).model_dump_json(indent=1)  # fmt: skip


@final
class _File(AnswersFile):
    runs: int
    steps: int
    values: str
    dts: str
    probabilities: str
    families: str
    novelty: str


def read_answers(path: Path, model_sha256: str) -> KnownAnswers:
    """Read the known answers of the model file with this hash; ModelError if that cannot be."""

    def made(file: _File) -> KnownAnswers:
        lead = (file.runs, file.steps)
        values = unpacked(file.values, *lead, len(CHANNELS))
        return KnownAnswers(
            np.nan_to_num(values, nan=0.0),
            (~np.isnan(values)).astype(np.float32),
            unpacked(file.dts, *lead),
            unpacked(file.probabilities, *lead, len(CLASSES)),
            unpacked(file.families, *lead, len(MINING_FAMILIES)),
            unpacked(file.novelty, *lead),
        )

    return read_file(_File, path, model_sha256, made)
