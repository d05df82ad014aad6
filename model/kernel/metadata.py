"""What a model file says of itself: checked when it is loaded, written when it is exported."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from hashwarden.errors import ModelError
from hashwarden.model.kernel.decide import Thresholds
from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.model.kernel.joint import Calibration
from hashwarden.model.kernel.rule import FileRule, Innocent
from hashwarden.model.kernel.taxonomy import GROUPS

__all__ = ["KEY", "SCHEMA", "KernelMetadata", "feature_hash", "read_metadata"]

SCHEMA: Final = 1
"""Version of the features and of this record; a model of another version is refused."""

KEY: Final = "hashwarden"
"""The metadata property of the ONNX file that holds the record."""


class KernelMetadata(BaseModel):
    """The record. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    schema_version: int
    version: str
    features_sha256: str
    features: list[str]
    families: list[str]
    group_of_family: list[int]
    plain_mean: str
    calibration: dict[str, float]
    thresholds: dict[str, float]
    innocent_mining: tuple[float, float]
    innocent_hashing: tuple[float, float]
    training_data: dict[str, str]
    seed: int

    @property
    def plain(self) -> npt.NDArray[np.float32]:
        """What plain code shows on average, shape (features,)."""
        return np.frombuffer(base64.b64decode(self.plain_mean), "<f4")

    @property
    def rule(self) -> FileRule:
        """The file rule with its fitted numbers."""
        innocent = Innocent(self.innocent_mining, self.innocent_hashing)
        return FileRule(Calibration(**self.calibration), Thresholds(**self.thresholds), innocent)


def feature_hash() -> str:
    """SHA-256 over the names of the features, in order."""
    return hashlib.sha256("\n".join(FEATURE_NAMES).encode()).hexdigest()


def read_metadata(properties: Mapping[str, str], where: str) -> KernelMetadata:
    """Read and check the record of a model file.

    Raises
    ------
    ModelError
        If there is none, or it is of another schema, or its features are not those of this version.
    """
    text = properties.get(KEY)
    if text is None:
        raise _refused(f"no metadata property {KEY!r}", where)
    try:
        record = KernelMetadata.model_validate_json(text)
        rule, plain = record.rule, record.plain
    except (ValidationError, TypeError, ValueError) as error:
        raise _refused(f"metadata that does not fit: {str(error).splitlines()[0]}", where) from error
    if record.schema_version != SCHEMA:
        raise _refused(f"schema version {record.schema_version}, this version reads {SCHEMA}", where)
    if record.features_sha256 != feature_hash() or record.features != list(FEATURE_NAMES):
        raise _refused("features of another list or order", where)
    if len(plain) != len(FEATURE_NAMES) or len(record.families) != len(record.group_of_family):
        raise _refused("tables of another length than its features and families", where)
    if not set(record.group_of_family) <= set(range(len(GROUPS))):
        raise _refused(f"groups of families beyond the {len(GROUPS)} that there are", where)
    innocent = np.array([rule.innocent.mining, rule.innocent.hashing])
    if not np.isfinite([*record.calibration.values(), *record.thresholds.values(), *innocent.ravel(), *plain]).all():
        raise _refused("numbers that are not finite", where)
    if innocent.min() <= 0 or not 0 < rule.calibration.background <= 1:
        raise _refused("a file rule that cannot be computed", where)
    return record


def _refused(got: str, where: str) -> ModelError:
    return ModelError(
        got,
        f"a kernel model of schema {SCHEMA} of this version",
        "Use the shipped model, or train it again: hashwarden train kernel",
        where=where,
    )
