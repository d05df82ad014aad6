"""What callers hand in, made fit for a record: plain JSON, printable, bounded, without what looks like a secret."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, final

from pydantic import BaseModel

from hashwarden.serve.scan.text import printable, shorten

__all__ = ["LEFT_OUT", "MOST_BYTES", "canonical", "clean"]

MOST_BYTES: Final = 1 << 20
"""Of a record; a longer one is cut, and says so."""

LEFT_OUT: Final = "(left out)"
"""Stands for a secret, and for what is past a limit."""

_MOST_BODY: Final = MOST_BYTES - 4096
_MOST_TEXT, _MOST_DEPTH = 8192, 12
_NODE_BYTES: Final = 8
_SHORT, _MOST_KEPT = 256, 64
_SECRET: Final = re.compile(
    r"(^|[_\-. ])(env|environ|environment|password|passwd|passphrase|secret|secrets|token|credential|credentials|"
    r"authorization|cookie|api_?key|private_?key)$",
    re.IGNORECASE,
)


def canonical(value: object) -> bytes:
    """One way to write a value: ASCII, keys in order, no spaces; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def clean(body: Mapping[str, Any], most: int = _MOST_BODY) -> bytes:
    """The canonical JSON of a body.

    Parameters
    ----------
    body : mapping
        Anything; what JSON has no word for becomes text or null (numbers that are not finite), models and dataclasses
        become objects, what is of another kind is named by its type only, for its text might hold secrets.

    most : int
        Bytes; by default what a record holds.

    Returns
    -------
    bytes
        ASCII, no longer than that. Values under names like ``password`` or ``environ`` are
        left out. If the whole is too long, short values of the top stay, and ``cut`` says how long it was.
    """
    data = canonical(_Cleaner(most // _NODE_BYTES).mapping(body, 0))
    if len(data) <= most:
        return data
    kept = {key: value for key, value in json.loads(data).items() if len(key) <= _SHORT and _is_short(value)}
    cut = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return canonical(dict(sorted(kept.items())[:_MOST_KEPT]) | {"cut": cut})


def _is_short(value: object) -> bool:
    return value is None or isinstance(value, int | float) or (isinstance(value, str) and len(value) <= _SHORT)


@final
class _Cleaner:
    """Walks one body; counts what it has passed, so that a hostile one ends too."""

    def __init__(self, nodes: int) -> None:
        self._left = nodes

    def mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, inner in value.items():
            if self._left <= 0:
                break
            name, secret = _name(key) if type(key) is str and len(key) <= _SHORT else _named(key)
            found[name] = LEFT_OUT if secret else self.value(inner, depth + 1)
        return found

    def value(self, value: object, depth: int) -> object:  # noqa: PLR0911  one line a kind
        self._left -= 1
        if self._left <= 0 or depth > _MOST_DEPTH:
            return LEFT_OUT
        if type(value) is str:  # most of all values, so first
            return _text(value)
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, bool | str | int | float):
            return _scalar(value)
        if isinstance(value, BaseModel):
            return self.mapping(value.model_dump(), depth)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self.mapping({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, depth)
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if isinstance(value, bytes | bytearray | memoryview):
            return shorten(bytes(value[: _MOST_TEXT // 2]).hex(), _MOST_TEXT)
        return self._other(value, depth)

    def _other(self, value: object, depth: int) -> object:
        if callable(item := getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:  # NumPy's numbers
            return _scalar(item())
        if hasattr(value, "__fspath__"):
            return _text(value)
        if isinstance(value, Iterable):
            found = []
            for inner in value:
                if self._left <= 0:
                    break
                found.append(self.value(inner, depth + 1))
            return (
                found if isinstance(value, list | tuple) or not isinstance(value, set | frozenset) else _sorted(found)
            )
        return f"({type(value).__name__})"


def _named(key: object) -> tuple[str, bool]:
    """A key as text, and whether it names a secret."""
    name = _text(key.value if isinstance(key, Enum) else key)
    return name, _SECRET.search(name) is not None


@lru_cache(maxsize=4096)
def _name(key: str) -> tuple[str, bool]:
    """The same, remembered: records of a kind have the same keys."""
    return _named(key)


def _sorted(found: list[object]) -> list[object]:
    return sorted(found, key=canonical)


def _scalar(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 1 << 63 else _text(value) if value.bit_length() < _MOST_TEXT else LEFT_OUT
    return _text(value) if isinstance(value, str) else value


def _text(value: object) -> str:
    text = str(value)
    return printable(text if len(text) <= _MOST_TEXT else shorten(text, _MOST_TEXT))
