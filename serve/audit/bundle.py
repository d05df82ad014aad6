"""The evidence of a case in one file: raw samples, verdicts, launches, hashes of machine code, and what judged them.

A plain tar archive without compression (its trace is compressed): the same evidence gives the same bytes. The manifest
holds the SHA-256 of every other member, and the audit log that of the whole. It is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, final

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, Channel, schema_hash
from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.storage import refusal, synced
from hashwarden.model.trace import Run
from hashwarden.model.trace_write import write_runs
from hashwarden.serve.audit.clean import clean
from hashwarden.serve.audit.event import Auditor, EventKind
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.journal import StorageError
from hashwarden.serve.launch_board import LaunchProfile
from hashwarden.serve.scan.text import shorten
from hashwarden.version import __version__

__all__ = ["FORMAT", "MANIFEST", "Bundle", "write_bundle"]

FORMAT: Final = "hashwarden.evidence/1"
MANIFEST: Final = "manifest.json"

_MOST_RUNS, _MOST_SAMPLES = 64, 36_000
_MOST_VERDICTS, _MOST_PROFILES, _MOST_KERNELS = 1000, 256, 200
_MOST_JSON: Final = 8 << 20
_ROOM: Final = 4096
_WIDEST: Final = 1024
"""Characters of a kernel's name; those of templated kernels have some hundreds."""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")


@final
@dataclass(frozen=True, slots=True)
class Bundle:
    """A file that was written; it can be handed to whatever takes a path.

    Attributes
    ----------
    path : Path
    sha256 : str
        Of the whole file.
    size : int
        Bytes.
    """

    path: Path
    sha256: str
    size: int

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


def write_bundle(  # noqa: PLR0913  each is one member
    folder: Path, *, case: Mapping[str, Any], job: Job, verdicts: Sequence[JobVerdict], runs: Sequence[Run],
    launches: Sequence[LaunchProfile], code: Mapping[str, Any], model: Mapping[str, str], policy: Mapping[str, str],
    audit: Auditor | None = None,
) -> Bundle:  # fmt: skip
    """Write ``CASE.tar`` into a folder, in the place of an older one of the same case.

    Parameters
    ----------
    folder : Path
        Made if it is not there, for its owner alone.
    case : mapping
        With ``id`` or ``case``.
    job : Job
    verdicts : sequence of JobVerdict
    runs : sequence of Run
        The raw window, one run for each GPU; none if nothing was recorded. Of each the newest 36,000 samples.
    launches : sequence of LaunchProfile
    code : mapping
        Hashes of machine code, by kernel or module.
    model, policy : mapping of str to str
        Names, versions and hashes.
    audit : Auditor, optional
        Is told of the file and its hash.

    Raises
    ------
    StorageError
        If it cannot be written; what was there before stays.
    """
    case_id = str(case.get("id") or case.get("case") or "case")
    path = folder / f"{_file_name(case_id)}.tar"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        members, cut = _members(folder, case, job, verdicts, runs, launches, code)
        members[MANIFEST] = _manifest(case_id, members, {"model": dict(model), "policy": dict(policy)}, cut)
        bundle = _written(path, members)
    except (OSError, DataError) as error:
        if isinstance(error, DataError) and not isinstance(error.__cause__, OSError):
            raise
        raise _storage(error, path) from error
    if audit is not None:
        body = {"case": case_id, "event": "bundle", "job": job, "file": path.name, "sha256": bundle.sha256}
        audit.append(EventKind.CASE, {**body, "bytes": bundle.size})
    return bundle


