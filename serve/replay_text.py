"""What ``hashwarden replay`` shows in a terminal: one line a run with its evidence drawn, and what changed when."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from rich.console import Console
from rich.text import Text

from hashwarden.model.sequential_state import State
from hashwarden.serve.replay import Replayed
from hashwarden.serve.scan.text import printable

__all__ = ["clock", "render", "sparkline"]

_BARS: Final = " ▁▂▃▄▅▆▇█"
_COLOURS: Final = {
    State.ABSTAIN: "dim", State.CLEAR: "green", State.WATCHING: "cyan", State.SUSPECT: "yellow",
    State.CONFIRMED: "bold red",
}  # fmt: skip

_WIDTH: Final = 40
_NAME: Final = 30


def sparkline(strengths: Sequence[float], width: int = _WIDTH) -> str:
    """Draw strengths from 0 to 1 in so many characters; only what reached the threshold fills a character."""
    if not strengths:
        return " " * width
    values = np.clip(np.asarray(strengths, float), 0.0, 1.0)
    edges = np.linspace(0, len(values), width + 1)
    highest = [values[int(a) : max(int(np.ceil(b)), int(a) + 1)].max() for a, b in pairwise(edges)]
    last = len(_BARS) - 1
    return "".join(_BARS[last if v >= 1.0 else min(int(v * last), last - 1)] for v in highest)


def clock(seconds: float) -> str:
    """Hours, minutes, seconds."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def render(replayed: Replayed, console: Console) -> None:
    """Show one run."""
    final, state = replayed.verdict, State[replayed.verdict.state.upper()]
    told = f"  labelled {printable(replayed.run.label)}" if replayed.run.label else ""
    most = f"  {final.likeliest} {final.probabilities[final.likeliest]:.2f}" if final.likeliest else ""
    line = Text()
    line.append(f"{final.state:<10}", _COLOURS[state])
    line.append(f"{printable(replayed.run.name)[:_NAME]:<{_NAME}} ")
    line.append(f"│{sparkline(replayed.track.strengths)}│", _COLOURS[replayed.worst])
    line.append(f" {clock(final.evidence.watched_s):>8}{most}")
    line.append(told, "dim")
    console.print(line, no_wrap=True, crop=False, overflow="ignore")
    for change in replayed.changes:
        why = "; ".join((*change.reasons, *((f"family {change.family}",) if change.family else ())))
        part = Text(f"    {clock(change.time_s)} ", "dim")
        part.append(change.state, _COLOURS[State[change.state.upper()]])
        part.append(f"  {why}", "dim")
        console.print(part)
