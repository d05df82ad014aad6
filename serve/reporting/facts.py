"""What every report holds: plain values, so that a page, a PDF and a program are given the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

__all__ = ["SCHEMA", "BundleCheck", "Event", "LogCheck", "Row"]

SCHEMA: Final = "hashwarden.report/1"
"""Name and version of the JSON form; the number changes when a field changes its meaning or goes."""


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table of two columns."""

    name: str
    words: str


@final
@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes
    ----------
    unix_s : float
    kind : str
        ``verdict``, ``case``, ``evidence``, ``action``, ``approval``, ``blind``, ``policy``, ``agent``.
    words : str
        For people.
    detail : str
        More of it; may be empty.
    record : int or None
        Number of its record in the audit log; None if it is from elsewhere.
    weight : str
        ``""``, ``good``, ``warn`` or ``bad``: how it is to be shown.
    """

    unix_s: float
    kind: str
    words: str
    detail: str = ""
    record: int | None = None
    weight: str = ""


@final
@dataclass(frozen=True, slots=True)
class LogCheck:
    """What came of verifying one audit log when the report was made.

    Attributes
    ----------
    node, log : str
        Name of the node as the log has it, and id of the log.
    ok : bool
    records, first_seq, last_seq, signed_seq, anchored_seq, problem_count : int
        -1 for none.
    head : str
        Hash of the last record, hexadecimal.
    keys : tuple of str
        Fingerprints of the keys that signed.
    pinned, anchored : bool
        Whether the reader gave a key, and checkpoints that were kept elsewhere.
    problems, notes : tuple of str
    last_unix_s : float
        When the last record was written; 0 for no record.
    """

    node: str
    log: str
    ok: bool
    records: int
    first_seq: int
    last_seq: int
    signed_seq: int
    anchored_seq: int
    problem_count: int
    head: str
    keys: tuple[str, ...]
    pinned: bool
    anchored: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    last_unix_s: float


@final
@dataclass(frozen=True, slots=True)
class BundleCheck:
    """What came of verifying an evidence bundle.

    Attributes
    ----------
    file, sha256, made_by : str
    ok : bool
        Whether every member is what was packed.
    known : str
        ``newest``, ``older`` or ``no``: what the log says of this hash; ``before`` if the log begins later and tells of
        no bundle of the case; ``unasked`` without a log.
    problems : tuple of str
    files : tuple of Row
        Members and their sizes.
    left_out : tuple of Row
        What was too much for it, as it says itself.
    """

    file: str
    sha256: str
    made_by: str
    ok: bool
    known: str
    problems: tuple[str, ...] = ()
    files: tuple[Row, ...] = field(default_factory=tuple)
    left_out: tuple[Row, ...] = field(default_factory=tuple)
