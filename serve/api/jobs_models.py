"""What the job API takes, typed: bounded words, numbers that are numbers, no key that is not known."""

from __future__ import annotations

from typing import Annotated, Final, final

from pydantic import BaseModel, ConfigDict, Field

from hashwarden.serve.inbox.jobs import MOST_ID, MOST_WORD

__all__ = ["CLUSTER", "GPU", "SCHEDULER", "EndIn", "JobIn", "ReasonIn", "SampleIn", "SamplesIn"]

CLUSTER: Final = r"^[A-Za-z0-9._-]{0,64}$"
SCHEDULER: Final = r"^[a-z0-9._-]{1,32}$"
GPU: Final = r"^[A-Za-z0-9._:/-]{1,128}$"

_MOST_GPUS: Final = 1024
_MOST_CHANNELS: Final = 256
_MOST_UID: Final = 2**32 - 2

Word = Annotated[str, Field(max_length=MOST_WORD)]
Number = Annotated[float, Field(allow_inf_nan=False)]
GpuName = Annotated[str, Field(pattern=GPU, description="UUID of the GPU or MIG instance")]
Cluster = Annotated[str, Field(pattern=CLUSTER, description="Which cluster counts these jobs; empty if there is one")]
SchedulerName = Annotated[str, Field(pattern=SCHEDULER, description="slurm, kubernetes, or what else runs them")]
JobId = Annotated[str, Field(min_length=1, max_length=MOST_ID, description="What the scheduler calls it")]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@final
class SampleIn(_In):
    """One sample of one GPU."""

    gpu: GpuName
    unix_s: Number = Field(description="When it was taken, by the client's clock: seconds since 1970")
    channels: dict[str, Number | None] = Field(
        max_length=_MOST_CHANNELS, examples=[{"sm_active_ratio": 0.97, "tensor_active_ratio": None}],
        description="Values by names of the table of channels; null, or not there, is missing",
    )  # fmt: skip


@final
class JobIn(_In):
    """A job, and samples of it. What is left out stays what was said before."""

    id: JobId
    user: Word = ""
    uid: int = Field(default=-1, ge=-1, le=_MOST_UID, description="-1 is not known")
    account: Word = ""
    partition: Word = ""
    qos: Word = ""
    namespace: Word = ""
    pod: Word = ""
    container: Word = ""
    name: Word = ""
    started_unix_s: Number | None = None
    interactive: bool = Field(default=False, description="Whether a person sits before it")
    gpus: list[GpuName] = Field(
        default=[], max_length=_MOST_GPUS, description="All of its GPUs: of those that send nothing it is blind"
    )
    samples: list[SampleIn] = []


@final
class SamplesIn(_In):
    """Samples of any number of jobs of one cluster."""

    cluster: Cluster = ""
    scheduler: SchedulerName = "other"
    jobs: list[JobIn] = Field(min_length=1, max_length=65_536)


@final
class EndIn(_In):
    """Which job is over."""

    cluster: Cluster = ""
    scheduler: SchedulerName = "other"
    id: JobId


@final
class ReasonIn(_In):
    """Why a case is decided so; it goes into the audit log."""

    reason: str = Field(min_length=1, max_length=500, pattern=r"\S")
