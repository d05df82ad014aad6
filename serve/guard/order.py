"""What the guard is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

__all__ = ["BLIND", "ENDED", "Order", "Why"]

Why = Literal["command", "verdict", "blind", "lost"]
"""Why the watching ended: the command did, a verdict, nothing to be seen, the supervisor was killed."""

ENDED: Final = 90
"""Exit code when the guard ended the command after a verdict."""

BLIND: Final = 91
"""Exit code when the guard ended the command because it could not see it, or lost it."""


@final
@dataclass(frozen=True, slots=True)
class Order:
    """How to guard.

    Attributes
    ----------
    command : tuple of str
    user : str
        Whom it runs as; empty for the same user, who can then kill the guard.
    sources : tuple of str
        See `hashwarden.serve.sources.registry`.
    gpus : tuple of str
        Numbers or UUIDs; empty for all.
    trace : Path or None
        Of the source ``replay``, for drills.
    speed : float
        Of the drill.
    period_s, alpha : float
    on : str
        State from which the command is ended: ``confirmed`` or ``suspect``.
    grace_s : float
        From SIGTERM to SIGKILL.
    evidence : Path
        Folder for the bundle.
    model : Path or None
    dry_run : bool
        Say it, and write the bundle, but let the command run.
    blind_s : float
        End the command when it worked unseen for so long; 0 for never.
    leave : bool
        Let run what the command leaves behind, unwatched.
    """

    command: tuple[str, ...]
    user: str = ""
    sources: tuple[str, ...] = ("nvml",)
    gpus: tuple[str, ...] = ()
    trace: Path | None = None
    speed: float = 1.0
    period_s: float = 1.0
    alpha: float = 1e-3
    on: Literal["confirmed", "suspect"] = "confirmed"
    grace_s: float = 10.0
    evidence: Path = Path("hashwarden-evidence")
    model: Path | None = None
    dry_run: bool = False
    blind_s: float = 0.0
    leave: bool = False
