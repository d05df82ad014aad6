"""All kinds of jobs that are synthesised."""

from __future__ import annotations

from typing import Final

from hashwarden.errors import UsageError
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.training.synthesise.batches import INFERENCE
from hashwarden.training.synthesise.kind import Kind
from hashwarden.training.synthesise.learning import TRAINING
from hashwarden.training.synthesise.mining import MINING_KINDS
from hashwarden.training.synthesise.others import HASH_OTHER, HPC_OTHER, IDLE
from hashwarden.training.synthesise.rollouts import ROLLOUTS

__all__ = ["KINDS", "families", "kind_named"]

KINDS: Final[tuple[Kind, ...]] = (
    *TRAINING, *ROLLOUTS, *INFERENCE, *MINING_KINDS, *HASH_OTHER, *HPC_OTHER, *IDLE,
)  # fmt: skip


def families(label: str) -> tuple[str, ...]:
    """Families of a class, in order.

    Raises
    ------
    UsageError
        If there is no such class.
    """
    if label not in CLASSES:
        raise UsageError(f"no class is called {label!r}", "one of " + ", ".join(CLASSES), "Choose one.")
    return tuple(kind.family for kind in KINDS if kind.label == label)


def kind_named(label: str, family: str) -> Kind:
    """The kind of a class and family.

    Raises
    ------
    UsageError
        If there is none.
    """
    for kind in KINDS:
        if kind.label == label and kind.family == family:
            return kind
    names = ", ".join(families(label))
    raise UsageError(f"{label} has no family {family!r}", f"one of {names}", "Choose one.")
