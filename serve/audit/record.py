r"""One record: a line of JSON that carries the hash of all that came before it, and of itself.

A line is ``{"hash":"HEX","record":RECORD}\n``. The hash is SHA-256 over the 32 bytes of the hash before it and the
bytes of RECORD as they stand; before the first record stands `GENESIS`. RECORD is canonical: the fields in the order
of `Record`, the body's keys sorted, ASCII, no spaces. So whoever checks a log needs SHA-256 and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any, Final, NamedTuple

from hashwarden.serve.audit.clean import MOST_BYTES, canonical

__all__ = ["FORMAT", "GENESIS", "MOST_LINE", "Record", "Stamp", "chained", "line_of", "parse", "payload_of"]

FORMAT: Final = "hashwarden.audit/1"
"""Name and version; the number changes when a field changes its meaning or goes."""

GENESIS: Final = hashlib.sha256(FORMAT.encode()).digest()
"""Stands before the first record."""

MOST_LINE: Final = MOST_BYTES + 256
"""Bytes of a line, its end counted."""

_START, _MIDDLE, _END = b'{"hash":"', b'","record":', b"}\n"
_HEX: Final = 64
_OPEN: Final = len(_START) + _HEX
_PAYLOAD: Final = _OPEN + len(_MIDDLE)
_HEAD: Final = re.compile(
    rb'\{"seq":(0|[1-9][0-9]{0,17}),"kind":"([a-z][a-z-]{0,31})","unix_s":(-?[0-9]{1,17}\.[0-9]{6}),'
    rb'"mono_s":(-?[0-9]{1,17}\.[0-9]{6}),"boot":"([0-9a-f-]{0,36})","body":'
)


class Stamp(NamedTuple):
    """When something was written down.

    Attributes
    ----------
    unix_s : float
        Wall clock; it may jump, so the order of records is that of their numbers.
    mono_s : float
        Seconds of this boot; comparable between records of the same `boot`.
    boot : str
        The kernel's id of this boot, empty if there is none.
    """

    unix_s: float
    mono_s: float
    boot: str


class Record(NamedTuple):
    """A line that was read, not yet checked against those before it.

    Attributes
    ----------
    seq : int
        From 0 over all files.
    kind : str
    stamp : Stamp
    payload : bytes
        The record as it stands in the line.
    hash : bytes
        As written in the line, 32 bytes.
    """

    seq: int
    kind: str
    stamp: Stamp
    payload: bytes
    hash: bytes

    def body(self) -> dict[str, Any]:
        """The body; empty if it is no JSON object."""
        try:
            found = _loads(self.payload).get("body")
        except (ValueError, RecursionError, AttributeError):
            return {}
        return found if isinstance(found, dict) else {}

    def is_canonical(self) -> bool:
        """Whether it is written in the one way in which the log writes."""
        try:
            found = _loads(self.payload)
            return payload_of(self.seq, self.kind, self.stamp, canonical(found["body"])) == self.payload
        except (ValueError, RecursionError, KeyError, TypeError):
            return False


def _loads(text: bytes) -> Any:  # noqa: ANN401  anything that JSON has
    """JSON without the numbers that are none; ValueError for those."""
    return json.loads(text, parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        message = "a number that is not finite"
        raise ValueError(message)
    return value


def payload_of(seq: int, kind: str, stamp: Stamp, body: bytes) -> bytes:
    """The bytes of a record, from a canonical body."""
    head = f'{{"seq":{seq},"kind":"{kind}","unix_s":{stamp.unix_s:.6f},"mono_s":{stamp.mono_s:.6f},'
    return f'{head}"boot":"{stamp.boot}","body":'.encode("ascii") + body + b"}"


def chained(before: bytes, payload: bytes) -> bytes:
    """The hash of a record, 32 bytes, from the hash before it."""
    found = hashlib.sha256(before)
    found.update(payload)
    return found.digest()


def line_of(digest: bytes, payload: bytes) -> bytes:
    """A line of the log."""
    return b"".join((_START, digest.hex().encode(), _MIDDLE, payload, _END))


def parse(line: bytes) -> Record | None:
    """Take a line apart; None if it is not exactly of the form in which the log writes."""
    if line[:9] != _START or line[_OPEN:_PAYLOAD] != _MIDDLE or line[-2:] != _END or len(line) > MOST_LINE:
        return None
    payload = line[_PAYLOAD:-2]
    head = _HEAD.match(payload)
    digest = _digest(line[9:_OPEN])
    if head is None or digest is None:
        return None
    seq, kind, unix_s, mono_s, boot = head.groups()
    stamp = Stamp(float(unix_s), float(mono_s), boot.decode())
    return Record(int(seq), kind.decode(), stamp, payload, digest)


def _digest(text: bytes) -> bytes | None:
    try:
        found = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return None
    return found if found.hex().encode() == text else None  # capitals and spaces would say the same
