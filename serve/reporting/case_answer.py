"""The first paragraph of a case report: what happened, to whom, when, how sure, what was done. And how to object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.policy.case import EVIDENCE
from hashwarden.serve.reporting.basis import Basis, Said
from hashwarden.serve.reporting.lay import ACTIONS, RESULTS, date, duration, joined, one_in, percent, plural
from hashwarden.serve.reporting.story import Taken
from hashwarden.serve.schedulers.scheduler import HARMLESS

__all__ = ["answer", "appeal", "done", "headline", "owner"]

_HEADS: Final = {
    "confirmed": "Confirmed as mining", "suspect": "Suspected of mining", "quota": "Over a quota of GPU-hours",
    "other": "Work that a rule names", "none": "Nothing held against it",
}  # fmt: skip


def headline(basis: Basis) -> tuple[str, str]:
    """The conclusion in a few words, and how to show it."""
    worst = basis.look.worst
    words = _HEADS.get(worst, basis.names.text(worst))
    if _rejected(basis):
        return f"{words}, and rejected by a person", "good"
    return words, {"confirmed": "bad", "suspect": "warn", "quota": "warn"}.get(worst, "")


def owner(basis: Basis) -> str:
    """Whose job it is, in words."""
    job, names = basis.job, basis.names
    user, account, space = (str(job.get(name) or "") for name in ("user", "account", "namespace"))
    who = f"user {names.person(user)}" if user else "nobody known"
    if account:
        who += f" (account {names.account(account)})"
    return f"namespace {names.namespace(space)}, {who}" if space else who


def answer(basis: Basis) -> str:
    """One paragraph."""
    return " ".join([*_what(basis), *_certainty(basis), *_short(basis), _standing(basis)])


def _what(basis: Basis) -> Iterator[str]:
    job, look, one = basis.job, basis.look, basis.decisive
    gpus = len(basis.gpus)
    node = f"node {basis.names.text(basis.story.node)}" if basis.story and basis.story.node else "a node not named"
    name = basis.names.job(str(job.get("key") or (basis.story.job if basis.story else "") or "not known"))
    which = f"the job {name} of {owner(basis)}, on {plural(gpus, 'GPU') + ' of ' if gpus else ''}{node}"
    if look.origin not in {"", EVIDENCE}:
        quota = basis.names.text(look.origin.partition(":")[2] or look.origin)
        yield f"On {date(look.opened_unix_s)}, {which}, used more GPU-hours than the quota “{quota}” allows."
    elif one is None and look.worst != "none":
        yield (
            f"The case against {which}, came to “{basis.names.text(look.worst)}”; the verdict that it rests on is not "
            "in what this report was made from."
        )
    elif one is None or one.verdict.state in {"abstain", "clear"}:
        yield f"No evidence of mining is recorded against {which}."
    else:
        yield from _judged(which, one, basis)


def _judged(which: str, one: Said, basis: Basis) -> Iterator[str]:
    verdict, names = one.verdict, basis.names
    after = verdict.evidence.confirmed_s or verdict.evidence.watched_s
    said = {"confirmed": "came to the conclusion that", "suspect": "came to suspect that"}.get(
        verdict.state, "saw weak evidence that"
    )  # fmt: skip
    family = ""
    if verdict.family:
        family = f" (most likely of the family “{names.text(verdict.family)}”, {percent(verdict.family_probability)})"
    when = f"On {date(one.unix_s)}" if one.unix_s else "At a time that the bundle does not tell"
    yield (
        f"{when}, hashwarden, a program that watches what the GPUs of a computing centre compute, {said} {which}, "
        f"was mining cryptocurrency{family}. It had watched the job for {duration(after)} by then."
    )


def _certainty(basis: Basis) -> Iterator[str]:
    one = basis.decisive
    if one is None or basis.look.origin not in {"", EVIDENCE} or one.verdict.state in {"abstain", "clear"}:
        return
    alpha = one.verdict.alpha
    if one.verdict.state == "confirmed":
        yield (
            f"Its threshold is set so that at most {one_in(alpha)} honest jobs ever shows evidence so strong; the "
            "conditions of that, and what speaks against the conclusion, are below."
        )
    else:
        yield "That is less than the program calls confirmed, and no ground to act on."


def _short(basis: Basis) -> list[str]:
    """What was done, as far as the first paragraph goes: to the job, and the last word of a person."""
    if basis.story is None or not basis.told:
        return done(basis)
    acts = list(_acts(basis, harmless=False)) if _touched(basis) else [f"Nothing was done to the job{_why_not(basis)}."]
    return [*list(_approvals(basis))[-1:], *acts[-1:]]


def done(basis: Basis) -> list[str]:
    """What was done about it, and by whom, a sentence each."""
    story = basis.story
    if story is None:
        return ["What was done about it is in the audit log, which was not given."]
    if not basis.told:
        return ["What was done about it is not in the audit log that was given, or not any more."]
    found = [*_approvals(basis), *_acts(basis)]
    if any(record.body.get("change") == "told" for record in story.of(EventKind.CASE)):
        found.append("The policy was a dry run: it says what it would do, and does nothing.")
    if not _touched(basis):
        found.insert(0, f"Nothing was done to the job{_why_not(basis)}.")
    return found


def _touched(basis: Basis) -> bool:
    """Whether anything was done to the job that it could feel."""
    return any(one.body.get("result") == "done" and str(one.body.get("kind")) not in HARMLESS for one in _asked(basis))


def _asked(basis: Basis) -> list[Taken]:
    return basis.story.of(EventKind.ACTION) if basis.story else []


def _why_not(basis: Basis) -> str:
    look, asked = basis.look, [one for one in _asked(basis) if str(one.body.get("kind")) not in HARMLESS]
    if asked:
        body, names = asked[-1].body, basis.names
        what = ACTIONS.get(str(body.get("kind", "")), names.text(body.get("kind", "")))
        detail = f" ({names.text(body['detail'])})" if body.get("detail") else ""
        return f": {what} was asked for, and was {RESULTS.get(str(body.get('result')), 'not done')}{detail}"
    if look.closed_unix_s is None and look.waiting:
        return f": the next step waits for {basis.names.text(look.waiting)}"
    return "" if look.rule else ": no rule of the policy asks for anything, so that the case is only recorded"


def _approvals(basis: Basis) -> Iterator[str]:
    for record in basis.story.of(EventKind.APPROVAL) if basis.story else ():
        body, names = record.body, basis.names
        yield (
            f"{names.person(str(body.get('by', ''))) or 'Somebody'} {names.text(body.get('what', ''))} the case on "
            f"{date(record.unix_s)}: “{names.text(body.get('reason', ''))}”."
        )


def _acts(basis: Basis, *, harmless: bool = True) -> Iterator[str]:
    for record in _asked(basis):
        kind, result = str(record.body.get("kind", "")), str(record.body.get("result", ""))
        if not harmless and (kind in HARMLESS or result != "done"):
            continue
        what = ACTIONS.get(kind, basis.names.text(kind))
        words = RESULTS.get(result, basis.names.text(result))
        detail = f" ({basis.names.text(record.body['detail'])})" if record.body.get("detail") else ""
        yield f"{what[:1].upper()}{what[1:]} was asked for; on {date(record.unix_s)} it was {words}{detail}."


def _standing(basis: Basis) -> str:
    look, names = basis.look, basis.names
    if look.closed_unix_s is not None:
        return f"The case was closed on {date(look.closed_unix_s)}: {names.text(look.closed_for)}."
    when = basis.as_of_unix_s
    return f"The case was open when this was written down ({date(when)})." if when else "The case was open."


def _rejected(basis: Basis) -> bool:
    said = basis.story.of(EventKind.APPROVAL) if basis.story else []
    return bool(said) and said[-1].body.get("what") == "rejected"


def appeal(basis: Basis) -> list[str]:
    """How whose job it is can object."""
    case, one = basis.case, basis.decisive
    ask = joined(
        ["which program ran, and where it came from", "what its GPU work is for",
         "its output or logs from that time", "which password audit, proof or checksum work it does, if it does"],
    )  # fmt: skip
    found = [
        f"Whoever owns the job may object to the operator of the cluster, naming the case {case}. Of use are: {ask}.",
        f"An operator who agrees closes the case with “hashwarden reject {case} --reason …”: from then on the job is "
        "left alone, what was held is let go, and the case counts no longer against its owner. That is written into "
        "the audit log as well.",
        "Whoever doubts the measurement may ask for the evidence bundle: it holds the raw samples, and anybody can "
        "have them judged again with “hashwarden replay”, and check with the commands below that they are what was "
        "packed.",
    ]
    if one is not None and one.verdict.state == "confirmed":
        found.append("A conclusion of a program is not a finding of fact: a person decides.")
    return found
