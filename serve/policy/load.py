"""Reading ``policy.toml``: errors name the line, and the key that was probably meant."""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hashwarden.errors import UsageError
from hashwarden.serve.policy.schema import Agents, Exemption, Ladder, Policy, Quota, Rule
from hashwarden.serve.policy.selectors import Part

__all__ = ["LARGEST", "load_policy", "read_policy"]

LARGEST: Final = 1 << 20
"""Bytes of a policy at most."""

_HEADER: Final = re.compile(r"\s*\[(\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY: Final = re.compile(r"""\s*["']?([A-Za-z0-9_./-]+)["']?\s*=""")

Place = tuple[str | int, ...]


def load_policy(path: Path, *, own: bool = False) -> Policy:
    """Read a policy.

    Parameters
    ----------
    path : Path
    own : bool
        Refuse a file that others than its reader and root can write: a policy that others write is an act of theirs.

    Raises
    ------
    UsageError
        If it cannot be read, or says what cannot be meant.
    """
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"the policy cannot be read ({error.strerror})", "a readable file",
                         "Name another, or mend its mode.", where=str(path)) from error  # fmt: skip
    if own and (state.st_uid not in {0, os.geteuid()} or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise UsageError(f"others can write to it (user {state.st_uid}, mode {stat.S_IMODE(state.st_mode):o})",
                         "a file of one's own, or of root's, that nobody else can write to",
                         "Mend its owner and mode.", where=str(path))  # fmt: skip
    if len(content) > LARGEST:
        raise UsageError(f"a policy of more than {LARGEST} bytes", "a smaller one", "Use patterns.", where=str(path))
    return read_policy(content, str(path))


def read_policy(content: bytes, where: str = "policy") -> Policy:
    """Read a policy from the bytes of its file; errors as `load_policy`."""
    try:
        text = content.decode()
        document = tomllib.loads(text)
    except RecursionError as error:
        got, remedy = "brackets in brackets, hundreds deep", "A policy is flat."
        raise UsageError(got, "a TOML file", remedy, where=where) from error
    except ValueError as error:
        remedy = "Mend the line; dates need a time zone, text needs quotes."
        raise UsageError(f"no TOML: {error}", "a TOML file", remedy, where=where) from error
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        raise _told(error, text, document, where) from error


def _told(error: ValidationError, text: str, document: Mapping[str, Any], where: str) -> UsageError:
    """The first thing that is wrong, with its line."""
    found = error.errors()
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    place = _from_ladder(first["loc"], document)
    line = _line(place, _lines(text))
    at = f"{where}:{line}" if line else where
    name = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        known = sorted(_known(place))
        close = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
        remedy = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(known)}."
        return UsageError(f"an unknown key {name!r}", "a key that policies have", remedy, where=at)
    return UsageError(f"{name or 'the policy'}: {_words(first)}", "a policy that can be meant",
                      "'hashwarden policy schema' has all keys; docs/policy.md says what they mean.",
                      where=at)  # fmt: skip


def _words(error: ErrorDetails) -> str:
    if error["type"] == "timezone_aware":
        return "a date without time zone; write 2026-12-31T00:00:00Z or +01:00"
    words = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    return f"{words} (got {given!r})" if isinstance(given, str | int | float | bool) else words


def _from_ladder(place: Place, document: Mapping[str, Any]) -> Place:
    """What a rule inherited stands under ``[ladder]``."""
    if len(place) == 3 and place[0] in {"rules", "quotas"} and isinstance(place[1], int):
        entry = document[str(place[0])][place[1]]
        if isinstance(entry, dict) and place[2] not in entry and place[2] in document.get("ladder", {}):
            return ("ladder", place[2])
    return place if place and place[0] in document else ("ladder", *place) if _in_ladder(place, document) else place


def _in_ladder(place: Place, document: Mapping[str, Any]) -> bool:
    return len(place) == 1 and isinstance(document.get("ladder"), dict) and place[0] in document["ladder"]


_PARTS: Final[tuple[tuple[tuple[str, ...], type[Part]], ...]] = (
    (("rules",), Rule),
    (("quotas",), Quota),
    (("exemptions",), Exemption),
    (("agents", "approved"), Exemption),
    (("agents",), Agents),
    (("ladder",), Ladder),
    ((), Policy),
)


def _known(place: Place) -> Sequence[str]:
    """The keys that there are where this one stands."""
    folders = tuple(part for part in place[:-1] if isinstance(part, str))
    return list(next(part for names, part in _PARTS if names == folders[: len(names)]).model_fields)


def _lines(text: str) -> dict[Place, int]:
    """Line numbers of keys and tables, as far as a glance at each line tells."""
    found: dict[Place, int] = {}
    counts: Counter[str] = Counter()
    table: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = tuple(part.strip().strip("\"'") for part in header[2].split("."))
            if header[1]:
                name = header[2]
                table, counts[name] = (*table, counts[name]), counts[name] + 1
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *key[1].split(".")), number)
    return found


def _line(place: Place, lines: Mapping[Place, int]) -> int:
    """The line of a key, else of the nearest table around it, 0 if none."""
    for length in range(len(place), 0, -1):
        if place[:length] in lines:
            return lines[place[:length]]
    return 0
