"""Traces: samples in time order, one or more runs in a Parquet file that DuckDB and pandas read as it is.

A file has the columns ``run`` and ``time_s``, one float32 column for each channel that anything was seen of (null is
missing), and ``label``, ``family``, ``strategy``, ``gpu`` and ``origin``, which are constant within a run so that a
query needs no join. Provenance lies in the footer under `KEY`, as JSON. Values are as the source gave them, faults
included: `hashwarden.model.validity` judges them on the way in, live and replayed alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["KEY", "SCHEMA", "Run", "RunInfo"]

SCHEMA: Final = 1
"""Version of the format; a file of another version is refused."""

KEY: Final = "hashwarden_trace"
"""The entry of the Parquet footer that holds schema version, channel hash and the provenance of each run."""

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@final
class RunInfo(BaseModel):
    """Where a run comes from.

    Attributes
    ----------
    origin : str
        ``recorded`` on a GPU, or ``synthesised``.
    gpu : str
        Name of the GPU as NVML gives it; for a synthesised run the name of the GPU that was modelled.
    architecture : int
        Compute capability times 10.
    driver : str
        Version; empty if synthesised.
    made_by : str
        Program and version.
    start_unix_s : float
        When the run began; 0 if synthesised.
    period_s : float
        Intended time between samples, 0.1 to 60.
    labelled_by : str
        ``construction`` (the workload was started by the recorder, or synthesised), ``operator:NAME``, or empty for
        no label. Training takes nothing else: a verdict of the model is no label.
    share : float
        Part of the full hash rate that a mining run kept, 0 to 1; NaN is not known. 0 for what does not mine.
    seed : int or None
        Seed of a synthesised run.
    parameters : dict
        Settings of the workload or of the synthesis.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    origin: Literal["recorded", "synthesised"]
    gpu: str
    architecture: int = 0
    driver: str = ""
    made_by: str = ""
    start_unix_s: float = 0.0
    period_s: float = Field(ge=0.05, le=600)
    labelled_by: str = ""
    share: float = 0.0
    seed: int | None = None
    parameters: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("share")
    @classmethod
    def _part_of_one(cls, share: float) -> float:
        if share < 0 or share > 1:
            message = "share is neither NaN nor between 0 and 1"
            raise ValueError(message)
        return share


@final
@dataclass(frozen=True, slots=True)
class Run:
    """One job on one GPU, T samples long.

    Attributes
    ----------
    name : str
        Unique within a file.
    times : float64 array, shape (T,)
        Seconds since the start of the run, strictly rising.
    values : float32 array, shape (T, len(CHANNELS))
        As the source gave them; NaN is missing.
    label : str
        One of `hashwarden.model.job.taxonomy.CLASSES`, or empty.
    family : str
        Of the work within its class; for mining one of ``MINING_FAMILIES``.
    strategy : str
        One of ``STRATEGIES``; ``plain`` for what hides nothing.
    info : RunInfo
    """

    name: str
    times: F64
    values: F32
    label: str = ""
    family: str = ""
    strategy: str = "plain"
    info: RunInfo = field(default_factory=lambda: RunInfo(origin="synthesised", gpu="", period_s=1.0))

    def __len__(self) -> int:
        return len(self.times)
