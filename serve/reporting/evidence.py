"""An evidence bundle, read for a report: checked, its parts taken apart, nothing believed that does not parse."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from pydantic import ValidationError

from hashwarden.errors import DataError, PrivilegeError
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.trace import Run
from hashwarden.serve.audit.bundle import MANIFEST
from hashwarden.serve.audit.bundle_verify import BundleReport, members, verify_bundle

__all__ = ["MOST_BYTES", "MOST_SAMPLES", "Evidence", "read_evidence"]

MOST_BYTES: Final = 2 << 30
"""Of a bundle; larger ones are refused."""

MOST_SAMPLES: Final = 12_000
"""Of all runs together, the newest: for pictures and for scoring again."""

_MOST_MEMBER: Final = 16 << 20
_MOST_RUNS: Final = 8
_TRACE: Final = "trace.parquet"


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """What a bundle holds.

    Attributes
    ----------
    name : str
        Of the file.
    report : BundleReport
    manifest, case, job : mapping
        As packed; empty where a part does not parse.
    tenant : str
    verdicts : tuple of JobVerdict
    launches, code : mapping
    runs : tuple of Run
        Raw samples, one run for each GPU.
    whole : bool
        Whether `runs` is all that the bundle holds.
    faults : tuple of str
        What of it could not be read.
    """

    name: str
    report: BundleReport
    manifest: Mapping[str, Any]
    case: Mapping[str, Any]
    job: Mapping[str, Any]
    tenant: str
    verdicts: tuple[JobVerdict, ...]
    launches: Mapping[str, Any]
    code: Mapping[str, Any]
    runs: tuple[Run, ...]
    whole: bool = True
    faults: tuple[str, ...] = field(default_factory=tuple)


def read_evidence(path: Path) -> Evidence:
    """Read a bundle; another may take its place meanwhile.

    Raises
    ------
    DataError
        If it cannot be read, is none, or is too large.
    PrivilegeError
        If it may not be read by this user.
    """
    with _copied(path) as copy:
        try:
            report = verify_bundle(copy)
        except DataError as error:
            raise DataError(error.got, error.expected, error.remedy, where=str(path)) from error
        faults: list[str] = []
        parts = members(copy, _MOST_MEMBER, frozenset({_TRACE}))
        plain = {name: _parsed(name, parts, faults) for name in report.files | {MANIFEST: 0} if name != _TRACE}
        runs, whole = _runs(copy, report, faults)
    job = _mapping(plain.get("job.json"))
    return Evidence(
        path.name, report, _mapping(plain.get(MANIFEST)), _mapping(plain.get("case.json")),
        _mapping(job.get("job")), str(job.get("tenant", "")), _verdicts(_mapping(plain.get("verdicts.json")), faults),
        _mapping(plain.get("launches.json")), _mapping(plain.get("code.json")), runs, whole, tuple(faults),
    )  # fmt: skip


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    """One state of a file that an agent may replace while it is read."""
    with tempfile.TemporaryDirectory(prefix="hashwarden-report-") as folder:
        copy = Path(folder) / "bundle.tar"
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as source, copy.open("wb") as target:
                if os.fstat(handle).st_size > MOST_BYTES:
                    raise DataError("a file too large", f"at most {MOST_BYTES >> 20} MiB", "Name a bundle.",
                                    where=str(path))  # fmt: skip
                shutil.copyfileobj(source, target, 1 << 20)
        except PermissionError as error:
            remedy = "Run as root, or have it copied for you."
            raise PrivilegeError("it may not be read by this user", "a bundle", remedy, where=str(path)) from error
        except OSError as error:
            got = f"it cannot be read ({error.strerror or errno.errorcode.get(error.errno or 0, '')})"
            raise DataError(got, "an evidence bundle", "Check its name.", where=str(path)) from error
        yield copy


def _parsed(name: str, parts: Mapping[str, bytes], faults: list[str]) -> Any:  # noqa: ANN401  anything that JSON has
    if name not in parts:
        faults.append(f"{name}: too long to be read")
        return None
    try:
        return json.loads(parts[name], parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        faults.append(f"{name}: cannot be read")
        return None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        message = "a number that is not finite"
        raise ValueError(message)
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _verdicts(plain: Mapping[str, Any], faults: list[str]) -> tuple[JobVerdict, ...]:
    found = []
    rows = plain.get("verdicts")
    for row in rows if isinstance(rows, list) else []:
        try:
            found.append(JobVerdict.model_validate(row))
        except ValidationError:
            faults.append("verdicts.json: a verdict that this version cannot read")
    return tuple(found)


def _runs(copy: Path, report: BundleReport, faults: list[str]) -> tuple[tuple[Run, ...], bool]:
    if _TRACE not in report.files:
        return (), True
    from hashwarden.model.trace_read import iter_runs

    runs: list[Run] = []
    left, whole = MOST_SAMPLES, True
    try:
        trace = copy.with_name(_TRACE)
        trace.write_bytes(members(copy, MOST_BYTES, frozenset(report.files) - {_TRACE})[_TRACE])
        for run in iter_runs(trace):
            if len(runs) == _MOST_RUNS or left <= 0:
                return tuple(runs), False
            whole &= len(run) <= left
            runs.append(Run(run.name, run.times[-left:], run.values[-left:], info=run.info))
            left -= len(runs[-1])
    except DataError as error:
        faults.append(f"{_TRACE}: {error.got}")
    return tuple(run for run in runs if math.isfinite(_start(run))), whole


def _start(run: Run) -> float:
    """When a run began, since 1970."""
    try:
        return float(run.info.parameters.get("unix_s", run.info.start_unix_s))
    except (TypeError, ValueError, OverflowError):
        return math.nan
