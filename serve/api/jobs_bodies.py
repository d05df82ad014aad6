"""From the body of a request to a batch: JSON, or tables for bulk. Whatever is wrong is one error, with its place."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar, final

import numpy as np
from pydantic import BaseModel, ValidationError

from hashwarden.errors import LimitError, UsageError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.serve.api.jobs_models import JobIn, SamplesIn
from hashwarden.serve.api.refusal import RefusedError
from hashwarden.serve.inbox.batch import Batch, Part
from hashwarden.serve.inbox.jobs import Facts
from hashwarden.serve.scan.text import printable

__all__ = ["ARROW", "JSON", "PARQUET", "Told", "batch_of", "known_channel", "one_job_each", "read_json", "schema_of"]

JSON: Final = "application/json"
ARROW: Final = "application/vnd.apache.arrow.stream"
PARQUET: Final = "application/vnd.apache.parquet"

_NEAR: Final = 0.6

T = TypeVar("T", bound=BaseModel)


@final
@dataclass(frozen=True, slots=True)
class Told:
    """What the query says of a table, and what it may hold.

    Attributes
    ----------
    cluster, scheduler : str
    start_unix_s : float or None
        For traces whose runs do not say when they began.
    rows : int
        Samples of one request.
    """

    cluster: str = ""
    scheduler: str = "other"
    start_unix_s: float | None = None
    rows: int = 65_536


def batch_of(kind: str, body: bytes, told: Told) -> Batch:
    """Read a body.

    Parameters
    ----------
    kind : str
        Its Content-Type.
    body : bytes
    told : Told

    Raises
    ------
    HashwardenError
        If it is none of these kinds, or is no such thing; a channel that is not known names the nearest that is.
    """
    name = kind.partition(";")[0].strip().lower()
    readers: Mapping[str, Callable[[], Batch]] = {
        JSON: lambda: _from_json(body, told), ARROW: lambda: _from_arrow(body, told),
        PARQUET: lambda: _from_parquet(body, told),
    }  # fmt: skip
    if name not in readers:
        raise RefusedError(f"the Content-Type {printable(kind[:80])!r}", " or ".join(readers), "Send one of these.",
                           status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)  # fmt: skip
    return readers[name]()


def read_json(kind: type[T], body: bytes) -> T:
    """A JSON body.

    Raises
    ------
    UsageError
        For what is wrong first.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        got = "" if first["type"] in {"json_invalid", "missing"} else f"{first['input']!r}"[:80]
        raise UsageError(printable(got or first["msg"]), first["msg"], "Correct it; see /openapi.json.",
                         where=printable(place[:120])) from None  # fmt: skip


def schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    """The schema of a JSON body that is read here, for the OpenAPI document: whole, without references."""
    schema = kind.model_json_schema()
    known = schema.pop("$defs", {})

    def whole(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, list):
            return [whole(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return whole(known[value["$ref"].rpartition("/")[2]])
        return {name: whole(each) for name, each in value.items()}

    found: dict[str, Any] = whole(schema)
    return found


def known_channel(name: str, where: str = "") -> int:
    """The place of a channel; UsageError, with the nearest, if there is none."""
    place = INDEX.get(name)
    if place is None:
        near = difflib.get_close_matches(name[:80], INDEX, 1, _NEAR)
        remedy = f"Did you mean {near[0]!r}?" if near else "See docs/channels.md."
        raise UsageError(f"the channel {printable(name[:80])!r}", "a name of the table of channels", remedy,
                         where=printable(where))  # fmt: skip
    return place


def one_job_each(jobs: list[Facts]) -> tuple[Facts, ...]:
    """The jobs; UsageError if one comes twice."""
    if len({facts.key for facts in jobs}) != len(jobs):
        raise UsageError("a job that comes twice", "each job once, with all its samples", "Put them together.")
    return tuple(jobs)


def _from_json(body: bytes, told: Told) -> Batch:
    asked = read_json(SamplesIn, body)
    rows = sum(len(job.samples) for job in asked.jobs)
    if rows > told.rows:
        raise LimitError(f"{rows:,} samples", f"up to {told.rows:,} in one request", "Send fewer at a time.")
    jobs = one_job_each([_facts(job, asked) for job in asked.jobs])
    return Batch(jobs, tuple(part for place, job in enumerate(asked.jobs) for part in _parts(place, job)))


def _facts(job: JobIn, asked: SamplesIn) -> Facts:
    said = {name: getattr(job, name) for name in JobIn.model_fields if name not in ("samples", "gpus")}
    return Facts(cluster=asked.cluster, scheduler=asked.scheduler, gpus=tuple(dict.fromkeys(job.gpus)), **said)


def _parts(place: int, job: JobIn) -> list[Part]:
    by_gpu: dict[str, list[int]] = {}
    for number, sample in enumerate(job.samples):
        by_gpu.setdefault(sample.gpu, []).append(number)
    return [_part(place, gpu, job, numbers) for gpu, numbers in by_gpu.items()]


def _part(place: int, gpu: str, job: JobIn, numbers: list[int]) -> Part:
    numbers = sorted(numbers, key=lambda number: job.samples[number].unix_s)
    values = np.full((len(numbers), len(CHANNELS)), np.nan, np.float32)
    with np.errstate(over="ignore"):
        for row, number in enumerate(numbers):
            for name, value in job.samples[number].channels.items():
                at = INDEX[name] if name in INDEX else known_channel(name, f"job {job.id[:80]}")
                if value is not None:
                    values[row, at] = value
    return Part(place, gpu, np.array([job.samples[number].unix_s for number in numbers]), values)


def _from_arrow(body: bytes, told: Told) -> Batch:
    from hashwarden.serve.api.jobs_arrow import batch_of_arrow

    return batch_of_arrow(body, told)


def _from_parquet(body: bytes, told: Told) -> Batch:
    from hashwarden.serve.api.jobs_parquet import batch_of_parquet

    return batch_of_parquet(body, told)
