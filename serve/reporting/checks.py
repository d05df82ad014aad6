"""Whether what a report rests on is what was written: told as it is, and how anybody can check again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.findings import Report
from hashwarden.serve.audit.verify import Wanted
from hashwarden.serve.reporting.evidence import Evidence
from hashwarden.serve.reporting.facts import BundleCheck, LogCheck, Row
from hashwarden.serve.reporting.lay import plural
from hashwarden.serve.reporting.names import Names
from hashwarden.serve.reporting.story import Story

__all__ = ["bundle_check", "commands", "log_check", "warnings"]


def log_check(report: Report, wanted: Wanted, node: str, last_unix_s: float, names: Names) -> LogCheck:
    """What came of verifying a log."""
    return LogCheck(
        node=names.text(node), log=names.text(report.log), ok=report.ok, records=report.records,
        first_seq=report.first_seq, last_seq=report.last_seq, signed_seq=report.signed_seq,
        anchored_seq=report.anchored_seq, problem_count=report.problem_count, head=report.head,
        keys=tuple(names.text(key) for key in report.keys), pinned=bool(wanted.keys), anchored=bool(wanted.anchors),
        problems=tuple(names.text(problem) for problem in report.problems),
        notes=tuple(names.text(note) for note in report.notes), last_unix_s=last_unix_s,
    )  # fmt: skip


def bundle_check(evidence: Evidence, story: Story | None, names: Names) -> BundleCheck:
    """What came of verifying a bundle, and of looking for its hash in the log."""
    report, known = evidence.report, "unasked"
    problems = [*report.problems, *evidence.faults]
    if story is not None:
        packed = [one.body for one in story.of(EventKind.CASE) if one.body.get("event") == "bundle"]
        hashes = [str(body.get("sha256")) for body in packed]
        none = "before" if not packed and story.report.first_seq > 0 else "no"
        known = "newest" if hashes[-1:] == [report.sha256] else "older" if report.sha256 in hashes else none
    left = evidence.manifest.get("left_out")
    return BundleCheck(
        file=names.text(evidence.name), sha256=report.sha256, made_by=names.text(evidence.manifest.get("made_by", "")),
        ok=report.ok, known=known, problems=tuple(names.text(problem) for problem in problems),
        files=tuple(Row(names.text(name), f"{size:,} bytes") for name, size in report.files.items()),
        left_out=tuple(Row(names.text(name), f"{count}") for name, count in
                       (left.items() if isinstance(left, dict) else ())),
    )  # fmt: skip


def warnings(logs: Sequence[LogCheck], bundle: BundleCheck | None = None) -> list[Row]:
    """What a reader must know before anything else; the name of each row is ``bad`` or ``warn``."""
    found = []
    for one in logs:
        of = f" of {one.node}" if one.node else ""
        if not one.ok:
            words = (
                f"The audit log{of} does not verify: {plural(one.problem_count, 'problem')}. The first: "
                f"{one.problems[0]}. Somebody or something changed it after it was written: what follows may be false."
            )
            found.append(Row("bad", words))
    if any(one.ok and not one.pinned for one in logs):
        subject = "The audit log is" if len(logs) == 1 else "The audit logs are"
        found.append(Row("warn", f"{subject} consistent, but no public key from elsewhere was given: a log that was "
                         "written anew with another key would look the same."))  # fmt: skip
    if bundle is not None and not bundle.ok:
        found.append(Row("bad", f"The evidence bundle is not as it was packed: {'; '.join(bundle.problems[:3])}."))
    if bundle is not None and bundle.known == "no":
        words = (
            "The audit log knows no bundle of this case with the hash of this one: it is not what the agent packed, "
            "its record was taken out, or this is the log of another node."
        )
        found.append(Row("bad", words))
    if bundle is not None and bundle.known == "before":
        found.append(Row("warn", "The audit log begins after this bundle was packed, so that its hash cannot be looked "
                         "up. Files of the log that were copied away before (--archive) would tell."))  # fmt: skip
    if bundle is not None and bundle.known == "unasked":
        found.append(Row("warn", "This report was made without the audit log: who did what is not in it, and nobody's "
                         "signature covers the bundle."))  # fmt: skip
    return found


def commands(case: str, logs: Sequence[Path], bundle: str | None) -> list[str]:
    """What to type to check all of it again."""
    found = [f"hashwarden audit verify {shlex.quote(str(log))} --public-key audit.pub --checkpoint anchor.jsonl"
             for log in logs]  # fmt: skip
    if case:
        found += [f"hashwarden audit show {shlex.quote(str(log))} --case {case}" for log in logs]
    if bundle:
        log = f" --log {shlex.quote(str(logs[0]))}" if logs else ""
        found.append(f"hashwarden audit bundle verify {shlex.quote(bundle)}{log}")
        found.append(f"tar -xf {shlex.quote(bundle)} trace.parquet && hashwarden replay trace.parquet")
    return found
