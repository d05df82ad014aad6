"""A folder that is written whole or not at all, with the SHA-256 of each file in it, as sha256sum checks them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hashwarden.errors import ModelError, UsageError
from hashwarden.model.storage import refusal, synced

__all__ = ["SUMS", "beside", "write_folder"]

SUMS: Final = "SHA256SUMS"
"""The file of sums; also the mark of a folder that an export wrote and may therefore write over."""


def write_folder(folder: Path, files: Mapping[str, bytes], force: bool = False) -> None:
    """Write files into a new folder, which is there only when all of them are.

    Parameters
    ----------
    folder : Path
        Not there yet, or empty; else an earlier export with `force`.
    files : mapping of str to bytes
        By their path in the folder.
    force : bool
        Put it in place of an earlier export. A folder that no export wrote is never touched.

    Raises
    ------
    UsageError
        If the folder may not be written over, or the disk refuses.
    """
    folder = folder.absolute()
    old = _old(folder, force)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    part: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        _fill(part, {**files, SUMS: sums.encode()})
        if old:
            shutil.rmtree(_exchanged(folder, part))
        else:
            part.rename(folder)
        synced(folder.parent)
    except OSError as error:
        raise UsageError(refusal(error, "the folder"), "a folder that can be written", "Name another.",
                         where=str(folder)) from error  # fmt: skip
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def beside(model: Path, name: str) -> dict[str, bytes]:
    """A model file and what belongs to it, as far as it is there, under another stem.

    Parameters
    ----------
    model : Path
        ``STEM.onnx``; beside it lie STEM_sequence.onnx, STEM_known_answers.json and the card, STEM.md and STEM.json.
    name : str
        The stem in the export.

    Raises
    ------
    ModelError
        If the model file cannot be read.
    """
    endings = (".onnx", "_sequence.onnx", "_known_answers.json", ".md", ".json")
    paths = {f"{name}{ending}": model.with_name(f"{model.stem}{ending}") for ending in endings}
    try:
        return {own: path.read_bytes() for own, path in paths.items() if path == model or path.is_file()}
    except OSError as error:
        raise ModelError(f"it cannot be read ({error.strerror})", "a model file", "Install hashwarden again.",
                         where=str(model)) from error  # fmt: skip


def _old(folder: Path, force: bool) -> bool:
    """Whether something is there that is to be replaced."""
    if not os.path.lexists(folder):
        return False
    if not folder.is_symlink() and folder.is_dir() and not any(folder.iterdir()):
        return False
    if not force:
        raise UsageError("a folder that is there already", "a new one", "Name another, or add --force.",
                         where=str(folder))  # fmt: skip
    if folder.is_symlink() or not (folder / SUMS).is_file():
        raise UsageError(f"something that no export wrote: it has no {SUMS}", "an earlier export",
                         "Name another folder.", where=str(folder))  # fmt: skip
    return True


def _fill(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.chmod(0o755)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        synced(path)
    for each in {(folder / name).parent for name in files}:
        synced(each)


def _exchanged(folder: Path, part: Path) -> Path:
    """Put the new in place of the old; gives where the old lies now. It is put back if that fails."""
    aside = part.with_name(f"{part.name}.old")
    folder.rename(aside)
    try:
        part.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    return aside
