"""What channels mean, each by itself: in their table one may read “the same” of the one before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hashwarden.model.channels import CHANNELS, INDEX

__all__ = ["in_order", "meaning_of"]

_SAME: Final = "the same"


def meaning_of(name: str) -> str:
    """The meaning of a channel that there is."""
    place = INDEX[name]
    meaning = CHANNELS[place].meaning
    if not meaning.startswith(_SAME):
        return meaning
    before = next(one.meaning for one in reversed(CHANNELS[:place]) if not one.meaning.startswith(_SAME))
    return before + meaning.removeprefix(_SAME)


def in_order(names: Iterable[str]) -> list[str]:
    """Names as the table has them; those that are not in it come last."""
    return sorted(names, key=lambda name: (INDEX.get(name, len(INDEX)), name))
