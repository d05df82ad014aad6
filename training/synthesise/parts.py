"""All kernels that schedules may name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hashwarden.errors import UsageError
from hashwarden.training.synthesise.part import Part
from hashwarden.training.synthesise.parts_learning import LEARNING
from hashwarden.training.synthesise.parts_mining import MINING_PARTS
from hashwarden.training.synthesise.parts_others import OTHERS

__all__ = ["PARTS", "part_named"]

PARTS: Final[Mapping[str, Part]] = MappingProxyType({**LEARNING, **MINING_PARTS, **OTHERS})
"""By name."""


def part_named(name: str) -> Part:
    """The part of a name.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name not in PARTS:
        raise UsageError(f"a kernel named {name!r}", ", ".join(PARTS), "Name one of these.")
    return PARTS[name]
