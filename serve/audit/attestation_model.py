"""What an attestation says of a tenant's GPU time: the predicate of an in-toto statement.

docs/audit.md explains the fields, docs/gpu-use-attestation.schema.json is the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, final

from pydantic import BaseModel, ConfigDict, Field

from hashwarden.serve.audit.checkpoint import Checkpoint

__all__ = [
    "PAYLOAD_TYPE", "PREDICATE_TYPE", "STATEMENT_TYPE", "Agent", "Cases", "CoverageShare", "GpuUse", "LogRange",
    "ModelId", "Period", "Statement", "Subject",
]  # fmt: skip

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:hashwarden:attestation:gpu-use:1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"

_HEX32: Final = r"^[0-9a-f]{64}$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


@final
class Period(_Part):
    """From, and up to but not with: seconds since 1970, and the same for people (UTC)."""

    from_unix_s: float
    to_unix_s: float
    from_utc: str
    to_utc: str


@final
class CoverageShare(_Part):
    """How much of the tenant's GPU time was watched."""

    gpu_hours_visible: float = Field(ge=0, description="Of GPUs that its jobs had, while the agent ran.")
    gpu_hours_watched: float = Field(ge=0, description="Of these, with samples that could be judged.")
    gpu_hours_blind: Mapping[str, float] = Field(description="The others, by reason.")
    share_watched: float = Field(ge=0, le=1)
    intervals: int = Field(ge=0, description="Coverage records.")
    seconds_without_records: float = Field(
        ge=0, description="Of the period: the agent did not run, or there was no GPU work of any tenant to count."
    )


@final
class Cases(_Part):
    """Cases of the tenant."""

    opened: int = 0
    closed: int = 0
    changes: Mapping[str, int] = Field(default_factory=dict)
    approvals: Mapping[str, int] = Field(default_factory=dict)


@final
class ModelId(_Part):
    """A model that judged."""

    name: str = ""
    version: str = ""
    sha256: str = ""
    data_sha256: str = Field(default="", description="Of the data that it learned from; empty if not recorded.")


@final
class Agent(_Part):
    """The program that watched."""

    nodes: tuple[str, ...]
    versions: tuple[str, ...]
    starts: int
    unclean_ends: int = Field(description="Starts that no orderly stop came before.")


@final
class LogRange(_Part):
    """Where in which audit log all of this stands."""

    log: str
    first_seq: int = Field(description="First record of the period.")
    last_seq: int
    hash_before: str = Field(pattern=_HEX32, description="Of the record before the first.")
    hash_last: str = Field(pattern=_HEX32)
    checkpoint: Checkpoint | None = Field(description="The first signed one that covers the last record, if any does.")


@final
class GpuUse(_Part):
    """The predicate."""

    tenant: str | None = Field(description="None for all of the node.")
    period: Period
    coverage: CoverageShare
    gpu_hours_by_class: Mapping[str, float]
    verdicts_by_state: Mapping[str, int]
    cases: Cases
    actions: Mapping[str, Mapping[str, int]] = Field(description="Counts by kind and result.")
    records_without_tenant: int = Field(description="Verdicts, cases and actions that no tenant could be found for.")
    models: tuple[ModelId, ...]
    policies: tuple[str, ...] = Field(description="SHA-256 of each policy that was in force.")
    agent: Agent
    audit_log: LogRange
    made_by: str
    made_unix_s: float


@final
class Subject(_Part):
    """What the statement is about: the audit log up to its last record of the period."""

    name: str
    digest: Mapping[Literal["sha256"], str]


@final
class Statement(_Part):
    """An in-toto statement (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md)."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(default=STATEMENT_TYPE, alias="_type")
    subject: tuple[Subject, ...] = Field(min_length=1)
    predicate_type: Literal["urn:hashwarden:attestation:gpu-use:1"] = Field(
        default=PREDICATE_TYPE, alias="predicateType"
    )
    predicate: GpuUse
