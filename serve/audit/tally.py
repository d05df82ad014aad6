"""What happened to one tenant in one period: counted in a single pass over a log, while it is verified."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final, final

from hashwarden.serve.audit.checkpoint import Checkpoint
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.metering import Span, coverage_of
from hashwarden.serve.audit.owners import Owners
from hashwarden.serve.audit.record import GENESIS, Record

__all__ = ["Tally"]

_MOST_NAMES: Final = 1000
_OWNED: Final = frozenset({EventKind.VERDICT, EventKind.CASE, EventKind.APPROVAL, EventKind.ACTION})


@final
class Tally:
    """Counts records.

    Parameters
    ----------
    tenant : str or None
        None for all.
    span : Span
        By the wall clock of the records; coverage by the beginning of its interval.
    """

    def __init__(self, tenant: str | None, span: Span) -> None:
        self.tenant, self.span = tenant, span
        self.watched: defaultdict[str, float] = defaultdict(float)
        self.blind: defaultdict[str, float] = defaultdict(float)
        self.verdicts: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.approvals: Counter[str] = Counter()
        self.actions: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.models: dict[tuple[str, ...], None] = {}
        self.policies: dict[str, None] = {}
        self.nodes: dict[str, None] = {}
        self.versions: dict[str, None] = {}
        self.starts = self.unclean = self.intervals = self.unowned = 0
        self.first: tuple[int, bytes] | None = None
        self.last: tuple[int, bytes] | None = None
        self.checkpoint: Checkpoint | None = None
        self._owners, self._before, self._running = Owners(), GENESIS, False
        self._model: tuple[str, ...] = ()
        self._policy = self._node = self._version = ""
        self._covered: list[tuple[float, float]] = []

    def take(self, record: Record) -> None:
        """Count a record."""
        body = record.body()
        if record.seq and self._before is GENESIS and (first := Checkpoint.of(body)) is not None:
            self._before = bytes.fromhex(first.statement.hash)  # the records before were removed
        self._identify(record, body)
        if self.span.has(record.stamp.unix_s):
            self.first = self.first or (record.seq, self._before)
            self.last, self.checkpoint = (record.seq, record.hash), None
            self._count(record, body)
        elif self.last and record.kind == EventKind.CHECKPOINT and self.checkpoint is None:
            self.checkpoint = Checkpoint.of(body)
        if record.kind == EventKind.COVERAGE:
            self._cover(record)
        self._before = record.hash

    def seconds_without_records(self) -> float:
        """Of the period, if it has an end: what no coverage record of anybody tells of."""
        done, covered = self.span.from_unix_s, 0.0
        for start, end in sorted(self._covered):
            covered += max(0.0, min(end, self.span.to_unix_s) - max(start, done))
            done = max(done, min(end, self.span.to_unix_s))
        return max(0.0, self.span.to_unix_s - self.span.from_unix_s - covered)

    def _identify(self, record: Record, body: Mapping[str, Any]) -> None:
        """Who judged, by which policy: what was so before the period began is so in it."""
        inside = self.span.has(record.stamp.unix_s)
        if record.kind == EventKind.START:
            model = body.get("model")
            self._model = _model(model) if isinstance(model, Mapping) else self._model
            self._policy = _sha256(body.get("policy")) or self._policy
            self._node, self._version = str(body.get("node", "")), str(body.get("version", ""))
            self.starts += inside
            self.unclean += inside and self._running
            self._running = True
        elif record.kind == EventKind.STOP:
            self._running = False
        elif record.kind == EventKind.POLICY:
            self._policy = str(body.get("after") or body.get("sha256") or "")
        elif record.kind == EventKind.MODEL:
            self._model = _model(body)
        if inside:
            self._in_force()

    def _in_force(self) -> None:
        _add(self.models, self._model if any(self._model) else None)
        _add(self.policies, self._policy or None)
        _add(self.nodes, self._node or None)
        _add(self.versions, self._version or None)

    def _count(self, record: Record, body: Mapping[str, Any]) -> None:
        owner = self._owners.tenant_of(body) if record.kind in _OWNED else None
        if record.kind not in _OWNED:
            return
        if self.tenant is not None and owner != self.tenant:
            self.unowned += owner is None
            return
        self.unowned += owner is None
        if record.kind == EventKind.VERDICT:
            verdict = body.get("verdict")
            self.verdicts[str(verdict.get("state", "")) if isinstance(verdict, Mapping) else ""] += 1
        elif record.kind == EventKind.CASE:
            self.changes[str(body.get("change") or body.get("event") or "")] += 1
        elif record.kind == EventKind.APPROVAL:
            self.approvals[str(body.get("what", ""))] += 1
        else:
            self.actions[str(body.get("kind", ""))][str(body.get("result", ""))] += 1

    def _cover(self, record: Record) -> None:
        found = coverage_of(record)
        if found is None or not self.span.has(found.from_unix_s):
            return
        self.intervals += 1
        self._covered.append((found.from_unix_s, found.to_unix_s))
        for row in found.watched:
            if self.tenant in (None, row.tenant):
                self.watched[row.work] += row.gpu_seconds / 3600
        for blind in found.blind:
            if self.tenant in (None, blind.tenant):
                self.blind[blind.reason] += blind.gpu_seconds / 3600


def _add(names: dict[Any, None], name: object) -> None:
    if name is not None and len(names) < _MOST_NAMES:
        names.setdefault(name)


def _model(found: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(found.get(name) or "") for name in ("name", "version", "sha256", "data_sha256"))


def _sha256(policy: object) -> str:
    return str(policy.get("sha256", "")) if isinstance(policy, Mapping) else policy if isinstance(policy, str) else ""