def _members(  # noqa: PLR0913, PLR0917  each is one member
    folder: Path, case: Mapping[str, Any], job: Job, verdicts: Sequence[JobVerdict], runs: Sequence[Run],
    launches: Sequence[LaunchProfile], code: Mapping[str, Any],
) -> tuple[dict[str, bytes], dict[str, int]]:  # fmt: skip
    """The members without the manifest, and what was left out of them."""
    kept = [_newest(run) for run in runs[:_MOST_RUNS] if len(run)]
    said = _fitting([one.model_dump(mode="json") for one in verdicts[-_MOST_VERDICTS:]])
    profiles = _fitting([_profile(one) for one in launches[-_MOST_PROFILES:]])
    cut = {
        "runs": len(runs) - len(runs[:_MOST_RUNS]), "samples": sum(map(len, runs)) - sum(map(len, kept)),
        "verdicts": len(verdicts) - len(said), "launches": len(launches) - len(profiles),
        "kernels": sum(max(0, len(one.kernels) - _MOST_KERNELS) for one in launches),
    }  # fmt: skip
    members = {
        "case.json": _json(case), "job.json": _json({"job": job, "tenant": job.tenant}), "code.json": _json(code),
        "verdicts.json": _json({"verdicts": said}), "launches.json": _json({"profiles": profiles}),
        "channels.json": _json({"schema": schema_hash(), "channels": [_channel(one) for one in CHANNELS]}),
    }  # fmt: skip
    if kept:
        members["trace.parquet"] = _trace(folder, kept)
    return members, {name: number for name, number in cut.items() if number}


def _fitting(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last ones that fit into a member: one that is too long as a whole would lose all of them."""
    left, first = _MOST_JSON - _ROOM, len(rows)
    while first and (left := left - len(clean(rows[first - 1], _MOST_JSON)) - 1) >= 0:
        first -= 1
    return list(rows[first:])


def _newest(run: Run) -> Run:
    return replace(run, times=run.times[-_MOST_SAMPLES:], values=run.values[-_MOST_SAMPLES:])


def _trace(folder: Path, runs: Sequence[Run]) -> bytes:
    part = folder / f".trace.tar.{os.getpid()}.part"  # by such a name what a crash leaves is tidied away
    try:
        write_runs(part, runs)
        return part.read_bytes()
    finally:
        part.unlink(missing_ok=True)


def _profile(one: LaunchProfile) -> dict[str, Any]:
    kernels = [
        {"name": shorten(k.name, _WIDEST), "launches": k.launches, "threads": k.threads}
        for k in one.kernels[:_MOST_KERNELS]
    ]
    return {
        "pid": one.process.pid, "started": one.process.started, "start_s": one.start_s, "seconds": one.seconds,
        "kernels": kernels, "launches": one.launches, "graph_launches": one.graph_launches,
        "module_loads": one.module_loads, "interval_variation": one.interval_variation, "dropped": one.dropped,
    }  # fmt: skip


def _channel(one: Channel) -> dict[str, Any]:
    return {"name": one.name, "unit": one.unit, "low": one.low, "high": one.high, "meaning": one.meaning}


def _json(value: Mapping[str, Any]) -> bytes:
    """Made fit as a record of the log is: bounded, printable, without secrets; for people, with line ends."""
    return json.dumps(json.loads(clean(value, _MOST_JSON)), indent=1, sort_keys=True).encode() + b"\n"


def _manifest(
    case_id: str, members: Mapping[str, bytes], identity: Mapping[str, Any], cut: Mapping[str, int]
) -> bytes:  # fmt: skip
    files = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in sorted(members.items())
    }
    return _json(
        {"format": FORMAT, "case": case_id, "made_by": f"hashwarden {__version__}", **identity, "files": files,
         "left_out": dict(cut)}
    )  # fmt: skip


def _written(path: Path, members: Mapping[str, bytes]) -> Bundle:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            hashed = _Hashed(file)
            _pack(hashed, members)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        synced(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return Bundle(path, hashed.digest.hexdigest(), hashed.size)


def _pack(stream: _Hashed, members: Mapping[str, bytes]) -> None:
    """The manifest first, so that it can be read without the rest; no times, no owners."""
    order = [MANIFEST, *sorted(name for name in members if name != MANIFEST)]
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as archive:  # type: ignore[call-overload]
        for name in order:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(members[name]), 0o600
            archive.addfile(info, io.BytesIO(members[name]))


@final
class _Hashed:
    """A file that is hashed while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        """As that of a file."""
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)


def _file_name(case_id: str) -> str:
    if not _UNFIT.search(case_id) and 0 < len(case_id) <= 64 and not case_id.startswith("."):
        return case_id
    short = _UNFIT.sub("_", case_id)[:48].lstrip(".") or "case"
    return f"{short}-{hashlib.sha256(case_id.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"


def _storage(error: OSError | DataError, path: Path) -> StorageError:
    got = refusal(error, "the evidence") if isinstance(error, OSError) else error.got
    return StorageError(got, "room on the disk", "Make room; the case goes on without it.", where=str(path))
