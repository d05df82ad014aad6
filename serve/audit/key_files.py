"""The change of a key on the disk, so that a crash in between leaves a log and a key that fit.

The new key lies beside the old as ``NAME.next`` until the log says that it follows. Whoever starts first after a change
that was cut off there, an agent or the command, finishes it.
"""

from __future__ import annotations

import os
from pathlib import Path

from hashwarden.errors import UsageError
from hashwarden.model.storage import refusal, replacing, synced
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import Signer, load_or_make, load_signer, public_path
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.tail import find_tail
from hashwarden.serve.journal import StorageError

__all__ = ["current_signer", "rotate_key"]


def current_signer(folder: Path, path: Path) -> Signer:
    """The key for a log; one is made if there is none, and a change that was cut off is finished.

    Parameters
    ----------
    folder : Path
        Of the log.
    path : Path
        Of the private key.

    Raises
    ------
    UsageError, StorageError
        As `hashwarden.serve.audit.keys.load_or_make`, and if the change cannot be finished.
    """
    following = _following(path)
    if following.exists() and folder.is_dir() and (files := log_files(folder, twice=True)):
        old, new = load_signer(path), load_signer(following)
        if find_tail(files).key == new.public.id:
            _replace(path, old, new)
    return load_or_make(path)


def rotate_key(folder: Path, path: Path) -> tuple[str, str]:
    """Go on with a new key; gives the ids of the old and the new one.

    Where a change was cut off after the log had taken it, this finishes it and changes nothing more. The old public
    half is kept as ``NAME.ID.pub``.

    Parameters
    ----------
    folder : Path
        Of the log; nobody may be writing to it.
    path : Path
        Of the private key.

    Raises
    ------
    UsageError
        If there is no log or no key, or the log is being written.
    StorageError
        If something cannot be written.
    """
    if not folder.is_dir() or not (files := log_files(folder)):
        raise UsageError("no log", "the folder of one", "Name the agent's.", where=str(folder))
    old, new = load_signer(path), load_or_make(_following(path))
    if find_tail(files).key != new.public.id:
        with AuditLog(folder, old) as log:
            log.change_key(new)
    _replace(path, old, new)
    return old.public.id, new.public.id


def _following(path: Path) -> Path:
    return path.with_name(path.name + ".next")


def _replace(path: Path, old: Signer, new: Signer) -> None:
    following = _following(path)
    try:
        for target, key in ((public_path(path), new), (path.with_name(f"{path.stem}.{old.public.id[:16]}.pub"), old)):
            with replacing(target) as file:
                file.write(key.public.pem.encode("ascii"))
        os.replace(following, path)  # noqa: PTH105  the old key is gone with this
        synced(path.parent)
        public_path(following).unlink(missing_ok=True)
    except OSError as error:
        got = refusal(error, "the key")
        raise StorageError(got, "room for a key", "Make room, and call this again.", where=str(path)) from error
