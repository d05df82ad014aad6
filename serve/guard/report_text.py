"""The guard's last words."""

from __future__ import annotations

from collections.abc import Iterator

from hashwarden.serve.guard.order import Order
from hashwarden.serve.guard.report import Report

__all__ = ["words_of"]


def words_of(report: Report, order: Order, *, quiet: bool = False) -> Iterator[str]:
    """What people are told, line by line; nothing but an end by the guard if they want it quiet."""
    if report.why == "verdict" and report.verdict is not None:
        verdict = report.verdict
        seconds = verdict.evidence.watched_s
        yield f"ended: {verdict.state} {verdict.family or 'mining'} after {seconds:,.0f} s of samples"
        yield from (f"  {reason}" for reason in verdict.reasons)
    elif report.why == "blind":
        yield f"ended: it ran for {report.blind_s:,.0f} s without being seen (--blind {order.blind_s:g}s)"
    elif report.why == "lost":
        yield "the supervisor was killed: what the command left behind cannot be told any longer; use --user"
    if report.ended is not None and (report.ended.asked or report.ended.left):
        many = "1 process was" if report.ended.asked == 1 else f"{report.ended.asked} processes were"
        yield f"{many} ended, {report.ended.forced} by force"
    if report.ended is not None and report.ended.left:
        yield f"{len(report.ended.left)} processes could not be ended"
    if report.bundle is not None:
        yield f"evidence: {report.bundle}"
    if quiet and report.why == "command":
        return
    yield from (f"problem: {problem}" for problem in report.problems)
    if report.left and order.leave:
        yield f"{report.left} processes of the command go on, unwatched"
    if report.blind_s >= 1:
        what = "no source worked" if report.sightless else "a GPU was used and could not be seen"
        yield f"for {report.blind_s:,.0f} s {what} (seen for {report.watched_s:,.0f} s): no verdict on these"
    if report.why == "command" and report.verdict is not None and report.verdict.state in ("watching", "suspect"):
        yield f"{report.verdict.state}: {report.verdict.reasons[0] if report.verdict.reasons else ''}"
