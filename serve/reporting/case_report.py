"""A report on one case: everything on the page, gathered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.serve.policy.case import EVIDENCE
from hashwarden.serve.reporting.basis import Basis, Said
from hashwarden.serve.reporting.case_answer import answer, appeal, done, headline, owner
from hashwarden.serve.reporting.case_events import case_events
from hashwarden.serve.reporting.case_sure import against, card_of, how_sure, limits
from hashwarden.serve.reporting.channel_words import in_order, meaning_of
from hashwarden.serve.reporting.code import Kernel, Launched, kernels, launched
from hashwarden.serve.reporting.curves import Curve, Trace, recorded, rescored, traces
from hashwarden.serve.reporting.facts import SCHEMA, BundleCheck, Event, LogCheck, Row
from hashwarden.serve.reporting.lay import TIERS, clock, date, duration, percent
from hashwarden.version import __version__

__all__ = ["CaseReport", "Quantity", "Theme", "case_report"]

_MOST, _ROUND = 1e6, 1000.0
_FIRST, _LAST = 100, 300  # events of a long case that are shown


@final
@dataclass(frozen=True, slots=True)
class Quantity:
    """One channel that decided: its mean, and what it means."""

    channel: str
    meaning: str
    value: float
    unit: str
    high: float = 1.0


@final
@dataclass(frozen=True, slots=True)
class Theme:
    """Channels that belong together, and what the score would have lost without them (log-odds)."""

    name: str
    worth: float
    quantities: tuple[Quantity, ...]


@final
@dataclass(frozen=True, slots=True)
class CaseReport:
    """Everything that the page shows; as JSON what ``--format json`` gives."""

    schema: str
    kind: str
    made_by: str
    case: str
    node: str
    as_of_unix_s: float
    redacted: bool
    headline: str
    tone: str
    answer: str
    state: str
    warnings: tuple[Row, ...]
    missing: tuple[str, ...]
    job: tuple[Row, ...]
    events: tuple[Event, ...]
    events_left_out: int
    figures: tuple[Row, ...]
    curves: tuple[Curve, ...]
    curve_words: str
    interval_unix_s: tuple[float, float] | None
    themes: tuple[Theme, ...]
    traces: tuple[Trace, ...]
    probabilities: Mapping[str, float]
    kernels: tuple[Kernel, ...]
    launched: tuple[Launched, ...]
    sure: tuple[str, ...]
    limits: tuple[str, ...]
    against: tuple[Row, ...]
    done: tuple[str, ...]
    appeal: tuple[str, ...]
    logs: tuple[LogCheck, ...]
    bundle: BundleCheck | None
    commands: tuple[str, ...]
    model: tuple[Row, ...]
    marks: tuple[Event, ...]
    quota: bool


def case_report(  # noqa: PLR0913, PLR0917
    basis: Basis, logs: Sequence[LogCheck], bundle: BundleCheck | None, missing: Sequence[str], commands: Sequence[str],
    warned: Sequence[Row],
) -> CaseReport:  # fmt: skip
    """Gather it."""
    one, (head, tone) = basis.decisive, headline(basis)
    again, words = rescored(basis)
    curves = [*again, *(recorded(basis.said) if basis.story else [])]
    events = case_events(basis)
    shown = events if len(events) <= _FIRST + _LAST else [*events[:_FIRST], *events[-_LAST:]]
    past = basis.story.left_out if basis.story else 0
    identity: Mapping[str, Any] = one.verdict.model if one else {}
    card = card_of(str(identity.get("sha256", "")))
    return CaseReport(
        schema=SCHEMA, kind="case", made_by=f"hashwarden {__version__}", case=basis.case,
        node=basis.names.text(basis.story.node) if basis.story else "", as_of_unix_s=basis.as_of_unix_s,
        redacted=basis.names.redact, headline=head, tone=tone, answer=answer(basis),
        state=one.verdict.state if one else "", warnings=tuple(warned), missing=tuple(missing), job=tuple(_job(basis)),
        events=tuple(shown), events_left_out=len(events) - len(shown) + past, figures=tuple(_figures(one)),
        curves=tuple(replace(curve, gpu=basis.names.text(curve.gpu)) for curve in curves), curve_words=words,
        interval_unix_s=one.interval() if one else None, themes=tuple(_themes(one)),
        traces=tuple(replace(trace, gpu=basis.names.text(trace.gpu)) for trace in traces(basis.evidence, one)),
        probabilities=dict(one.verdict.probabilities) if one else {},
        kernels=tuple(kernels(basis.evidence, basis.names)), launched=tuple(launched(basis.evidence, basis.names)),
        sure=tuple(how_sure(basis)), limits=tuple(limits(card, one.verdict if one else None)),
        against=tuple(against(basis)), done=tuple(done(basis)), appeal=tuple(appeal(basis)), logs=tuple(logs),
        bundle=bundle, commands=tuple(commands), model=tuple(_model(basis, identity)),
        marks=tuple(event for event in shown if event.kind in {"case", "approval", "action"}),
        quota=basis.look.origin not in {"", EVIDENCE},
    )  # fmt: skip


def _job(basis: Basis) -> list[Row]:
    job, names, look = basis.job, basis.names, basis.look
    started = basis.started_unix_s
    rows = {
        "Job": names.job(str(job.get("key", ""))), "Of": owner(basis), "Name given by its owner":
        names.secret(str(job.get("name") or "")), "Partition": names.text(job.get("partition") or ""),
        "Pod": names.secret(str(job.get("pod") or "")),
        "Started": date(started) if started is not None else "not known",
        "GPUs": ", ".join(names.text(gpu) for gpu in basis.gpus),
        "Case opened": date(look.opened_unix_s) if look.opened_unix_s else "",
        "Policy": {"enforce": "in force", "dry-run": "dry run: only told"}.get(look.mode, names.text(look.mode)),
        "Rule": names.text(look.rule) or "none: only recorded",
    }  # fmt: skip
    return [Row(name, words) for name, words in rows.items() if words]


def _figures(one: Said | None) -> list[Row]:
    """Numbers of the verdict that decided."""
    if one is None:
        return []
    verdict, evidence = one.verdict, one.verdict.evidence
    rows = [
        Row(f"Evidence for “{name}”", _reached(value, evidence.thresholds.get(name, 0.0)))
        for name, value in evidence.evidence.items()
    ]
    rows += [
        Row("Watched by then", duration(evidence.watched_s)),
        Row("What was seen", TIERS.get(verdict.tier, verdict.tier) or "nothing that can be judged"),
        Row(
            "Likeliest family", f"{verdict.family}, {percent(verdict.family_probability)}" if verdict.family else "none"
        ),
        Row("Novelty", f"{verdict.novelty:.2f} (about 1 is usual)"),
    ]
    if one.interval() is not None:
        first, last = one.interval() or (0.0, 0.0)
        rows.append(Row("Looked at for the reasons", f"{clock(first, '%H:%M:%S')} to {clock(last, '%H:%M:%S')} UTC"))
    return rows


def _reached(value: float, threshold: float) -> str:
    amount = "more than 1,000,000" if value >= _MOST else f"{value:,.0f}" if value >= _ROUND else f"{value:,.2f}"
    word = "reached" if value >= threshold else "not reached"
    return f"{amount}, of {threshold:,.0f} that are needed (1 is none): {word}"


def _themes(one: Said | None) -> list[Theme]:
    return [] if one is None else [
        Theme(theme.theme, theme.worth, tuple(_quantity(name, theme.values[name]) for name in in_order(theme.values)))
        for theme in one.verdict.deciding
    ]  # fmt: skip


def _quantity(name: str, value: float) -> Quantity:
    if name not in INDEX:
        return Quantity(name, "a channel that this version does not know", value, "")
    channel = CHANNELS[INDEX[name]]
    return Quantity(name, meaning_of(name), value, channel.unit, min(channel.high, 1e30))


def _model(basis: Basis, identity: Mapping[str, Any]) -> list[Row]:
    rows = [Row(f"Model {name}", basis.names.text(value)) for name, value in identity.items()]
    policy = basis.evidence.manifest.get("policy") if basis.evidence else None
    for name, value in policy.items() if isinstance(policy, dict) else ():
        rows.append(Row(f"Policy {name}", basis.names.text(value)))
    return rows
