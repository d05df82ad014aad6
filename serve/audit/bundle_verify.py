"""Whether an evidence bundle is what was packed: every member against the manifest, the whole against the log."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, final

from hashwarden.errors import DataError
from hashwarden.serve.audit.bundle import FORMAT, MANIFEST
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.read import Reader

__all__ = ["BundleReport", "members", "recorded_hashes", "verify_bundle"]

_MOST_MEMBERS: Final = 64
_MOST_MANIFEST: Final = 2 << 20
_PIECE: Final = 1 << 20
_LARGEST: Final = 1 << 40


@final
@dataclass(frozen=True, slots=True)
class BundleReport:
    """What was found.

    Attributes
    ----------
    case, sha256 : str
        The case by the manifest, and the hash of the whole file.
    files : dict of str to int
        Bytes by member.
    problems : tuple of str
    """

    case: str
    sha256: str
    files: dict[str, int]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_bundle(path: Path) -> BundleReport:
    """Check a bundle; it is read in pieces, and nothing is unpacked.

    Raises
    ------
    DataError
        If it cannot be read or is no bundle.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
            file.seek(0)
            manifest, found, problems = _read(file, path)
    except OSError as error:
        got = f"it cannot be read ({error.strerror or error})"
        raise DataError(got, "a bundle", "Check its name.", where=str(path)) from error
    except (tarfile.TarError, ValueError, RecursionError) as error:
        raise _no_bundle(path, type(error).__name__) from error
    problems += _held(manifest, found)
    sizes = {name: size for name, (size, _) in sorted(found.items())}
    return BundleReport(str(manifest.get("case", "")), digest.hexdigest(), sizes, tuple(problems))


def members(path: Path, most: int, without: frozenset[str] = frozenset()) -> dict[str, bytes]:
    """What a bundle holds, by name; nothing is checked here.

    Parameters
    ----------
    path : Path
        Of a bundle that `verify_bundle` could read.
    most : int
        Bytes of a member; longer ones are left out.
    without : frozenset of str
        Names that are left out.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    found: dict[str, bytes] = {}
    try:
        with path.open("rb") as file:
            for number, member in enumerate(_headers(file)):
                if number >= _MOST_MEMBERS:
                    break
                if member.isreg() and member.size <= most and member.name not in {*found, *without}:
                    found[member.name] = file.read(member.size)
    except (OSError, tarfile.TarError) as error:
        raise _no_bundle(path, type(error).__name__) from error
    return found


def _read(file: BinaryIO, path: Path) -> tuple[Mapping[str, Any], dict[str, tuple[int, str]], list[str]]:
    manifest: Any = None
    found: dict[str, tuple[int, str]] = {}
    problems = []
    for number, member in enumerate(_headers(file)):
        if number >= _MOST_MEMBERS:
            raise _no_bundle(path, "too many members")
        if not member.isreg() or member.name in found or (member.name == MANIFEST and manifest is not None):
            problems.append(f"{member.name}: twice, or no plain file")
        elif member.name == MANIFEST:
            manifest = json.loads(file.read(min(member.size, _MOST_MANIFEST)))
        else:
            found[member.name] = (member.size, _digest(file, member.size))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _no_bundle(path, "no manifest of this format")
    return manifest, found, problems


def _held(manifest: Mapping[str, Any], found: Mapping[str, tuple[int, str]]) -> list[str]:
    """Members against the manifest, and the other way round."""
    files = manifest.get("files")
    said = files if isinstance(files, dict) else {}
    problems = [f"{name}: missing" for name in said if name not in found]
    for name, (size, sha256) in found.items():
        if name not in said:
            problems.append(f"{name}: not in the manifest")
        elif said[name] != {"bytes": size, "sha256": sha256}:
            problems.append(f"{name}: not what was packed")
    return problems


def _headers(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """The members, each with the file at the beginning of its content.

    Not `tarfile.TarFile`: that takes what extended headers say, of whatever size, into memory. A bundle has none.
    """
    place = file.tell()
    while (head := file.read(tarfile.BLOCKSIZE)).strip(b"\0"):
        member = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        if not 0 <= member.size <= _LARGEST:
            raise tarfile.ReadError("an impossible size")
        yield member
        place += tarfile.BLOCKSIZE * (1 + -(-member.size // tarfile.BLOCKSIZE))
        file.seek(place)


def _digest(file: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    while size > 0 and (piece := file.read(min(size, _PIECE))):
        digest.update(piece)
        size -= len(piece)
    if size:
        raise tarfile.ReadError("a member that is cut off")
    return digest.hexdigest()


def recorded_hashes(folder: Path, case: str) -> list[str]:
    """SHA-256 of the bundles of a case, as the audit log has them, oldest first.

    Raises
    ------
    DataError
        If the log cannot be read.
    """
    reader = Reader(folder)
    try:
        bodies = [record.body() for record in reader if record.kind == EventKind.CASE]
    finally:
        reader.close()
    return [str(one.get("sha256")) for one in bodies if one.get("event") == "bundle" and one.get("case") == case]


def _no_bundle(path: Path, words: str) -> DataError:
    return DataError(f"no evidence bundle ({words})", FORMAT, "Name a file that the agent packed.", where=str(path))
