"""Where the job model in service lies: versions by their content, a history, and one link that says which is current.

::

    versions/SHA256/job.onnx, job_sequence.onnx, …  never changed once there
    generations/NUMBER/record.json                  what was promoted or rolled back to, when, from what
    current -> generations/NUMBER                   moved in one step: before it the old model serves, after it the new

Whoever is killed between two steps leaves leftovers, never a half-made change: a generation above the current one never
came into service and is removed by the next change. Changes wait for each other at a lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import DataError, ModelError, UsageError
from hashwarden.model.storage import refusal, synced

__all__ = ["MODEL", "SHIPPED", "ModelStore", "Record", "default_store", "version_of"]

MODEL: Final = "job.onnx"
"""The file that is promoted; what belongs to it lies beside it."""

_JUDGES: Final = (MODEL, "job_sequence.onnx", "job_known_answers.json")
_CARD: Final = ("job.json", "job.md")

SHIPPED: Final = "shipped"
"""The version of the installed package, which serves until one is promoted."""


def default_store() -> Path:
    """``$HASHWARDEN_MODELS``, else /var/lib/hashwarden/models for root, else a folder in the user's state folder."""
    own = os.environ.get("HASHWARDEN_MODELS")
    if own:
        return Path(own)
    if os.geteuid() == 0:
        return Path("/var/lib/hashwarden/models")
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "hashwarden" / "models"


@final
@dataclass(frozen=True, slots=True)
class Record:
    """One generation: what came into service.

    Attributes
    ----------
    number : int
        From 1; 0 is the shipped model before any.
    action : str
        ``promote`` or ``rollback``.
    version : str
        SHA-256 of the model's files, or `SHIPPED`.
    parent : int
        The generation that a rollback goes back to.
    unix_s : float
    by : int
        User id.
    compared : mapping
        The comparison with the model before, as it was printed; empty for a rollback.
    """

    number: int
    action: str
    version: str
    parent: int
    unix_s: float = 0.0
    by: int = 0
    compared: Mapping[str, Any] = field(default_factory=dict)


def version_of(folder: Path) -> str:
    """SHA-256 over the files that judge, each with its name and length.

    Raises
    ------
    ModelError
        If ``job.onnx`` cannot be read.
    """
    digest = hashlib.sha256()
    for name in _JUDGES:
        path = folder / name
        if name != MODEL and not path.exists():
            continue
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(
                f"the model file cannot be read ({error.strerror})", MODEL, "Name the file that training wrote.",
                where=str(path),
            ) from error  # fmt: skip
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


