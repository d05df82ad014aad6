"""Known answers of a job model: a few short runs and what the model said of them when it was exported.

They lie beside the model file and name it by its hash. A scorer that gives other answers must not judge anybody.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from hashwarden.errors import ModelError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES

__all__ = ["TOLERANCE", "KnownAnswers", "answers_path", "read_answers"]

F32 = npt.NDArray[np.float32]

TOLERANCE: Final = 1e-4
"""Largest difference of a probability that another processor or version of onnxruntime may make."""


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
            model_sha256=model_sha256,
            runs=runs,
            steps=steps,
            values=_packed(values),
            dts=_packed(self.dts),
            probabilities=_packed(self.probabilities),
            families=_packed(self.families),
            novelty=_packed(self.novelty),
        ).model_dump_json(indent=1)


class _File(BaseModel):
    """The file; arrays are little-endian float32 in base64."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_sha256: str
    runs: int
    steps: int
    values: str
    dts: str
    probabilities: str
    families: str
    novelty: str


def answers_path(model: Path) -> Path:
    """Where the known answers of a model file lie."""
    return model.with_name(f"{model.stem}_known_answers.json")


def read_answers(path: Path, model_sha256: str) -> KnownAnswers:
    """Read the known answers of the model file with this hash.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or of another model.
    """
    try:
        file = _File.model_validate_json(path.read_bytes())
        lead = (file.runs, file.steps)
        values = _unpacked(file.values, (*lead, len(CHANNELS)))
        answers = KnownAnswers(
            np.nan_to_num(values, nan=0.0),
            (~np.isnan(values)).astype(np.float32),
            _unpacked(file.dts, lead),
            _unpacked(file.probabilities, (*lead, len(CLASSES))),
            _unpacked(file.families, (*lead, len(MINING_FAMILIES))),
            _unpacked(file.novelty, lead),
        )
    except OSError as error:
        raise _refused(f"they cannot be read ({error.strerror})", path) from error
    except (ValidationError, ValueError) as error:
        raise _refused(f"damaged: {str(error).splitlines()[0]}", path) from error
    if file.model_sha256 != model_sha256:
        raise _refused("known answers of another model", path)
    if not min(lead):
        raise _refused("no runs", path)
    return answers


def _packed(array: F32) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def _unpacked(text: str, shape: tuple[int, ...]) -> F32:
    flat = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    return flat.reshape(shape).astype(np.float32)


def _refused(got: str, path: Path) -> ModelError:
    return ModelError(
        got, "the known answers of the model", "Install hashwarden again, or export the model again.", where=str(path)
    )
