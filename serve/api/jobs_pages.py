"""What the job API answers, typed for the OpenAPI document; made by `hashwarden.serve.agent.show`, as on a node."""

from __future__ import annotations

from typing import Any, Literal, final

from pydantic import BaseModel, Field

from hashwarden.serve.policy.case import Case

__all__ = [
    "CasePage", "CasesPage", "ChannelsPage", "EndedPage", "EndedRow", "Finished", "GpuRow", "GpusPage", "JobPage",
    "JobRow", "JobsPage", "KernelsPage", "StatusPage", "Taken", "Verdict",
]  # fmt: skip

State = Literal["clear", "watching", "suspect", "confirmed", "abstain"]


@final
class Verdict(BaseModel):
    """What is thought of a job on one GPU after the samples."""

    job: str = Field(description="Its key, for /v1/job")
    gpu: str
    state: State
    likeliest: str
    family: str
    strength: float = Field(ge=0, le=1, description="Of the evidence, on the way to confirmed")
    tier: str
    abstains_for: str
    watched_s: float


@final
class Taken(BaseModel):
    """What became of the samples of a request."""

    taken: int
    duplicates: int = Field(description="Sent before, and counted then")
    late: int = Field(description="Older than what came before; left out")
    jumps: int = Field(description="Times that a client's clock was found to have jumped")
    waiting: int = Field(description="Samples of this request that are still to be judged")
    kept: bool = Field(description="Whether they are on the disk, so that a crash does not lose them")
    verdicts: list[Verdict] = Field(default=[], description="After these samples")


@final
class Finished(BaseModel):
    """A job that is over."""

    job: str
    waiting: bool = Field(description="Whether samples of it are still to be judged before it ends")
    verdicts: dict[str, Any] = Field(description="By GPU, as in /v1/ended")


class BlindRow(BaseModel):
    """Something that cannot be seen."""

    kind: str
    subject: str
    detail: str


@final
class ReadyRow(BaseModel):
    """Whether it can do what it was asked to."""

    ready: bool
    blind: list[BlindRow]


@final
class StatusPage(BaseModel):
    """Everything in short."""

    node: str
    version: str
    unix_s: float
    model: dict[str, str]
    model_outdated: str
    policy: dict[str, str]
    alpha: float
    period_s: float
    ready: ReadyRow
    blind: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    gpus: int
    jobs: int
    cases: int
    actions_waiting: list[dict[str, Any]]
    damaged: list[str]
    steps: list[dict[str, Any]]


@final
class GpuRow(BaseModel):
    """A GPU."""

    gpu: str
    index: int | None
    name: str
    mig: int | None
    alias: str
    architecture: int
    driver: str
    jobs: list[str]
    now: dict[str, float]


@final
class GpusPage(BaseModel):
    """All GPUs."""

    gpus: list[GpuRow]


class GpuVerdict(BaseModel):
    """What is thought of a job on one GPU."""

    state: State
    likeliest: str
    probabilities: dict[str, float]
    family: str
    family_probability: float
    strength: float
    tier: str
    abstains_for: str
    watched_s: float
    blind_s: float
    reasons: list[str]
    now: dict[str, float]
    trend: list[float]


class JobRow(BaseModel):
    """A job."""

    job: str
    kind: str
    id: str
    user: str
    uid: int
    account: str
    partition: str
    namespace: str
    pod: str
    container: str
    name: str
    tenant: str
    gpus: list[str]
    started_unix_s: float | None
    interactive: bool
    blind: list[str]
    shared: bool
    code_mining: float | None
    case: str
    standing: str
    gpu_seconds: dict[str, float]
    verdicts: dict[str, GpuVerdict]


@final
class JobsPage(BaseModel):
    """All jobs."""

    jobs: list[JobRow]


class EndedRow(JobRow):
    """A job that ended lately, as it was last seen."""

    ended_unix_s: float | None


@final
class EndedPage(BaseModel):
    """Jobs that ended lately; the last to end comes last."""

    jobs: list[EndedRow]


@final
class JobPage(EndedRow):
    """One job, whole."""

    verdicts_full: dict[str, Any]
    history: dict[str, dict[str, list[Any]]]
    cases: list[str]


@final
class ChannelsPage(BaseModel):
    """Raw samples of the last minutes."""

    job: str
    gpu: str
    unix_s: list[float]
    channels: dict[str, list[float | None]]
    units: dict[str, str]
    groups: dict[str, str]
    deciding: list[dict[str, Any]]
    interval: dict[str, float] | None


@final
class KernelsPage(BaseModel):
    """What a job launched, heaviest first."""

    job: str
    known_ratio: float | None
    kernels: list[dict[str, Any]]
    note: str


@final
class Coming(BaseModel):
    """A step of the ladder that was not asked for yet."""

    name: str
    kind: str = Field(description="What is asked of the scheduler; empty if it has no such thing")
    after_s: float = Field(description="Counted seconds from which it is due")
    left_s: float = Field(ge=0, description="How many of them are left")


@final
class CasePage(Case):
    """A case, and what is before it."""

    coming: list[Coming]


class CasesPage(BaseModel):
    """Open cases, and the newest of the closed ones."""

    cases: list[dict[str, Any]]
