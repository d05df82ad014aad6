"""What an audit log says of one case, and of the job that it is about: taken from it while it is verified."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, NamedTuple, final

from hashwarden.errors import DataError, UsageError
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.findings import Report
from hashwarden.serve.audit.read import Reader
from hashwarden.serve.audit.record import Record
from hashwarden.serve.audit.verify import Wanted, verify_log
from hashwarden.serve.reporting.folders import Place

__all__ = ["MOST", "Known", "Story", "Taken", "job_of_case", "story_of", "unknown_case"]

MOST: Final = 5000
"""Records of one case that are kept; more are counted."""

_MOST_STREAMS: Final = 1_000_000
_OF_NODE: Final = frozenset({EventKind.START, EventKind.STOP, EventKind.POLICY, EventKind.MODEL})
_OF_CASE: Final = frozenset({EventKind.CASE, EventKind.APPROVAL, EventKind.INTENT, EventKind.ACTION})


class Taken(NamedTuple):
    """One record."""

    seq: int
    unix_s: float
    kind: str
    body: Mapping[str, Any]


@final
@dataclass(slots=True)
class Known:
    """Which cases a log knows, and the job of the one that was asked for."""

    job: str = ""
    found: bool = False
    cases: dict[str, None] = field(default_factory=dict)


@final
@dataclass(slots=True)
class Story:
    """See the module.

    Attributes
    ----------
    case, job : str
    records : list of Taken
        Of the case, of verdicts on its job, and of what blinded it; in order.
    node_records : list of Taken
        Starts, stops, other policies and models of the node, and what blinded all of it.
    left_out : int
        Records past `MOST`.
    streams : int
        Jobs on a GPU that the log has verdicts on, this one too: what the false alarms are a share of.
    node : str
    last_unix_s : float
        Of the last record of any kind.
    report : Report
        What came of verifying the log.
    """

    case: str
    job: str
    records: list[Taken] = field(default_factory=list)
    node_records: list[Taken] = field(default_factory=list)
    left_out: int = 0
    node: str = ""
    last_unix_s: float = 0.0
    report: Report = field(default_factory=Report)
    _streams: set[int] = field(default_factory=set)

    @property
    def streams(self) -> int:
        """See the class."""
        return len(self._streams)

    def of(self, kind: str) -> list[Taken]:
        """Records of one kind."""
        return [record for record in self.records if record.kind == kind]

    def take(self, record: Record) -> None:
        """Keep a record if it belongs here."""
        kind, self.last_unix_s = record.kind, record.stamp.unix_s
        if kind in {EventKind.COVERAGE, EventKind.CHECKPOINT}:
            return
        body = record.body()
        taken = Taken(record.seq, record.stamp.unix_s, kind, body)
        if kind == EventKind.VERDICT:
            job, gpu = _key(body.get("job")), str(body.get("gpu", ""))
            if len(self._streams) < _MOST_STREAMS:
                self._streams.add(hash((job, gpu)))
            self._keep(taken, self.records, fits=job == self.job)
        elif kind in _OF_CASE:
            self._keep(taken, self.records, fits=body.get("case") == self.case)
        elif kind == EventKind.BLIND:
            subject = str(body.get("subject", ""))
            self._keep(taken, self.records, fits=subject == self.job)
            self._keep(taken, self.node_records, fits=":" not in subject)
        elif kind in _OF_NODE:
            self.node = str(body.get("node") or self.node)
            self._keep(taken, self.node_records, fits=True)
        elif kind == EventKind.LOG:
            self.node = self.node or str(body.get("node", ""))

    def _keep(self, taken: Taken, where: list[Taken], *, fits: bool) -> None:
        if fits and len(where) < MOST:
            where.append(taken)
        elif fits:
            self.left_out += 1


def _key(job: object) -> str:
    return str(job.get("key", "")) if isinstance(job, Mapping) else str(job or "")


def job_of_case(place: Place, case: str, wanted: Wanted) -> Known:
    """Look for a case in a log, and in what was copied away of it.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    known = Known()
    for folder in (*wanted.archives, place.audit):
        with closing(Reader(folder)) as reader:
            for record in reader:
                if record.kind == EventKind.CASE:
                    _know(known, record.body(), case)
    return known


def _know(known: Known, body: Mapping[str, Any], case: str) -> None:
    id_ = str(body.get("case", ""))
    known.cases[id_] = None
    if id_ == case:
        known.found, known.job = True, known.job or _key(body.get("job"))


def story_of(place: Place, case: str, job: str, wanted: Wanted) -> Story:
    """Read a log for one case, and verify it on the way.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    story = Story(case, job)
    story.report = verify_log(place.audit, wanted, story.take)
    if not story.report.records:
        raise DataError("no record in it", "an audit log", "Name the agent's folder.", where=str(place.audit))
    return story


def unknown_case(case: str, known: list[str], where: str) -> UsageError:
    """What is said to somebody who names a case that nobody knows."""
    near = get_close_matches(case, known, n=3, cutoff=0.5)
    remedy = f"Did you mean {' or '.join(near)}?" if near else "'hashwarden audit show --kind case' shows them."
    some = f"one of the {len(known):,} cases there" if known else "a case of this log, which knows none"
    return UsageError(f"no case is called {case!r}", some, remedy, where=where)
