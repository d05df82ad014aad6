"""What a job model file says of itself: checked when it is loaded, written when it is exported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from hashwarden.errors import ModelError
from hashwarden.model.channels import NETWORK, schema_hash
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES

__all__ = ["KEY", "MODEL", "SCHEMA", "JobMetadata", "read_metadata"]

SCHEMA: Final = 1
"""Version of the graphs' inputs and outputs and of this record; a model of another version is refused."""

KEY: Final = "hashwarden"
"""The metadata property of the ONNX files that holds the record."""

MODEL: Final = "job"


class JobMetadata(BaseModel):
    """The record, the same in the step graph and in the sequence graph. Unknown keys are refused.

    Attributes
    ----------
    model : str
        ``job``.
    schema_version : int
    version : str
        Of hashwarden that exported it.
    channels_sha256 : str
        `hashwarden.model.channels.schema_hash` of the table that it was trained on.
    channels, classes, families : list of str
        What is read and what is told, in order.
    state_size : int
    temperature, family_temperature : float
        What logits were divided by; done inside the graph.
    novelty_limits : dict
        Novelties above which something is said or done, by name; the mean over seen work is 1.
    evidence : dict
        Settings of the sequential evidence, as its own class writes them.
    measured_on : str
        What the numbers of the model card were measured on, in words.
    origins : dict of str to float
        Shares of the training samples by origin (``recorded``, ``synthesised``); they sum to 1.
    training_data : dict of str to str
        SHA-256 of the training files, by name.
    seed : int
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = MODEL
    schema_version: int = SCHEMA
    version: str
    channels_sha256: str = Field(default_factory=schema_hash)
    channels: list[str] = list(NETWORK)
    classes: list[str] = list(CLASSES)
    families: list[str] = list(MINING_FAMILIES)
    state_size: int = Field(gt=0)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    family_temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    novelty_limits: dict[str, float]
    evidence: dict[str, JsonValue]
    measured_on: str
    origins: dict[str, float]
    training_data: dict[str, str]
    seed: int


def read_metadata(properties: Mapping[str, str], where: str) -> JobMetadata:
    """Read and check the record of a model file.

    Raises
    ------
    ModelError
        If there is none, or it is of another schema, or of other channels, classes or families than this version's.
    """
    text = properties.get(KEY)
    if text is None:
        raise _refused(f"no metadata property {KEY!r}", where)
    try:
        record = JobMetadata.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _refused(f"metadata that does not fit: {place}: {first['msg']}", where) from error
    wrong = _mismatch(record)
    if wrong:
        raise _refused(wrong, where)
    return record


def _mismatch(record: JobMetadata) -> str:
    """What does not fit this version, in words; empty if all does."""
    numbers = [*record.novelty_limits.values(), *record.origins.values()]
    shares = sum(record.origins.values()) - 1
    checks = (
        (record.model == MODEL, f"a model called {record.model!r}"),
        (record.schema_version == SCHEMA, f"schema version {record.schema_version}, this version reads {SCHEMA}"),
        (
            record.channels_sha256 == schema_hash() and record.channels == list(NETWORK),
            "channels of another table or order",
        ),
        (
            record.classes == list(CLASSES) and record.families == list(MINING_FAMILIES),
            "classes or families of another list or order",
        ),
        (all(np.isfinite(numbers)), "numbers that are not finite"),
        (
            abs(shares) < 1e-6 and min(record.origins.values()) >= 0,
            f"shares of origins that do not fit {record.origins}",
        ),
    )
    return next((wrong for fits, wrong in checks if not fits), "")


def _refused(got: str, where: str) -> ModelError:
    return ModelError(
        got,
        f"a job model of schema {SCHEMA} of this version",
        "Use the shipped model, or train it again: hashwarden train job",
        where=where,
    )
