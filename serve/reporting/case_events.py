"""The time line of a case: each record in words that need no manual."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final

from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.reporting.basis import Basis, Said
from hashwarden.serve.reporting.facts import Event
from hashwarden.serve.reporting.lay import ACTIONS, RESULTS, STATES, blind_words
from hashwarden.serve.reporting.names import Names
from hashwarden.serve.reporting.story import Story, Taken
from hashwarden.serve.schedulers.scheduler import HARMLESS

__all__ = ["case_events", "node_event"]

_WEIGHT: Final = {"confirmed": "bad", "suspect": "warn", "watching": "warn", "clear": "good"}

_CHANGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "opened": "Case opened", "standing": "Case changed", "asked": "A step was asked for",
        "told": "A step was only told (dry run)", "waiting": "The next step waits", "done": "A step was done",
        "refused": "A step was refused", "again": "A step is to be tried again", "closed": "Case closed",
        "forgiven": "Case counted no longer",
    }
)  # fmt: skip


def case_events(basis: Basis) -> list[Event]:
    """All that is known to have happened, in order of time; of the node only what fell into the life of the case."""
    found = list(_verdicts(basis.said, basis.names))
    story = basis.story
    if story is None:
        found += _history(basis)
    else:
        for record in story.records:
            if record.kind != EventKind.VERDICT and (event := _event(record, basis.names)) is not None:
                found.append(event)
        found += _around(story, found, basis.names)
    if any(event.record is None for event in found):
        return sorted(found, key=lambda event: event.unix_s)
    return sorted(found, key=lambda event: event.record or 0)


def _verdicts(said: list[Said], names: Names) -> Iterator[Event]:
    many = len({one.gpu for one in said}) > 1
    for one in said:
        state, gpu = one.verdict.state, f"GPU {names.text(one.gpu)}: " if many else ""
        blind = f"; at this time {one.verdict.abstains_for}" if one.verdict.abstains_for and state != "abstain" else ""
        words = f"{gpu}{STATES[state]}{blind}"
        why = "; ".join(names.text(reason) for reason in one.verdict.reasons)
        yield Event(one.unix_s, "verdict", words[:1].upper() + words[1:], why, one.record, _WEIGHT.get(state, ""))


def _around(story: Story, found: list[Event], names: Names) -> Iterator[Event]:
    """What happened to the node meanwhile."""
    times = [event.unix_s for event in found]
    for record in story.node_records:
        if times and min(times) <= record.unix_s <= max(times) and (event := node_event(record, names)) is not None:
            yield event


def _event(record: Taken, names: Names) -> Event | None:
    if record.kind == EventKind.CASE:
        return _case(record, names)
    if record.kind == EventKind.APPROVAL:
        return _approval(record, names)
    if record.kind in {EventKind.INTENT, EventKind.ACTION}:
        return _action(record, names)
    return node_event(record, names)


def _case(record: Taken, names: Names) -> Event | None:
    body, change = record.body, str(record.body.get("change", ""))
    if body.get("event") == "bundle":
        name = PurePosixPath(str(body.get("file", ""))).name
        words = f"Evidence packed at standing “{names.text(body.get('standing', ''))}”"
        return Event(record.unix_s, "evidence", words, f"{names.text(name)}, SHA-256 {body.get('sha256')}", record.seq)
    if body.get("event") == "bundle removed":
        why = names.text(body.get("words", ""))
        return Event(record.unix_s, "evidence", "The packed evidence was removed", why, record.seq, "warn")
    if change in {"done", "refused", "again"}:
        return None  # the action's own record says it
    if change in {"asked", "told"} and body.get("kind"):
        what = ACTIONS.get(str(body["kind"]), names.text(body["kind"]))
        words = f"To be asked for: {what}" if change == "asked" else f"Would be asked for, were it no dry run: {what}"
        return Event(record.unix_s, "case", words, "", record.seq)
    weight = {"closed": "good", "refused": "warn", "waiting": "warn"}.get(change, "")
    said = names.text(body.get("words", "")).removeprefix(f"{change}, ").removeprefix(f"{change}: ")
    rule = f"rule “{names.text(body['rule'])}” of the policy" if body.get("rule") and change == "opened" else ""
    return Event(record.unix_s, "case", f"{_CHANGES.get(change, names.text(change))}: {said}", rule, record.seq, weight)


def _approval(record: Taken, names: Names) -> Event:
    body = record.body
    who, what = names.person(str(body.get("by", ""))), str(body.get("what", ""))
    weight = "good" if what == "rejected" else "warn"
    words = f"{names.text(what).capitalize()} by {who or 'nobody known'}"
    return Event(record.unix_s, "approval", words, f"Reason given: {names.text(body.get('reason', ''))}", record.seq,
                 weight)  # fmt: skip


def _action(record: Taken, names: Names) -> Event:
    body = record.body
    what = ACTIONS.get(str(body.get("kind", "")), names.text(body.get("kind", "")))
    if record.kind == EventKind.INTENT:
        return Event(record.unix_s, "action", f"About to ask for {what}", names.text(body.get("reason", "")),
                     record.seq)  # fmt: skip
    result = RESULTS.get(str(body.get("result", "")), names.text(body.get("result", "")))
    weight = "bad" if body.get("result") == "done" and str(body.get("kind")) not in HARMLESS else ""
    words = f"{what[:1].upper()}{what[1:]}: {result}"
    return Event(record.unix_s, "action", words, names.text(body.get("detail", "")), record.seq, weight)


def node_event(record: Taken, names: Names) -> Event | None:
    """What happened to a node."""
    make = _NODE.get(record.kind)
    return make(record, record.body, names) if make else None


def _blind(record: Taken, body: Mapping[str, Any], names: Names) -> Event:
    what = blind_words(names.text(body.get("kind", "")))
    began, whom = bool(body.get("began")), str(body.get("subject", ""))
    where = f" ({names.text(whom)})" if whom and ":" not in whom else "" if whom else " (all of the node)"
    words = f"Blind{where}: {what}" if began else f"Seen again{where}: no longer “{what}”"
    return Event(record.unix_s, "blind", words, names.text(body.get("detail", "")), record.seq, "warn" if began else "")


def _start(record: Taken, body: Mapping[str, Any], names: Names) -> Event:
    words = f"The agent began, version {names.text(body.get('version', '?'))}"
    test = names.text(body.get("self_test", ""))
    failed = test not in {"", "passed"}
    return Event(record.unix_s, "agent", words, f"self-test {test}" if test else "", record.seq,
                 "warn" if failed else "")  # fmt: skip


def _stop(record: Taken, body: Mapping[str, Any], names: Names) -> Event:
    return Event(record.unix_s, "agent", "The agent ended", names.text(body.get("reason", "")), record.seq)


def _policy(record: Taken, body: Mapping[str, Any], names: Names) -> Event:
    after = names.text(body.get("after") or body.get("sha256") or "")
    return Event(record.unix_s, "policy", f"Another policy came into force ({names.text(body.get('mode', '?'))})",
                 f"SHA-256 {after}", record.seq)  # fmt: skip


def _model(record: Taken, body: Mapping[str, Any], names: Names) -> Event:
    name = f"{names.text(body.get('name', ''))} {names.text(body.get('version', ''))}"
    return Event(record.unix_s, "policy", f"Another model came into service: {name}",
                 f"SHA-256 {names.text(body.get('sha256', ''))}", record.seq)  # fmt: skip


_NODE: Final[Mapping[str, Callable[[Taken, Mapping[str, Any], Names], Event]]] = MappingProxyType(
    {
        EventKind.BLIND: _blind, EventKind.START: _start, EventKind.STOP: _stop, EventKind.POLICY: _policy,
        EventKind.MODEL: _model,
    }
)  # fmt: skip


def _history(basis: Basis) -> Iterator[Event]:
    """What the bundle's copy of the case says; it ends when the bundle was packed."""
    lines = basis.evidence.case.get("history") if basis.evidence else None
    for line in lines if isinstance(lines, list) else []:
        when, _, words = str(line).partition(" ")
        if when.isdigit():
            said = basis.names.text(words)
            yield Event(float(when), "case", said[:1].upper() + said[1:])
