"""Bearer tokens: made here, shown once, kept as hashes in a file that only its owner can read.

A token is ``hw1_ID_SECRET``. The secret holds 256 random bits, so that one round of SHA-256 is enough to keep it:
there is nothing to guess. The ID is no secret: it finds the entry, whose hash is then compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import UsageError
from hashwarden.serve.api.roles import Role

__all__ = ["Token", "TokenFile", "known_token", "new_token", "revoke_token"]

_TOKEN: Final = re.compile(r"hw1_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MOST_BYTES: Final = 1 << 20
_KEYS: Final = {"id", "name", "roles", "sha256", "created_unix_s", "expires_unix_s"}


@final
@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token.

    Attributes
    ----------
    id, name : str
    roles : tuple of str
    sha256 : str
        Of the whole token.
    created_unix_s : float
    expires_unix_s : float
        0 for never.
    """

    id: str
    name: str
    roles: tuple[str, ...]
    sha256: str
    created_unix_s: float
    expires_unix_s: float = 0.0

    def expired(self, unix_s: float) -> bool:
        """Whether it is over."""
        return 0 < self.expires_unix_s <= unix_s


@final
class TokenFile:
    """A file of tokens.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UsageError
        If it is not there, others than its owner can read it, or it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tokens: Sequence[Token] = _read(path)

    def add(self, token: Token) -> None:
        """Write one more."""
        if any(each.name == token.name for each in self.tokens):
            raise UsageError(f"a token called {token.name!r}, which there is", "a new name",
                             "Revoke that one, or choose another name.", where=str(self.path))  # fmt: skip
        self._write([*self.tokens, token])

    def remove(self, name: str) -> None:
        """Write all but one."""
        if all(each.name != name for each in self.tokens):
            raise UsageError(f"no token called {name!r}", "one of the file's",
                             "See: hashwarden serve token list", where=str(self.path))  # fmt: skip
        self._write([each for each in self.tokens if each.name != name])

    def _write(self, tokens: Sequence[Token]) -> None:
        text = json.dumps({"tokens": [asdict(token) for token in tokens]}, indent=1) + "\n"
        _replace(self.path, text.encode())
        self.tokens = tokens


def new_token(path: Path, name: str, roles: Sequence[Role], lasts_s: float = 0.0) -> str:
    """Make a token, write its hash into the file, and give the token, which nothing keeps.

    Parameters
    ----------
    path : Path
        Made if it is not there.
    name : str
        Letters, digits and ``._@-``; stands in logs.
    roles : sequence of Role
    lasts_s : float
        0 for ever.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"the name {name!r}", "1 to 64 letters, digits and ._@-", "Choose another.")
    if not roles:
        raise UsageError("no role", "one of " + ", ".join(Role), "Example: --role read")
    if not path.exists():
        _replace(path, b'{"tokens": []}\n')
    id_, now = secrets.token_hex(4), time.time()
    text = f"hw1_{id_}_{secrets.token_urlsafe(32)}"
    expires = now + lasts_s if lasts_s else 0.0
    TokenFile(path).add(
        Token(id_, name, tuple(dict.fromkeys(str(role) for role in roles)), _digest(text), now, expires)
    )
    return text


def revoke_token(path: Path, name: str) -> None:
    """Take a token out of the file."""
    TokenFile(path).remove(name)


def known_token(tokens: Mapping[str, Token], text: str, unix_s: float) -> Token | None:
    """The token that this is; None if it is none, or over.

    Parameters
    ----------
    tokens : mapping of str to Token
        By their IDs.
    text : str
        As the client sent it.
    unix_s : float
        Now.
    """
    match = _TOKEN.fullmatch(text)
    found = tokens.get(match[1]) if match else None
    if found is None or not hmac.compare_digest(found.sha256, _digest(text)) or found.expired(unix_s):
        return None
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> list[Token]:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077:
                raise UsageError(f"mode {stat.S_IMODE(found.st_mode):04o}", "a file that only its owner can read",
                                 f"Run: chmod 600 {path}", where=str(path))  # fmt: skip
            if found.st_uid not in (0, os.geteuid()):
                raise UsageError(f"a file of user {found.st_uid}", "one of root or of the user who runs this",
                                 "Change its owner.", where=str(path))  # fmt: skip
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        remedy = "Make one: hashwarden serve token new NAME --role read"
        raise UsageError(f"it cannot be read ({error.strerror})", "tokens", remedy, where=str(path)) from None
    try:
        return [_token(each) for each in json.loads(raw)["tokens"]]
    except (ValueError, KeyError, TypeError, AttributeError):  # never with what the file holds
        raise UsageError("something else", "what 'hashwarden serve token' wrote", "Name another file.",
                         where=str(path)) from None  # fmt: skip


def _token(entry: Mapping[str, Any]) -> Token:
    roles = tuple(str(Role(role)) for role in entry["roles"])
    digest = str(entry["sha256"])
    if set(entry) != _KEYS or not re.fullmatch(r"[0-9a-f]{64}", digest) or not _NAME.fullmatch(entry["name"]):
        raise ValueError("no token")
    return Token(str(entry["id"]), entry["name"], roles, digest, float(entry["created_unix_s"]),
                 float(entry["expires_unix_s"]))  # fmt: skip


def _replace(path: Path, data: bytes) -> None:
    """Write it beside, then in its place; it belongs to whom it did, or to whom its folder does: maybe root made it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(number, "wb") as file:
                known = path.stat() if path.exists() else path.parent.stat()
                if os.geteuid() == 0:
                    os.fchown(number, known.st_uid, known.st_gid)
                file.write(data)
                file.flush()
                os.fsync(number)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(
            f"it cannot be written ({error.strerror})", "a place to write to", "See --tokens.", where=str(path)
        ) from None
