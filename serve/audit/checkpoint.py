"""A checkpoint: how far the chain went at a time, and its hash there, signed.

Whoever has one, and the public key, can hold any copy of the log against it: all records up to its number are as they
were, or the hash differs. A copy of it kept where the log's owner cannot reach shows that the end was cut off, too.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hashwarden.errors import DataError
from hashwarden.serve.audit.clean import canonical
from hashwarden.serve.audit.keys import PublicKey, Signer, pae

__all__ = ["MEDIA_TYPE", "SCHEMA", "Checkpoint", "Statement", "read_checkpoints"]

SCHEMA: Final = "hashwarden.audit-checkpoint/1"
MEDIA_TYPE: Final = "application/vnd.hashwarden.audit-checkpoint+json"
"""Is signed with it, so that nothing else signed by this key can pass for a checkpoint."""

_MOST_LINE: Final = 65_536
_HEX32: Final = r"^[0-9a-f]{64}$"


@final
class Statement(BaseModel):
    """What is signed, as canonical JSON.

    Attributes
    ----------
    schema_name : str
    log : str
        Id of the log, made at its first record.
    seq : int
        Number of the last record that it covers.
    hash : str
        Of that record, hexadecimal.
    unix_s : float
    every : int
        The log promises a checkpoint at least every so many records: more after the last one have been slipped in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    schema_name: str = Field(default=SCHEMA, pattern=f"^{SCHEMA}$")
    log: str = Field(pattern=r"^[0-9a-f]{32}$")
    seq: int = Field(ge=0)
    hash: str = Field(pattern=_HEX32)
    unix_s: float
    every: int = Field(ge=1)

    def message(self) -> bytes:
        """The bytes that are signed."""
        return pae(MEDIA_TYPE, canonical(self.model_dump()))


@final
class Checkpoint(BaseModel):
    """A statement with its signature; the body of a record, and a line of an anchor.

    Attributes
    ----------
    statement : Statement
    key : str
        Id of the key, empty if the log is not signed.
    signature : str
        Base64.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    statement: Statement
    key: str = ""
    signature: str = ""

    @classmethod
    def signed(cls, statement: Statement, signer: Signer | None) -> Checkpoint:
        """Sign a statement; without a signer it only links files."""
        if signer is None:
            return cls(statement=statement)
        signature = base64.b64encode(signer.sign(statement.message())).decode("ascii")
        return cls(statement=statement, key=signer.public.id, signature=signature)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Checkpoint | None:
        """From the body of a record; None if it is none."""
        try:
            return cls.model_validate(body)
        except ValidationError:
            return None

    def is_signed_by(self, key: PublicKey) -> bool:
        """Whether the signature is that of this key."""
        try:
            signature = base64.b64decode(self.signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        return self.key == key.id and key.verifies(self.statement.message(), signature)

    def line(self) -> str:
        """One line of JSON."""
        return canonical(self.model_dump()).decode("ascii")


def read_checkpoints(path: Path) -> Iterator[Checkpoint]:
    """Checkpoints that were kept elsewhere: one a line, whatever stands before the first brace (as in a syslog).

    Raises
    ------
    DataError
        If the file cannot be read, or holds none.
    """
    count = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(_MOST_LINE):
                if found := _parsed(line):
                    count += 1
                    yield found
    except OSError as error:
        raise DataError(
            f"it cannot be read ({error.strerror})", "checkpoints", "Check its name.", where=str(path)
        ) from error
    if not count:
        remedy = "Name a file that --anchor wrote, or lines of the system log."
        raise DataError("no checkpoint in it", "one or more", remedy, where=str(path))


def _parsed(line: bytes) -> Checkpoint | None:
    start = line.find(b"{")
    try:
        found = json.loads(line[start:]) if start >= 0 else None
    except (ValueError, RecursionError):
        return None
    return Checkpoint.of(found) if isinstance(found, dict) else None
