"""A report on a period: coverage first, then cases, actions, false alarms to be expected, changes, integrity."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from hashwarden.serve.audit.metering import BLIND, Span
from hashwarden.serve.reporting.case_events import node_event
from hashwarden.serve.reporting.facts import SCHEMA, Event, LogCheck, Row
from hashwarden.serve.reporting.lay import blind_words, duration, percent, plural
from hashwarden.serve.reporting.ledger import Dark, Entry, Ledger
from hashwarden.serve.reporting.names import Names
from hashwarden.version import __version__

__all__ = ["CaseLine", "DarkLine", "Hours", "NodeLine", "PeriodReport", "period_report"]

_MOST_LINES: Final = 500
_SHORT_S: Final = 60.0


@final
@dataclass(frozen=True, slots=True)
class Hours:
    """GPU-hours of one day or hour: by class as it was judged, and blind."""

    name: str
    watched: Mapping[str, float]
    blind: float


@final
@dataclass(frozen=True, slots=True)
class NodeLine:
    """One node: hours, and what could be seen."""

    node: str
    watched: float
    blind: float
    silent_s: float
    starts: int
    unclean: int
    versions: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class CaseLine:
    """One case in the table."""

    case: str
    node: str
    opened_unix_s: float | None
    closed_unix_s: float | None
    user: str
    job: str
    worst: str
    rule: str
    outcome: str
    decided_by: str
    decided_unix_s: float | None
    done: str


@final
@dataclass(frozen=True, slots=True)
class DarkLine:
    """A stretch in which something could not be seen."""

    node: str
    words: str
    subject: str
    from_unix_s: float
    to_unix_s: float | None
    seconds: float


@final
@dataclass(frozen=True, slots=True)
class PeriodReport:
    """Everything that the page shows; as JSON what ``--format json`` gives."""

    schema: str
    kind: str
    made_by: str
    period: str
    from_unix_s: float
    to_unix_s: float
    as_of_unix_s: float
    redacted: bool
    answer: str
    warnings: tuple[Row, ...]
    missing: tuple[str, ...]
    watched_hours: float
    blind_hours: float
    share_watched: float
    silent_s: float
    by_class: Mapping[str, float]
    by_reason: Mapping[str, float]
    hours: tuple[Hours, ...]
    hourly: bool
    nodes: tuple[NodeLine, ...]
    counts: tuple[Row, ...]
    decision_median_s: float | None
    actions: tuple[Row, ...]
    alarms: tuple[str, ...]
    cases: tuple[CaseLine, ...]
    cases_left_out: int
    dark: tuple[DarkLine, ...]
    dark_left_out: int
    changes: tuple[Event, ...]
    in_force: tuple[Row, ...]
    logs: tuple[LogCheck, ...]
    commands: tuple[str, ...]


def period_report(  # noqa: PLR0913, PLR0917
    words: str, span: Span, ledgers: Sequence[Ledger], logs: Sequence[LogCheck], names: Names, missing: Sequence[str],
    commands: Sequence[str], warned: Sequence[Row],
) -> PeriodReport:  # fmt: skip
    """Gather it."""
    entries = [entry for one in ledgers for entry in one.cases.values() if entry.touched(span)]
    entries.sort(key=lambda entry: (entry.opened_unix_s or 0.0, entry.id))
    nodes = [_node(one, names) for one in ledgers]
    watched, blind = sum(node.watched for node in nodes), sum(node.blind for node in nodes)
    dark = [_dark(one, span, ledger.last_unix_s, names) for ledger in ledgers for one in ledger.dark
            if one.touches(span)]  # fmt: skip
    dark.sort(key=lambda line: -line.seconds)
    lines = tuple(_case(entry, names) for entry in entries)
    by_class, by_reason = _summed(one.tally.watched for one in ledgers), _summed(one.tally.blind for one in ledgers)
    waits = [e.decided_unix_s - e.opened_unix_s for e in entries if e.decided_unix_s and e.opened_unix_s
             and span.has(e.decided_unix_s)]  # fmt: skip
    share = watched / (watched + blind) if watched + blind else 0.0
    return PeriodReport(
        schema=SCHEMA, kind="period", made_by=f"hashwarden {__version__}", period=words, from_unix_s=span.from_unix_s,
        to_unix_s=span.to_unix_s, as_of_unix_s=max(one.last_unix_s for one in ledgers), redacted=names.redact,
        answer=_answer(words, nodes, share, entries, span), warnings=tuple(warned), missing=tuple(missing),
        watched_hours=watched, blind_hours=blind, share_watched=share, silent_s=sum(node.silent_s for node in nodes),
        by_class=by_class, by_reason={blind_words(names.text(name)): value for name, value in by_reason.items()},
        hours=tuple(_hours(ledgers)), hourly=ledgers[0].meter.by[0] == "hour", nodes=tuple(nodes),
        counts=tuple(_counts(entries, span)), decision_median_s=statistics.median(waits) if waits else None,
        actions=tuple(_actions(entries, span)), alarms=tuple(_alarms(ledgers)), cases=lines[:_MOST_LINES],
        cases_left_out=max(0, len(lines) - _MOST_LINES), dark=tuple(dark[:_MOST_LINES]),
        dark_left_out=max(0, len(dark) - _MOST_LINES), changes=tuple(_changes(ledgers, names)),
        in_force=tuple(_in_force(ledgers, names)), logs=tuple(logs), commands=tuple(commands),
    )  # fmt: skip


def _node(one: Ledger, names: Names) -> NodeLine:
    tally = one.tally
    return NodeLine(
        names.text(one.node) or "not named", sum(tally.watched.values()), sum(tally.blind.values()),
        tally.seconds_without_records(), tally.starts, tally.unclean, tuple(names.text(v) for v in tally.versions),
    )  # fmt: skip


def _summed(parts: Iterator[Mapping[str, float]] | Sequence[Mapping[str, float]]) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for part in parts:
        for name, value in part.items():
            sums[name] += value
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def _hours(ledgers: Sequence[Ledger]) -> Iterator[Hours]:
    watched: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    blind: defaultdict[str, float] = defaultdict(float)
    for one in ledgers:
        for (when, kind), row in one.meter.rows.items():
            if kind != BLIND:
                watched[when][kind] += row.watched_hours
            blind[when] += row.blind_hours
    for when in sorted({*watched, *blind}):
        yield Hours(when, dict(sorted(watched[when].items())), blind[when])


def _answer(words: str, nodes: Sequence[NodeLine], share: float, entries: Sequence[Entry], span: Span) -> str:
    seen = sum(node.watched + node.blind for node in nodes)
    opened = [entry for entry in entries if entry.opened_unix_s and span.has(entry.opened_unix_s)]
    confirmed = [entry for entry in entries if entry.worst == "confirmed"]
    acted = [entry for entry in entries if any(span.has(w) and k not in {"warn", "release"} and r == "done"
                                               for w, k, r in entry.actions)]  # fmt: skip
    silent = sum(node.silent_s for node in nodes)
    when = f"From {words}" if " to " in words else f"On {words}"
    found = [
        f"{when}, hashwarden watched {plural(len(nodes), 'node')}. GPUs were in use for {seen:,.1f} hours, of "
        f"which it could judge {percent(share)}; the rest it was blind to, and says nothing about."
        if seen else f"{when}, no GPU was seen in use on {plural(len(nodes), 'node')}.",
        f"{plural(len(opened), 'case')} {'was' if len(opened) == 1 else 'were'} opened. Of the {len(entries):,} that "
        f"were open at some time, {len(confirmed):,} {'was' if len(confirmed) == 1 else 'were'} confirmed as mining.",
        f"Something was done to the jobs of {plural(len(acted), 'case')}." if acted else "Nothing was done to any job.",
    ]  # fmt: skip
    if silent > _SHORT_S:
        found.append(f"For {duration(silent)} no record tells what the GPUs did: the agent did not run, or nobody had "
                     "a GPU.")  # fmt: skip
    return " ".join(found)


def _counts(entries: Sequence[Entry], span: Span) -> Iterator[Row]:
    def inside(when: float | None) -> bool:
        return when is not None and span.has(when)

    said = Counter(what for entry in entries for when, what, _ in entry.decisions if span.has(when))
    yield Row("Cases opened", str(sum(inside(entry.opened_unix_s) for entry in entries)))
    yield Row("Cases closed", str(sum(inside(entry.closed_unix_s) for entry in entries)))
    still = [e for e in entries if e.closed_unix_s is None or e.closed_unix_s >= span.to_unix_s]
    yield Row("Open at the end", str(len(still)))
    yield Row("Approved by a person", str(said["approved"]))
    yield Row("Rejected by a person", str(said["rejected"]))
    for standing, count in sorted(Counter(entry.worst for entry in entries).items()):
        yield Row(f"Highest standing “{standing}”", str(count))


def _actions(entries: Sequence[Entry], span: Span) -> Iterator[Row]:
    counts = Counter((k, r) for entry in entries for when, k, r in entry.actions if span.has(when))
    for (kind, result), count in sorted(counts.items()):
        yield Row(f"{kind}: {result}", str(count))
    if told := sum(entry.told for entry in entries):
        yield Row("only told, in a dry run (cases)", str(told))


def _alarms(ledgers: Sequence[Ledger]) -> Iterator[str]:
    streams, confirmed = sum(len(one.streams) for one in ledgers), sum(len(one.confirmed) for one in ledgers)
    alphas = sorted({alpha for one in ledgers for alpha in one.alphas})
    if not streams or not alphas:
        yield "No verdict changed in this period, so that no false alarm was to be expected."
        return
    expected = streams * alphas[-1]
    several = f" (several were in force; this is the largest of {', '.join(f'{a:g}' for a in alphas)})" \
        if len(alphas) > 1 else ""  # fmt: skip
    yield (
        f"Verdicts were given on {plural(streams, 'job')} (each GPU of a job counted). At alpha = {alphas[-1]:g}"
        f"{several}, were all of them honest, at most {streams:,} times {alphas[-1]:g} = {expected:,.3g} would be "
        f"expected to be confirmed over their whole lives. Confirmed were {confirmed:,}."
    )
    if confirmed > expected:
        yield (
            "That is more than false alarms alone explain, if the jobs were like the honest runs that the threshold "
            "was set on. It does not say which of them mined, and the bound does not cover other hash work (password "
            "audits, proofs, checksums)."
        )
    yield (
        "The shipped model was calibrated on synthesised runs: until it is calibrated on this site's own honest work, "
        "the bound speaks of synthesised jobs."
    )


def _case(entry: Entry, names: Names) -> CaseLine:
    last = entry.decisions[-1] if entry.decisions else None
    outcome = names.text(entry.closed_for) if entry.closed_unix_s is not None else "open"
    done = "; ".join(f"{names.text(kind)} {names.text(result)}" for _, kind, result in entry.actions)
    return CaseLine(
        names.text(entry.id), names.text(entry.node), entry.opened_unix_s, entry.closed_unix_s,
        names.person(entry.user), names.job(entry.job), entry.worst, names.text(entry.rule), outcome,
        f"{names.text(last[1])} by {names.person(last[2])}" if last else "", last[0] if last else None,
        done or ("only told (dry run)" if entry.told else "nothing"),
    )  # fmt: skip


def _dark(one: Dark, span: Span, last_unix_s: float, names: Names) -> DarkLine:
    end = min(one.to_unix_s if one.to_unix_s is not None else last_unix_s, span.to_unix_s)
    begin = max(one.from_unix_s, span.from_unix_s)
    subject = names.job(one.subject) if ":" in one.subject else names.text(one.subject) or "all of the node"
    return DarkLine(names.text(one.node), blind_words(names.text(one.kind)), subject, one.from_unix_s, one.to_unix_s,
                    max(0.0, end - begin))  # fmt: skip


def _changes(ledgers: Sequence[Ledger], names: Names) -> Iterator[Event]:
    found = []
    for one in ledgers:
        for taken in one.changes:
            event = node_event(taken, names)
            if event is not None:
                where = f"{names.text(one.node)}: " if len(ledgers) > 1 else ""
                config = str(taken.body.get("config") or "")
                detail = "; ".join(filter(None, [event.detail, f"configuration {names.text(config)[:16]}…" if config
                                                 else ""]))  # fmt: skip
                found.append(Event(event.unix_s, event.kind, where + event.words, detail, event.record, event.weight))
    yield from sorted(found, key=lambda event: (event.unix_s, event.words))[:_MOST_LINES]


def _in_force(ledgers: Sequence[Ledger], names: Names) -> Iterator[Row]:
    models = dict.fromkeys(model for one in ledgers for model in one.tally.models)
    for name, version, sha256, _ in models:
        yield Row(f"Model {names.text(name)} {names.text(version)}", names.text(sha256))
    for policy in dict.fromkeys(policy for one in ledgers for policy in one.tally.policies):
        yield Row("Policy", names.text(policy))
