"""How well it is watched, in words: an agent that is dead, hangs or is blind must never look calm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, final

from hashwarden.serve.top.feed import Node
from hashwarden.serve.top.rows import mapping, number, sequence
from hashwarden.serve.top.words import Look, ago, clean

__all__ = ["STALE_S", "Health", "Level", "health_of", "is_stale", "title_of"]

STALE_S: Final = 30.0
"""What is older is not shown as if it were so now."""

_NAMED: Final = 3


class Level(IntEnum):
    """How loud it has to be."""

    CALM = 0
    WARNING = 1
    ALARM = 2


@final
@dataclass(frozen=True, slots=True)
class Health:
    """What stands in the header of one node."""

    level: Level
    words: str


def is_stale(node: Node, now_s: float) -> bool:
    """Whether what is known of it is not of now."""
    return node.error is not None or node.hangs or now_s - node.read_s > STALE_S


def health_of(node: Node, now_s: float, look: Look) -> Health:  # noqa: PLR0911
    """The worst first, in words."""
    age = now_s - node.read_s
    status = mapping(node.pages.get("status"))
    if node.error is not None:
        since = f"for {ago(age)}" if math.isfinite(age) else "at all"
        old = "; what stands below is OLD" if node.pages else ""
        return Health(Level.ALARM, clean(f"NO ANSWER {since}{old}: {node.error}", look))
    if node.hangs:
        return Health(Level.ALARM, "THE AGENT HANGS: it answers, and watches nothing; what stands below is OLD")
    if age > STALE_S:
        return Health(Level.ALARM, f"OLD: read {ago(age)} ago")
    ready = mapping(status.get("ready"))
    if ready.get("ready") is not True:
        return Health(Level.ALARM, clean(f"BLIND: {_blind(ready.get('blind')) or 'it is not ready'}", look))
    sources = {str(mapping(one).get("name")) for one in sequence(status.get("sources"))}
    if number(status.get("gpus")) == 0 and sources == {"pushed"}:  # a service has those that clients push samples of
        return Health(Level.WARNING, "ready; nobody pushes samples: no job is watched here")
    if not number(status.get("gpus")) > 0:
        return Health(Level.ALARM, "NO GPU IS SEEN: nothing is watched here")
    jobs = [mapping(one) for one in sequence(mapping(node.pages.get("jobs")).get("jobs"))]
    if jobs and all(one.get("blind") for one in jobs):
        return Health(Level.ALARM, clean(f"BLIND: no job can be seen; {_blind(status.get('blind'))}", look))
    return _partly(status, look)


def _blind(found: object) -> str:
    """By kind: the first subject, what is said of it, how many others there are."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for one in map(mapping, sequence(found)):
        kinds.setdefault(str(one.get("kind", "?")), []).append(one)
    words = []
    for kind, every in kinds.items():
        first = every[0]
        subject = f"{first.get('subject') or 'the node'}" + (f" and {len(every) - 1} more" if len(every) > 1 else "")
        words.append(f"{kind}: {subject}" + (f" ({first['detail']})" if first.get("detail") else ""))
    return "; ".join(words)


def _partly(status: Mapping[str, Any], look: Look) -> Health:
    """What is wrong beside blindness of the whole."""
    told = []
    if sequence(status.get("blind")):
        told.append(f"CANNOT SEE {_blind(status['blind'])}")
    down = [str(one.get("name")) for one in map(mapping, sequence(status.get("sources"))) if one.get("ok") is not True]
    if down:
        told.append(f"sources fail: {', '.join(down[:_NAMED])}")
    waiting = sequence(status.get("actions_waiting"))
    if waiting:
        told.append(f"{len(waiting)} actions wait for a scheduler: {mapping(waiting[0]).get('why') or 'not asked yet'}")
    if status.get("model_outdated"):
        told.append(f"the model is outdated: {status['model_outdated']}")
    if sequence(status.get("damaged")):
        told.append(f"{len(status['damaged'])} damaged files")
    if told:
        return Health(Level.WARNING, clean("; ".join(told), look))
    sources = len(sequence(status.get("sources")))
    return Health(Level.CALM, f"ready: {sources} {'source answers' if sources == 1 else 'sources answer'}, "
                  "every job can be seen")  # fmt: skip


def title_of(node: Node, now_s: float, look: Look) -> str:
    """Who it is, what it goes by, how much there is, how old that is."""
    status = mapping(node.pages.get("status"))
    if not status:
        return clean(node.name, look, 80)
    model, policy = mapping(status.get("model")), mapping(status.get("policy"))
    cases = number(status.get("cases"))
    parts = [
        clean(node.name, look, 40),
        f"model {clean(model.get('name') or '?', look, 16)} {clean(model.get('version') or '', look, 16)}",
        f"policy {clean(policy.get('mode') or '?', look, 16)}",
        f"{_count(status.get('gpus'), 'GPU')}, {_count(status.get('jobs'), 'job')}, {_count(cases, 'case')}",
        f"{ago(now_s - node.read_s)} old",
    ]
    return "  ".join(parts)


def _count(value: object, name: str) -> str:
    known = number(value)
    return f"{known:.0f} {name}{'' if known == 1 else 's'}" if math.isfinite(known) else f"? {name}s"
