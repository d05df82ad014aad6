"""The change of a key on the disk, so that a crash in between leaves a log and a key that fit."""

from __future__ import annotations

import os
from pathlib import Path

from hashwarden.errors import UsageError
from hashwarden.model.storage import refusal, replacing, synced
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import load_or_make, load_signer, public_path
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.tail import find_tail
from hashwarden.serve.journal import StorageError

__all__ = ["rotate_key"]


def rotate_key(folder: Path, path: Path) -> tuple[str, str]:
    """Go on with a new key; gives the ids of the old and the new one.

    The new key lies beside the old as ``NAME.next`` until the log says that it follows. Where a change was cut off
    after that, this finishes it and changes nothing more. The old public half is kept as ``NAME.ID.pub``.

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
    old, following = load_signer(path), path.with_name(path.name + ".next")
    new = load_or_make(following)
    if find_tail(files).key != new.public.id:
        with AuditLog(folder, old) as log:
            log.change_key(new)
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
    return old.public.id, new.public.id
