"""Known answers of a kernel model: a few kernels and what the model said of them when it was exported.

They lie beside the model file and name it by its hash. A scorer that gives other answers must not judge anything.
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
from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.model.kernel.taxonomy import GROUPS

__all__ = ["TOLERANCE", "KernelAnswers", "answers_path", "read_answers"]

F32 = npt.NDArray[np.float32]

TOLERANCE: Final = 1e-4
"""Largest difference, relative above 1, that another processor or version of onnxruntime may make."""


@final
@dataclass(frozen=True, slots=True)
class KernelAnswers:
    """Kernels and answers, K of them.

    Attributes
    ----------
    features : float32 array, shape (K, features)
    groups : float32 array, shape (K, 3)
    families : float32 array, shape (K, M)
    novelty : float32 array, shape (K,)
    """

    features: F32
    groups: F32
    families: F32
    novelty: F32

    def to_json(self, model_sha256: str) -> str:
        """The text of the file."""
        kernels, families = self.families.shape
        return _File(
            model_sha256=model_sha256, kernels=kernels, families=families, features=_packed(self.features),
            groups=_packed(self.groups), family_probabilities=_packed(self.families), novelty=_packed(self.novelty),
        ).model_dump_json(indent=1)  # fmt: skip


class _File(BaseModel):
    """The file; arrays are little-endian float32 in base64."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_sha256: str
    kernels: int
    families: int
    features: str
    groups: str
    family_probabilities: str
    novelty: str


def answers_path(model: Path) -> Path:
    """Where the known answers of a model file lie."""
    return model.with_name(f"{model.stem}_known_answers.json")


def read_answers(path: Path, model_sha256: str) -> KernelAnswers:
    """Read the known answers of the model file with this hash.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or of another model.
    """
    try:
        file = _File.model_validate_json(path.read_bytes())
        answers = KernelAnswers(
            _unpacked(file.features, file.kernels, len(FEATURE_NAMES)),
            _unpacked(file.groups, file.kernels, len(GROUPS)),
            _unpacked(file.family_probabilities, file.kernels, file.families),
            _unpacked(file.novelty, file.kernels),
        )
    except OSError as error:
        raise _refused(f"they cannot be read ({error.strerror})", path) from error
    except (ValidationError, ValueError) as error:
        raise _refused(f"damaged: {str(error).splitlines()[0]}", path) from error
    if file.model_sha256 != model_sha256:
        raise _refused("known answers of another model", path)
    if not file.kernels:
        raise _refused("no kernels", path)
    return answers


def _packed(array: F32) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def _unpacked(text: str, *shape: int) -> F32:
    flat = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    return flat.reshape(shape).astype(np.float32)


def _refused(got: str, path: Path) -> ModelError:
    return ModelError(
        got, "the known answers of the model", "Install hashwarden again, or train the model again.", where=str(path)
    )
