"""Known answers of a kernel model: a few kernels and what the model said of them when it was exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from hashwarden.model.answers_file import AnswersFile, packed, read_file, unpacked
from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.model.kernel.taxonomy import GROUPS

__all__ = ["KernelAnswers", "read_answers"]

F32 = npt.NDArray[np.float32]


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
            model_sha256=model_sha256, kernels=kernels, families=families, features=packed(self.features),
            groups=packed(self.groups), family_probabilities=packed(self.families), novelty=packed(self.novelty),
        ).model_dump_json(indent=1)  # fmt: skip


@final
class _File(AnswersFile):
    kernels: int
    families: int
    features: str
    groups: str
    family_probabilities: str
    novelty: str


def read_answers(path: Path, model_sha256: str) -> KernelAnswers:
    """Read the known answers of the model file with this hash; ModelError if that cannot be."""

    def made(file: _File) -> KernelAnswers:
        return KernelAnswers(
            unpacked(file.features, file.kernels, len(FEATURE_NAMES)),
            unpacked(file.groups, file.kernels, len(GROUPS)),
            unpacked(file.family_probabilities, file.kernels, file.families),
            unpacked(file.novelty, file.kernels),
        )

    return read_file(_File, path, model_sha256, made)
