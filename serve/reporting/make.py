"""From what somebody names, a case, a bundle or a period, to the bytes of a report."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import DataError, HashwardenError, UsageError
from hashwarden.serve.audit.verify import Wanted
from hashwarden.serve.reporting.basis import Basis
from hashwarden.serve.reporting.case_pictures import case_pictures
from hashwarden.serve.reporting.case_report import CaseReport, case_report
from hashwarden.serve.reporting.checks import bundle_check, commands, log_check, warnings
from hashwarden.serve.reporting.evidence import Evidence, read_evidence
from hashwarden.serve.reporting.folders import Place, locate
from hashwarden.serve.reporting.lay import clock
from hashwarden.serve.reporting.ledger import ledger_of
from hashwarden.serve.reporting.names import Names
from hashwarden.serve.reporting.page import page
from hashwarden.serve.reporting.pdf import pdf_of
from hashwarden.serve.reporting.period import Period
from hashwarden.serve.reporting.period_pictures import period_pictures
from hashwarden.serve.reporting.period_report import PeriodReport, period_report
from hashwarden.serve.reporting.story import Story, job_of_case, story_of, unknown_case
from hashwarden.serve.scan.text import printable, shorten

__all__ = ["FORMATS", "Sources", "as_case", "case_facts", "period_facts", "rendered"]

FORMATS: Final = ("html", "pdf", "json")

_CASE: Final = re.compile(r"HW-[A-Z0-9]{1,16}")


@final
@dataclass(frozen=True, slots=True)
class Sources:
    """What a report is made from.

    Attributes
    ----------
    folders : tuple of Path
        Agents' folders, or copies of their logs.
    bundle : Path or None
        In place of the one that is packed there.
    wanted : Wanted
        How to verify logs.
    redact : bool
        Show pseudonyms in place of names.
    """

    folders: tuple[Path, ...]
    bundle: Path | None = None
    wanted: Wanted = field(default_factory=Wanted)
    redact: bool = False


def as_case(text: str) -> str:
    """The case that a text names; empty if it names none."""
    upper = text.strip().upper()
    return upper if _CASE.fullmatch(upper) else ""


def case_facts(case: str, sources: Sources) -> CaseReport:
    """Gather a report on a case.

    Parameters
    ----------
    case : str
        Its id; empty for that of the bundle.
    sources : Sources
        With folders, a bundle, or both.

    Raises
    ------
    UsageError
        If nobody knows the case.
    DataError
        If neither a log nor a bundle can be read.
    """
    missing: list[str] = []
    evidence = read_evidence(sources.bundle) if sources.bundle else None
    case = case or (evidence.report.case if evidence else "")
    if evidence is not None and evidence.report.case != case:
        raise UsageError(f"a bundle of case {evidence.report.case}", f"one of {case}", "Name another bundle.",
                         where=str(sources.bundle))  # fmt: skip
    place, story = _story(case, evidence, sources, missing)
    if evidence is None and place is not None:
        evidence = _packed(place, case, story, missing)
    if story is None and place is not None and evidence is not None:
        story = _other_story(place, evidence, sources.wanted)
    if story is None and evidence is None:
        raise DataError("; ".join(missing) or "nothing to report from", "an audit log or a bundle",
                        "Name the agent's folder with --state-dir.")  # fmt: skip
    if story is not None and story.report.first_seq > 0:
        missing.append(f"The audit log begins with record {story.report.first_seq:,}: what was written before that is "
                       "not in it any more.")  # fmt: skip
    names = Names(redact=sources.redact)
    basis = Basis(case, story, evidence, names)
    logs = [log_check(story.report, sources.wanted, story.node, story.last_unix_s, names)] if story else []
    bundle = bundle_check(evidence, story, names) if evidence else None
    typed = commands(case, _typed([place] if place and story else [], sources), bundle.file if bundle else None)
    return case_report(basis, logs, bundle, missing, typed, warnings(logs, bundle))


def _story(
    case: str, evidence: Evidence | None, sources: Sources, missing: list[str]
) -> tuple[Place | None, Story | None]:
    """The log that knows the case, and what it says."""
    known: dict[str, None] = {}
    places = locate(sources.folders) if sources.folders else []
    faults: list[str] = []
    for place in places:
        try:
            found = job_of_case(place, case, sources.wanted)
            if found.found:
                return place, story_of(place, case, found.job, sources.wanted)
            known |= found.cases
        except DataError as error:
            faults.append(error.got if sources.redact else f"{error.where or place.audit}: {error.got}")
        known |= dict.fromkeys(place.bundles())
    missing += [f"The audit log could not be read: {words}." for words in faults]
    alone = places[0] if len(places) == 1 and evidence is not None else None
    with_bundle = next((place for place in places if place.bundle(case) is not None), alone)
    if evidence is None and with_bundle is None and not faults:
        raise unknown_case(case, [*known], ", ".join(str(folder) for folder in sources.folders))
    if places and not faults:
        missing.append("No audit log that was given knows this case: its records may have been removed by age.")
    return with_bundle, None


def _other_story(place: Place, evidence: Evidence, wanted: Wanted) -> Story | None:
    """What a log that does not know the case says of its job, and whether it is what was written; None without one."""
    with suppress(DataError):
        return story_of(place, evidence.report.case, str(evidence.job.get("key", "")), wanted)
    return None


def _packed(place: Place, case: str, story: Story | None, missing: list[str]) -> Evidence | None:
    """The bundle that the agent packed, if it is still there."""
    path = place.bundle(case)
    if path is not None:
        try:
            return read_evidence(path)
        except HashwardenError as error:
            missing.append(f"The evidence bundle could not be read: {error.got}. This report is from the log alone.")
            return None
    bodies = [record.body for record in story.records] if story else []
    removed = [body for body in bodies if body.get("event") == "bundle removed"]
    words = shorten(printable(str(removed[-1].get("words"))), 100) if removed else ""
    why = f" It was removed {words}, by the agent's rule." if removed else ""
    packed = any(body.get("event") == "bundle" for body in bodies)
    if packed and not removed:
        why = " The log says that one was packed, and not that it was removed."
    missing.append(
        f"There is no evidence bundle of this case{' any more' if packed else ''}.{why} This report is from the log "
        "alone: raw samples, launches and machine code are not in it."
    )  # fmt: skip
    return None


def period_facts(period: Period, sources: Sources) -> PeriodReport:
    """Gather a report on a period.

    Raises
    ------
    DataError
        If a log cannot be read, is given twice, or none holds a record of the period.
    """
    places, names = locate(sources.folders), Names(redact=sources.redact)
    ledgers = [ledger_of(place, period.span, sources.wanted) for place in places]
    ids = [one.report.log for one in ledgers if one.report.log]
    if len(set(ids)) < len(ids):
        raise DataError("two copies of one log", "each log once", "Leave one out: its hours would count twice.")
    if not any(one.tally.first for one in ledgers):
        first, last = min(one.first_unix_s for one in ledgers), max(one.last_unix_s for one in ledgers)
        raise DataError(
            f"no record of {period.words}", f"a period between {_date(first)} and {_date(last)}",
            "Choose another; records before that may have been removed by age.",
        )  # fmt: skip
    for one in ledgers:
        for job in one.jobs.values():
            names.learn(job)
        for entry in one.cases.values():
            names.learn({"key": entry.job, "user": entry.user})
    logs = [log_check(one.report, sources.wanted, one.node, one.last_unix_s, names) for one in ledgers]
    missing = [
        f"The log of {names.text(one.node)} begins on {_date(one.first_unix_s)}, within the period: what was before is "
        "not in it." for one in ledgers if one.report.first_seq > 0 and one.first_unix_s > period.span.from_unix_s
    ]  # fmt: skip
    typed = commands("", _typed(places, sources), None)
    return period_report(period.words, period.span, ledgers, logs, names, missing, typed, warnings(logs))


def rendered(report: CaseReport | PeriodReport, form: str) -> bytes:
    """A report as bytes.

    Parameters
    ----------
    report : CaseReport or PeriodReport
    form : str
        One of `FORMATS`.

    Raises
    ------
    MissingExtraError
        If what the format needs is not installed.
    """
    if form == "json":
        return json.dumps(_known(asdict(report)), indent=1, allow_nan=False).encode() + b"\n"
    pictures = case_pictures(report) if isinstance(report, CaseReport) else period_pictures(report)
    html = page(report, pictures, paper=form == "pdf")
    return pdf_of(html) if form == "pdf" else html.encode("utf-8", "backslashreplace")


def _known(value: Any) -> Any:  # noqa: ANN401  anything that JSON has
    """The same with null for numbers that are none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _known(inner) for name, inner in value.items()}
    return [_known(inner) for inner in value] if isinstance(value, list | tuple) else value


def _typed(places: Sequence[Place], sources: Sources) -> list[Path]:
    """Folders as the commands have them; where one lies may tell who somebody is."""
    return [Path(place.audit.name) if sources.redact else place.audit for place in places]


def _date(unix_s: float) -> str:
    return clock(unix_s, "%Y-%m-%d %H:%M")
