"""Sizes and durations as people write them: ``2GB``, ``512MiB``, ``10m``."""

from __future__ import annotations

import re

import typer

__all__ = ["duration", "plain_size", "size"]

_SIZES = {"": 1, "b": 1}
_SIZES |= {f"{unit}b": 1000**power for power, unit in enumerate("kmgt", 1)}
_SIZES |= {f"{unit}{end}": 1024**power for power, unit in enumerate("kmgt", 1) for end in ("", "ib")}
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def size(text: str | int) -> int:
    """Read bytes: ``2GB`` is 2,000,000,000, ``2GiB`` and ``2G`` are 2,147,483,648.

    Raises
    ------
    typer.BadParameter
        If it is no size, or none above 0.
    """
    return int(_quantity(text, _SIZES, "a size such as 512MiB, 2GB or 1000000"))


def duration(text: str | float) -> float:
    """Read seconds: ``90``, ``90s``, ``10m``, ``1.5h``.

    Raises
    ------
    typer.BadParameter
        If it is no duration, or none above 0.
    """
    return _quantity(text, _SECONDS, "a duration such as 90s, 10m or 1.5h")


def plain_size(number: int) -> str:
    """Write bytes with the largest binary unit that divides them: 64 GiB is ``64GiB``."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if number and number % 1024**power == 0:
            return f"{number // 1024**power}{unit}"
    return str(number)


def _quantity(text: str | float, units: dict[str, int], expected: str) -> float:
    match = _NUMBER.fullmatch(str(text))
    factor = units.get(match[2].lower()) if match else None
    if match is None or factor is None or float(match[1]) * factor < 1:
        raise typer.BadParameter(f"{str(text)!r}; expected {expected}")
    return float(match[1]) * factor
