"""Where cases are kept: one small file each, whole or not there, whatever ends this program.

In memory are those that are open, hold something back, or were closed last. Of the others a line is remembered, and
their files are read when somebody asks.

::

    FOLDER/HW-XXXXXXX.json   a case
    FOLDER/NAME.state        what else the policy remembers: quotas
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from pydantic import ValidationError

from hashwarden.model.storage import refusal, replacing
from hashwarden.serve.journal import StorageError
from hashwarden.serve.policy.case import EVIDENCE, Approval, Case, Standing, StepRecord, StepState, case_id
from hashwarden.serve.policy.past import Past

__all__ = ["LARGEST", "MOST_RECENT", "Approval", "Case", "CaseStore", "Standing", "StepRecord", "StepState"]

LARGEST: Final = 4 << 20
"""Bytes of a file at most."""

MOST_CLOSED: Final = 10_000
"""Closed cases that are kept, unless a policy says otherwise."""

MOST_RECENT: Final = 500
"""Closed cases in memory."""


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
        self._past: dict[str, Past] = {}
        self._recent: dict[str, None] = {}
        if folder is None:
            return
        try:
            if not read_only:
                _own(folder)
            paths = sorted(folder.glob("HW-*.json"))
        except OSError as error:
            raise _no_room(error, folder) from error
        self._open(paths)

    def _open(self, paths: list[Path]) -> None:
        """First what is open and a line of each other one, then the newest of these: all at once could be too much."""
        opened: list[Case] = []
        closed: list[Past] = []
        for path in paths:
            case = self._read(path)
            if case is not None and (case.is_open or not case.is_settled):
                opened.append(case)
            elif case is not None:
                closed.append(Past.of(case))
        closed.sort(key=lambda past: (past.unix_s, past.id))
        many = len(closed) if self._read_only else MOST_RECENT
        for past in closed[: max(0, len(closed) - many)]:
            self._past[past.id] = past
            self._of[past.job_key].append(past.id)
        again = (self._on_disk(past.id) for past in closed[max(0, len(closed) - many) :])
        for case in sorted([*opened, *filter(None, again)], key=lambda case: (case.opened_unix_s, case.id)):
            self._keep(case)

    def __iter__(self) -> Iterator[Case]:
        """Those in memory: all that are open, and the closed ones that hold something or were closed last."""
        return iter(list(self._cases.values()))

    def get(self, id_: str) -> Case | None:
        """A case by its id, however it is written; an old one is read from its file."""
        id_ = id_.strip().upper()
        return self._cases.get(id_) or (self._on_disk(id_) if id_ in self._past else None)

    def open_case(self, job: str, origin: str = EVIDENCE) -> Case | None:
        """The open case of a job."""
        mine = (self._cases.get(id_) for id_ in self._of.get(job, ()))
        return next((case for case in mine if case is not None and case.is_open and case.origin == origin), None)

    def of(self, job: str) -> list[Case]:
        """All cases of a job; old ones are read from their files."""
        return list(filter(None, (self.get(id_) for id_ in self._of.get(job, ()))))

    @property
    def past(self) -> Collection[Past]:
        """A line of each closed case."""
        return self._past.values()

    def was_rejected(self, job: str, origin: str) -> bool:
        """Whether a person said that this job is to be left alone."""
        known = (self._past.get(id_) for id_ in self._of.get(job, ()))
        return any(one is not None and one.why == "rejected" and one.origin == origin for one in known)

    def open_cases(self) -> list[Case]:
        """All that are open."""
        return [case for case in list(self._cases.values()) if case.is_open]  # asked for from several threads

    def fresh_id(self, job: str, origin: str, unix_s: float) -> str:
        """An id for a new case of a job."""
        id_ = case_id(job, origin, f"{unix_s!r}")
        while id_ in self._cases or id_ in self._past:
            id_ = case_id(job, origin, id_)
        return id_

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

    def prune(self, unix_s: float, keep_s: float, most: int = MOST_CLOSED) -> None:
        """Forget what was closed so long ago, and the oldest where there are more."""
        closed = sorted(self._past.values(), key=lambda past: past.unix_s)
        many = max(0, len(closed) - most)
        for place, past in enumerate(closed):
            if place < many or unix_s - past.unix_s > keep_s:
                self._drop(past)

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
                os.fchmod(file.fileno(), 0o600)
                file.write(content)
        except OSError as error:
            raise _no_room(error, self.folder) from error

    def _read(self, path: Path) -> Case | None:
        try:
            with path.open("rb") as file:
                case = Case.model_validate_json(file.read(LARGEST))
        except FileNotFoundError:
            return None
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

    def _on_disk(self, id_: str) -> Case | None:
        return self._read(self.folder / f"{id_}.json") if self.folder is not None else None

    def _keep(self, case: Case) -> None:
        if case.id not in self._cases and case.id not in self._past:
            self._of[case.job_key].append(case.id)
        self._cases[case.id] = case
        self._recent.pop(case.id, None)
        if case.is_open:
            return
        self._past[case.id] = Past.of(case)
        if case.is_settled:
            self._recent[case.id] = None
        while len(self._recent) > MOST_RECENT and self.folder is not None and not self._read_only:
            oldest = next(iter(self._recent))
            del self._recent[oldest], self._cases[oldest]

    def _drop(self, past: Past) -> None:
        del self._past[past.id]
        self._cases.pop(past.id, None)
        self._recent.pop(past.id, None)
        self._of[past.job_key].remove(past.id)
        if not self._of[past.job_key]:
            del self._of[past.job_key]
        if self.folder is not None:
            with suppress(OSError):
                (self.folder / f"{past.id}.json").unlink(missing_ok=True)


def _own(folder: Path) -> None:
    """Make it, for its owner only; one that others can read is closed to them: cases name people."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def _no_room(error: OSError, folder: Path) -> StorageError:
    return StorageError(
        refusal(error, "a case"), "a folder that takes small files", "Make room; nothing is acted on until then.",
        where=str(folder),
    )  # fmt: skip
