"""All that is known of one job, or of one case, as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rich.text import Text

from hashwarden.serve.top.columns import wrapped
from hashwarden.serve.top.rows import CaseRow, JobRow, mapping, number, sequence
from hashwarden.serve.top.tables import bar, percent, spark, state_cell
from hashwarden.serve.top.words import STATES, Look, ago, clean, fit

__all__ = ["case_text", "job_text", "quantity", "when"]

_WHO: Final = ("name", "user", "account", "partition", "namespace", "pod", "container", "tenant")
_UNITS: Final = {"ratio": "%", "watts": "W", "mib": "MiB", "celsius": "C"}
_KERNELS: Final = 12
_BAR: Final = 20


def when(unix_s: float) -> str:
    """A time of UTC, ``?`` if it is not known."""
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "?"


def quantity(name: str, value: float) -> str:
    """A channel and its value: the unit is the end of its name."""
    stem, _, end = name.rpartition("_")
    words, unit = (stem, _UNITS[end]) if stem and end in _UNITS else (name, "")
    shown = percent(value) if unit == "%" else f"{value:,.0f} {unit}" if unit else f"{value:.4g}"
    return f"{words.replace('_', ' ')} {shown if math.isfinite(value) else '?'}"


def job_text(  # noqa: PLR0913
    row: JobRow, page: Mapping[str, Any], kernels: Mapping[str, Any], width: int, look: Look, *, stale: bool = False
) -> list[Text]:
    """A job.

    Parameters
    ----------
    row : JobRow
        As it stands in the list.
    page, kernels : mapping
        ``/v1/job`` and ``/v1/job/kernels``; empty where they are not known.
    width : int
    look : Look
    stale : bool
        Whether it is not of now.
    """
    one = page or row.raw
    lines = [_line(row.job, width, look, "bold"), *_who(row, one, width, look, stale=stale)]
    for gpu, verdict in mapping(one.get("verdicts")).items():
        history = mapping(mapping(one.get("history")).get(gpu))
        lines += [Text(), *_verdict(str(gpu), mapping(verdict), history, width, look, stale=stale)]
    lines += [Text(), *_kernels(kernels, width, look), Text(), *_hours(mapping(one.get("gpu_seconds")), look)]
    cases = [clean(case, look, 64) for case in sequence(one.get("cases"))] or ([row.case] if row.case else [])
    lines += [Text(), *wrapped(f"Cases: {', '.join(cases) or 'none'}", width)]
    return lines


def _who(row: JobRow, one: Mapping[str, Any], width: int, look: Look, *, stale: bool) -> Iterator[Text]:
    cell = state_cell(row.state, look, stale=stale)
    started, ended = number(one.get("started_unix_s")), number(one.get("ended_unix_s"))
    yield Text.assemble((f" {cell.text} ", cell.style), f"  GPUs {row.gpus or '-'}",
                        f"  case {row.case} ({row.standing})" if row.case else "", no_wrap=True)  # fmt: skip
    named = [f"{name} {clean(one[name], look, 80)}" for name in _WHO if one.get(name)]
    yield from wrapped(", ".join(named), width)
    words = f"began {when(started)}"
    if math.isfinite(ended):
        words += f", ENDED {when(ended)}"
    flags = [name for name in ("interactive", "shared") if one.get(name)]
    blind = [clean(kind, look, 40) for kind in sequence(one.get("blind"))]
    yield from wrapped(", ".join([words, *flags]), width)
    if blind:
        yield _line(f"CANNOT BE SEEN: {', '.join(blind)}", width, look, "bold reverse red")


def _verdict(  # noqa: PLR0913
    gpu: str, verdict: Mapping[str, Any], history: Mapping[str, Any], width: int, look: Look, *, stale: bool
) -> Iterator[Text]:
    state = clean(verdict.get("state") or "abstain", look, 16)
    cell = state_cell(state, look, stale=stale)
    known = [clean(verdict.get("tier") or "no tier", look, 16), f"watched {ago(number(verdict.get('watched_s')))}"]
    if number(verdict.get("blind_s")) > 0:
        known.append(f"blind {ago(number(verdict.get('blind_s')))}")
    if verdict.get("family"):
        share = percent(number(verdict.get("family_probability")))
        known.append(f"like {clean(verdict['family'], look, 40)} {share}")
    name = clean(gpu, look, 60)
    title = Text.assemble(("GPU " + name, "bold"), "  ", (cell.text, cell.style), no_wrap=True)
    title.truncate(width)
    yield title
    yield from wrapped(", ".join(known), width, "  ")
    trend = [number(value) for value in sequence(history.get("strength")) or sequence(verdict.get("trend"))]
    points = spark(trend, width - 18, look)
    strength = number(verdict.get("strength"))
    if points:
        yield Text(f"  evidence {points} {f'{strength:.2f}' if math.isfinite(strength) else '?'}", no_wrap=True)
    for reason in sequence(verdict.get("reasons"))[:12]:
        yield from wrapped(f"- {clean(reason, look)}", width, "  ")
    yield from _classes(mapping(verdict.get("probabilities")), look)
    now = [quantity(clean(name, look, 40), number(value)) for name, value in mapping(verdict.get("now")).items()]
    if now:
        yield from wrapped(f"now: {', '.join(now[:40])}", width, "  ")


def _classes(probabilities: Mapping[str, Any], look: Look) -> Iterator[Text]:
    known = {clean(name, look, 16): number(value) for name, value in list(probabilities.items())[:16]}
    ranked = sorted(known.items(), key=lambda one: -one[1] if math.isfinite(one[1]) else 1.0)
    for name, value in ranked:
        if value >= 0.005:
            yield Text(f"  {name:<12} {bar(value, _BAR, look)} {percent(value):>4}", no_wrap=True)


def _kernels(page: Mapping[str, Any], width: int, look: Look) -> Iterator[Text]:
    rows = [mapping(one) for one in sequence(page.get("kernels"))]
    ratio = number(page.get("known_ratio"))
    known = f"code of {percent(ratio)} of its launches is known" if math.isfinite(ratio) else ""
    if not rows:
        yield from wrapped(f"Kernels: {clean(page.get('note') or known or 'none are known', look)}", width)
        return
    yield Text(f"Kernels ({len(rows)}){'; ' if known else ''}{known}", "bold", no_wrap=True)
    room = max(width - 40, 12)
    yield Text(f"  {'NAME':<{room}} {'SHARE':>6} {'MINING':>6} {'HASH':>6}", "bold", no_wrap=True)
    for one in rows[:_KERNELS]:
        share, p_mining, p_hash = (percent(number(one.get(name))) for name in ("thread_ratio", "p_mining", "p_hash"))
        name = fit(clean(one.get("name") or "?", look, 400), room, look)
        style = "bold" if number(one.get("p_mining")) >= 0.5 else ""
        yield Text(f"  {name} {share:>6} {p_mining:>6} {p_hash:>6}", style, no_wrap=True)
        mix = [f"{clean(part, look, 20)} {percent(number(value))}" for part, value in mapping(one.get("mix")).items()
               if number(value) >= 0.005]  # fmt: skip
        if mix:
            yield from wrapped(", ".join(mix), width, "      ")


def _hours(seconds: Mapping[str, Any], look: Look) -> Iterator[Text]:
    known = {clean(name, look, 16): number(value) for name, value in seconds.items()}
    total = sum(value for value in known.values() if math.isfinite(value))
    yield Text(f"GPU time by class: {total / 3600:.2f} hours", "bold", no_wrap=True)
    for name, value in sorted(known.items(), key=lambda one: -one[1] if math.isfinite(one[1]) else 1.0):
        share = value / total if total > 0 else math.nan
        yield Text(f"  {name:<12} {bar(share, _BAR, look)} {value:>10,.0f} s", no_wrap=True)


def case_text(row: CaseRow, width: int, look: Look) -> list[Text]:
    """A case with its history."""
    one = row.raw
    known = STATES.get(row.standing)
    lines = [
        _line(f"{row.label}: {row.standing}", width, look, known.style if known else "bold"),
        *wrapped(f"job {row.job} of {row.user}, rule {row.rule}", width),
        *wrapped(f"opened {when(row.opened_unix_s)}; counted so far {ago(number(one.get('clock_s')))}", width),
    ]
    if row.steps:
        lines += wrapped(f"steps: {row.steps}", width)
    if row.waiting:
        lines += wrapped(f"waits for: {row.waiting}", width)
    reasons = sequence(mapping(one.get("evidence")).get("reasons"))
    lines += [Text(), Text("Why", "bold")] if reasons else []
    for reason in reasons[:12]:
        lines += wrapped(f"- {clean(reason, look)}", width, "  ")
    lines += [Text(), Text("History", "bold")]
    for entry in sequence(one.get("history")):
        stamp, _, words = str(entry).partition(" ")
        known_time = when(float(stamp)) if stamp.isdigit() and len(stamp) < 15 else "?"
        lines += wrapped(f"{known_time}  {clean(words, look)}", width, "  ")
    return lines


def _line(text: str, width: int, look: Look, style: str = "") -> Text:
    return Text(fit(text, width, look), style, no_wrap=True)