@final
class ModelStore:
    """A store of job models.

    Parameters
    ----------
    folder : Path
        Made by the first change, for its owner to write only.
    passed : callable, optional
        Told of each step of a change once it is done: for tests that end the process there.
    """

    def __init__(self, folder: Path | None = None, passed: Callable[[str], None] | None = None) -> None:
        self.folder = folder or default_store()
        self._passed = passed or _nobody

    def current(self) -> Path | None:
        """The model file in service; None for the shipped one.

        Raises
        ------
        ModelError
            If its content is not what was promoted.
        UsageError
            If others could have written it.
        """
        record = self.present()
        return None if record.version == SHIPPED else self._checked(record.version)

    def present(self) -> Record:
        """The generation in service."""
        link = self.folder / "current"
        try:
            number = int(Path(os.readlink(link)).name)  # noqa: PTH115  the text of the link, wherever it leads
        except FileNotFoundError:
            return Record(0, "promote", SHIPPED, 0)
        except (OSError, ValueError) as error:
            raise DataError("no link to a generation", "one that this program made",
                            "Remove it to serve the shipped model.", where=str(link)) from error  # fmt: skip
        self._own(self.folder)
        return self._record(number)

    def history(self) -> list[Record]:
        """All generations that ever served, oldest first."""
        return [self._record(number) for number in range(1, self.present().number + 1)]

    def versions(self) -> list[str]:
        """The versions that lie in the store."""
        folder = self.folder / "versions"
        return sorted(path.name for path in folder.iterdir() if "." not in path.name) if folder.is_dir() else []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other changes out; waits for one that is under way.

        Raises
        ------
        UsageError
            If the folder cannot be made or written to, or others can write to it.
        """
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UsageError(
                f"the store cannot be written to ({error.strerror})", "a folder of one's own",
                "Choose another with --store, or run as its owner.", where=str(self.folder),
            ) from error  # fmt: skip
        try:
            self._own(self.folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._tidy()
            yield
        finally:
            os.close(lock)

    def stage(self, file: Path) -> Path:
        """Copy a model into the store, so that what is judged is what will serve; call it inside `locked`.

        Parameters
        ----------
        file : Path
            ``job.onnx``; sequence graph, known answers and card are taken from beside it.

        Returns
        -------
        Path
            The copy. The next change removes it unless `promote` puts it into service.
        """
        if file.name != MODEL:
            raise UsageError(f"the file {file.name!r}", f"a file {MODEL}, as 'hashwarden train job' writes it",
                             "Name the step graph in the folder that training wrote.", where=str(file))  # fmt: skip
        version = version_of(file.parent)
        home = self.folder / "versions" / version
        if home.exists():
            return self._checked(version)
        part = home.with_name(f"{version}.part")
        with _room(self.folder):
            part.mkdir(parents=True)
            for name in (*_JUDGES, *_CARD):
                if (file.parent / name).exists():
                    shutil.copyfile(file.parent / name, part / name)
                    synced(part / name)
        self._passed("copied")
        part.rename(home)
        synced(home.parent)
        self._passed("kept")
        return self._checked(version)

    def promote(self, staged: Path, compared: Mapping[str, Any]) -> Record:
        """Put a staged model into service; call it inside `locked`.

        Returns
        -------
        Record
            The present one, unchanged, if it already serves that version.
        """
        version, present = staged.parent.name, self.present()
        self._checked(version)
        if version == present.version:
            return present
        return self._begin(Record(present.number + 1, "promote", version, present.number, time.time(), os.getuid(),
                                  compared))  # fmt: skip

    def rollback(self) -> Record:
        """Put the model before into service again; call it inside `locked`. A second one goes one further back.

        Raises
        ------
        UsageError
            If nothing was before.
        """
        present = self.present()
        if not present.number or present.version == SHIPPED:
            raise UsageError("the shipped model serves, and nothing before it", "a promoted model",
                             "There is nothing to roll back.", where=str(self.folder))  # fmt: skip
        before = self._record(present.parent)
        if before.version != SHIPPED:
            self._checked(before.version)
        return self._begin(Record(present.number + 1, "rollback", before.version, before.parent, time.time(),
                                  os.getuid()))  # fmt: skip

    def _begin(self, record: Record) -> Record:
        home = self.folder / "generations" / f"{record.number:06d}"
        with _room(self.folder):
            home.mkdir(parents=True)
            (home / "record.json").write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
            synced(home / "record.json")
            synced(home)
        self._passed("recorded")
        link = self.folder / "current.part"
        link.symlink_to(Path("generations") / home.name)
        self._passed("linked")
        link.replace(self.folder / "current")
        synced(self.folder)
        self._passed("switched")
        return record

    def _tidy(self) -> None:
        """Remove what a killed change left behind."""
        (self.folder / "current.part").unlink(missing_ok=True)
        present = self.present().number
        for path in (self.folder / "generations").glob("*"):
            if int(path.name) > present:
                shutil.rmtree(path)
        served = {self._record(number).version for number in range(1, present + 1)}
        for path in (self.folder / "versions").glob("*"):
            if path.name not in served:
                shutil.rmtree(path)

    def _record(self, number: int) -> Record:
        if not number:
            return Record(0, "promote", SHIPPED, 0)
        path = self.folder / "generations" / f"{number:06d}" / "record.json"
        try:
            return Record(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(
                "a record that cannot be read", "one that this program wrote",
                "Remove the link 'current' to serve the shipped model.", where=str(path),
            ) from error  # fmt: skip

    def _checked(self, version: str) -> Path:
        home = self.folder / "versions" / version
        self._own(home)
        if version_of(home) != version:
            raise ModelError("a model file that is not what was promoted", f"content of SHA-256 {version}",
                             "Find out who changed it; promote a good one again.", where=str(home))  # fmt: skip
        return home / MODEL

    def _own(self, path: Path) -> None:
        """A model that others could write is a verdict that others could write."""
        try:
            state = path.stat()
        except OSError as error:
            raise ModelError(f"a version that is gone ({error.strerror})", "the folder that was promoted",
                             "Promote a model again.", where=str(path)) from error  # fmt: skip
        if state.st_uid not in {0, os.geteuid()} or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UsageError(f"others can write to it (user {state.st_uid}, mode {stat.S_IMODE(state.st_mode):o})",
                             "a folder of one's own, or of root's, that nobody else can write to",
                             "Mend its owner and mode, or choose another --store.", where=str(path))  # fmt: skip


def _nobody(step: str) -> None:
    """Tell nobody."""


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """Say in one error that the store cannot be written; the present model serves on."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            refusal(error, "the store"), "room for three files",
            "Make room, or name another --store; the model in service is as it was.", where=str(folder),
        ) from error  # fmt: skip
