"""What runs on a node: scanner, scorer, agent, and `Scorer` for programs. Never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashwarden.serve.batch_scorer import KernelScores, RunScores, Scorer

__all__ = ["KernelScores", "RunScores", "Scorer"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what is asked for when it is asked for: a node's programs need none of it."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from hashwarden.serve import batch_scorer

    return getattr(batch_scorer, name)
