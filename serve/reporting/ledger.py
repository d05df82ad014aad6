"""What happened on one node in a period: counted in one pass over its log, while that is verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from hashwarden.errors import DataError
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.findings import Report
from hashwarden.serve.audit.metering import Meter, Span
from hashwarden.serve.audit.record import Record
from hashwarden.serve.audit.tally import Tally
from hashwarden.serve.audit.verify import Wanted, verify_log
from hashwarden.serve.policy.case import Standing
from hashwarden.serve.reporting.folders import Place
from hashwarden.serve.reporting.names import WHOSE
from hashwarden.serve.reporting.story import Taken

__all__ = ["MOST_CASES", "Dark", "Entry", "Ledger", "ledger_of"]

MOST_CASES: Final = 10_000
_MOST_EVENTS: Final = 2000
_MOST_JOBS: Final = 100_000
_MOST_DARK: Final = 5000
_CHANGES: Final = frozenset({EventKind.START, EventKind.STOP, EventKind.POLICY, EventKind.MODEL})
_ORDER: Final = [str(one) for one in Standing]


@final
@dataclass(slots=True)
class Entry:
    """One case, as far as the log goes."""

    id: str
    node: str = ""
    job: str = ""
    user: str = ""
    rule: str = ""
    origin: str = ""
    worst: str = "none"
    opened_unix_s: float | None = None
    closed_unix_s: float | None = None
    closed_for: str = ""
    decided_unix_s: float | None = None
    decisions: list[tuple[float, str, str]] = field(default_factory=list)
    actions: list[tuple[float, str, str]] = field(default_factory=list)
    told: bool = False

    def touched(self, span: Span) -> bool:
        """Whether it was open in a period."""
        begun = self.opened_unix_s is None or self.opened_unix_s < span.to_unix_s
        return begun and (self.closed_unix_s is None or self.closed_unix_s >= span.from_unix_s)


@final
@dataclass(slots=True)
class Dark:
    """A stretch of blindness; `to_unix_s` is None while it lasts."""

    node: str
    kind: str
    subject: str
    from_unix_s: float
    to_unix_s: float | None = None

    def touches(self, span: Span) -> bool:
        """Whether some of it lies in a period."""
        lasted = self.to_unix_s is None or self.to_unix_s > span.from_unix_s
        return lasted and self.from_unix_s < span.to_unix_s


@final
@dataclass(slots=True)
class Ledger:
    """See the module.

    Attributes
    ----------
    span : Span
    tally : Tally
    meter : Meter
        Hours by day (by hour in a period of two days or less) and class.
    cases : dict of str to Entry
    dark : list of Dark
    changes : list of Taken
        Starts, stops, other policies and models in the period.
    streams, confirmed : set of str
        Jobs on a GPU with a verdict in the period, and those that were confirmed in it.
    jobs : dict of str to mapping
        Whose jobs they were, for names.
    alphas : set of float
    node : str
    first_unix_s, last_unix_s : float
        Of the records of any kind.
    report : Report
    """

    span: Span
    tally: Tally
    meter: Meter
    cases: dict[str, Entry] = field(default_factory=dict)
    dark: list[Dark] = field(default_factory=list)
    changes: list[Taken] = field(default_factory=list)
    streams: set[tuple[str, str]] = field(default_factory=set)
    confirmed: set[tuple[str, str]] = field(default_factory=set)
    jobs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    alphas: set[float] = field(default_factory=set)
    node: str = ""
    first_unix_s: float = 0.0
    last_unix_s: float = 0.0
    report: Report = field(default_factory=Report)
    _open: dict[tuple[str, str], Dark] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """Count a record."""
        self.tally.take(record)
        kind, self.last_unix_s = record.kind, record.stamp.unix_s
        self.first_unix_s = self.first_unix_s or self.last_unix_s
        if kind == EventKind.COVERAGE:
            self.meter.take((record,))
            return
        if kind == EventKind.CHECKPOINT:
            return
        taken = Taken(record.seq, record.stamp.unix_s, kind, record.body())
        self.node = str(taken.body.get("node") or self.node) if kind in {EventKind.START, EventKind.LOG} else self.node
        if kind in {EventKind.CASE, EventKind.APPROVAL, EventKind.ACTION}:
            self._case(taken)
        elif kind == EventKind.BLIND:
            self._blind(taken)
        elif self.span.has(taken.unix_s):
            self._within(taken)

    def _within(self, taken: Taken) -> None:
        if taken.kind in _CHANGES and len(self.changes) < _MOST_EVENTS:
            self.changes.append(taken)
        elif taken.kind == EventKind.VERDICT:
            self._verdict(taken.body)

    def _verdict(self, body: Mapping[str, Any]) -> None:
        job, verdict = body.get("job"), body.get("verdict")
        if not isinstance(verdict, Mapping):
            return
        fields = job if isinstance(job, Mapping) else {"key": str(job or "")}
        key, stream = str(fields.get("key", "")), (str(fields.get("key", "")), str(body.get("gpu", "")))
        if len(self.jobs) < _MOST_JOBS:
            self.jobs[key] = {name: str(fields.get(name) or "") for name in WHOSE}
        self.streams.add(stream)
        if verdict.get("state") == "confirmed":
            self.confirmed.add(stream)
        if isinstance(alpha := verdict.get("alpha"), float) and 0 < alpha < 1:
            self.alphas.add(alpha)

    def _case(self, taken: Taken) -> None:
        body, when = taken.body, taken.unix_s
        id_ = str(body.get("case", ""))
        if not id_ or (id_ not in self.cases and len(self.cases) >= MOST_CASES):
            return
        entry = self.cases.setdefault(id_, Entry(id_, self.node))
        entry.job, entry.user = entry.job or _text(body, "job"), entry.user or _text(body, "user")
        if taken.kind == EventKind.APPROVAL:
            entry.decisions.append((when, _text(body, "what"), _text(body, "by")))
            entry.decided_unix_s = entry.decided_unix_s or when
        elif taken.kind == EventKind.ACTION:
            entry.actions.append((when, _text(body, "kind"), _text(body, "result")))
        else:
            self._changed(entry, body, when)

    def _changed(self, entry: Entry, body: Mapping[str, Any], when: float) -> None:
        standing, change = _text(body, "standing"), _text(body, "change")
        if standing in _ORDER:
            entry.worst = max(entry.worst, standing, key=_ORDER.index)
        entry.rule, entry.origin = _text(body, "rule") or entry.rule, _text(body, "origin") or entry.origin
        if change == "opened":
            entry.opened_unix_s = when
        elif change == "closed":
            entry.closed_unix_s, entry.closed_for = when, _text(body, "words")
        entry.told |= change == "told"

    def _blind(self, taken: Taken) -> None:
        kind, subject = _text(taken.body, "kind"), _text(taken.body, "subject")
        if taken.body.get("began"):
            if len(self.dark) < _MOST_DARK:
                self._open[kind, subject] = Dark(self.node, kind, subject, taken.unix_s)
                self.dark.append(self._open[kind, subject])
        elif (known := self._open.pop((kind, subject), None)) is not None:
            known.to_unix_s = taken.unix_s


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name, "")
    return str(value.get("key", "")) if isinstance(value, Mapping) else str(value or "")


def ledger_of(place: Place, span: Span, wanted: Wanted) -> Ledger:
    """Read a log for a period, and verify it on the way.

    Raises
    ------
    DataError
        If it cannot be read, or holds no record.
    """
    by = "hour" if span.to_unix_s - span.from_unix_s <= 2 * 86400 else "day"
    ledger = Ledger(span, Tally(None, span), Meter.by_names([by, "class"], span))
    ledger.report = verify_log(place.audit, wanted, ledger.take)
    if not ledger.report.records:
        raise DataError("no record in it", "an audit log", "Name the agent's folder.", where=str(place.audit))
    end = min(span.to_unix_s, ledger.last_unix_s)
    ledger.tally.span = Span(span.from_unix_s, max(span.from_unix_s, end))
    return ledger
