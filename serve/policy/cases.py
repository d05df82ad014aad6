"""Where cases are kept: one small file each, whole or not there, whatever ends this program.

::

    FOLDER/HW-XXXXXXX.json   a case
    FOLDER/NAME.state        what else the policy remembers: quotas
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from pydantic import ValidationError

from hashwarden.model.storage import refusal, replacing
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.journal import StorageError
from hashwarden.serve.policy.case import EVIDENCE, Approval, Case, Standing, StepRecord, StepState, case_id

__all__ = ["LARGEST", "Approval", "Case", "CaseStore", "Standing", "StepRecord", "StepState"]

LARGEST: Final = 4 << 20
"""Bytes of a file at most."""

MOST_CLOSED: Final = 10_000


@final
class CaseStore:
    """All cases of this node.

    Parameters
    ----------
    folder : Path or None
        Made if it is not there, for its owner only; None keeps cases in memory, for rehearsals.
    read_only : bool
        Change nothing, beside an agent that uses the folder.

    Attributes
    ----------
    damaged : list of str
        Files that could not be read, and were put aside as ``NAME.damaged``.

    Raises
    ------
    StorageError
        If the folder cannot be made or read.
    """

    def __init__(self, folder: Path | None, *, read_only: bool = False) -> None:
        self.folder, self._read_only = folder, read_only
        self.damaged: list[str] = []
        self._cases: dict[str, Case] = {}
        self._of: defaultdict[str, list[str]] = defaultdict(list)
        self._closed = 0
        if folder is None:
            return
        try:
            if not read_only:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            paths = sorted(folder.glob("HW-*.json"))
        except OSError as error:
            raise _no_room(error, folder) from error
        read = filter(None, (self._read(path) for path in paths))
        for case in sorted(read, key=lambda case: (case.opened_unix_s, case.id)):
            self._keep(case)

    def __iter__(self) -> Iterator[Case]:
        return iter(list(self._cases.values()))

    def get(self, id_: str) -> Case | None:
        """A case by its id, however it is written."""
        return self._cases.get(id_.strip().upper())

    def open_case(self, job: str, origin: str = EVIDENCE) -> Case | None:
        """The open case of a job."""
        return next((case for case in self.of(job) if case.is_open and case.origin == origin), None)

    def of(self, job: str) -> list[Case]:
        """All cases of a job, oldest first."""
        return [self._cases[id_] for id_ in self._of.get(job, ())]

    def open_cases(self) -> list[Case]:
        """All that are open."""
        return [case for case in list(self._cases.values()) if case.is_open]  # asked for from several threads

    def fresh_id(self, job: str, origin: str, unix_s: float) -> str:
        """An id for a new case of a job."""
        id_ = case_id(job, origin, f"{unix_s!r}")
        while id_ in self._cases:
            id_ = case_id(job, origin, id_)
        return id_

    def before(self, job: Job, unix_s: float, within_s: float) -> str:
        """The newest closed case of the same user that was closed so short a time ago; empty if there is none."""
        if not job.user and job.uid < 0:
            return ""
        ago = [
            (case.closed_unix_s, case.id) for case in self._cases.values()
            if case.closed_unix_s is not None and 0 <= unix_s - case.closed_unix_s <= within_s and _same(case.job, job)
        ]  # fmt: skip
        return max(ago)[1] if ago else ""

    def save(self, case: Case) -> None:
        """Keep a case; when this returns it survives kill -9.

        Raises
        ------
        StorageError
            If it cannot be written; then the case is as it was.
        """
        if self._cases.get(case.id) == case:
            return
        self._write(f"{case.id}.json", case.model_dump_json().encode())
        self._keep(case)

    def prune(self, unix_s: float, keep_s: float) -> None:
        """Forget what was closed long ago, and the oldest where there are very many."""
        if not self._closed:
            return
        closed = sorted((c for c in self._cases.values() if c.closed_unix_s is not None), key=_closing)
        many = max(0, len(closed) - MOST_CLOSED)
        for place, case in enumerate(closed):
            if place < many or unix_s - _closing(case) > keep_s:
                self._drop(case)

    def save_state(self, name: str, state: Mapping[str, Any]) -> None:
        """Keep something else under a name; errors as `save`."""
        self._write(f"{name}.state", json.dumps(state).encode())

    def state(self, name: str) -> dict[str, Any]:
        """What was kept under a name; empty if nothing was, or if it is damaged."""
        if self.folder is None:
            return {}
        path = self.folder / f"{name}.state"
        try:
            with path.open("rb") as file:
                found = json.loads(file.read(LARGEST * 8))
            return found if isinstance(found, dict) else self._put_aside(path)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            return self._put_aside(path)

    def _write(self, name: str, content: bytes) -> None:
        if self.folder is None:
            return
        try:
            with replacing(self.folder / name) as file:
                file.write(content)
        except OSError as error:
            raise _no_room(error, self.folder) from error

    def _read(self, path: Path) -> Case | None:
        try:
            with path.open("rb") as file:
                case = Case.model_validate_json(file.read(LARGEST))
        except (OSError, ValidationError):
            self._put_aside(path)
            return None
        return case if case.id == path.stem else None

    def _put_aside(self, path: Path) -> dict[str, Any]:
        self.damaged.append(path.name)
        with suppress(OSError):
            if not self._read_only:
                path.rename(path.with_name(path.name + ".damaged"))
        return {}

    def _keep(self, case: Case) -> None:
        old = self._cases.get(case.id)
        if old is None:
            self._of[case.job_key].append(case.id)
        self._closed += int(not case.is_open) - int(old is not None and not old.is_open)
        self._cases[case.id] = case

    def _drop(self, case: Case) -> None:
        del self._cases[case.id]
        self._closed -= 1
        self._of[case.job_key].remove(case.id)
        if not self._of[case.job_key]:
            del self._of[case.job_key]
        if self.folder is not None:
            with suppress(OSError):
                (self.folder / f"{case.id}.json").unlink(missing_ok=True)


def _closing(case: Case) -> float:
    return case.closed_unix_s or 0.0


def _same(known: Mapping[str, Any], job: Job) -> bool:
    """Whether two jobs are of one user; a job in Kubernetes has none, but a namespace."""
    if job.user:
        return bool(known.get("user") == job.user and known.get("namespace", "") == job.namespace)
    return bool(known.get("uid") == job.uid)


def _no_room(error: OSError, folder: Path) -> StorageError:
    return StorageError(
        refusal(error, "a case"), "a folder that takes small files", "Make room; nothing is acted on until then.",
        where=str(folder),
    )  # fmt: skip
