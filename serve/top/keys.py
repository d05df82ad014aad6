"""The keys: those of htop and nvitop where they have one for it."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

__all__ = ["CASES", "DETAIL", "HELP", "JOBS", "MOVES", "footer"]

MOVES: Final = [
    Binding("up,k", "move(-1)"), Binding("down,j", "move(1)"), Binding("pageup,ctrl+b", "page(-1)"),
    Binding("pagedown,ctrl+f", "page(1)"), Binding("home,g", "move(-1000000)"), Binding("end,G", "move(1000000)"),
]  # fmt: skip
"""Up and down, in every list."""

JOBS: Final = [
    *MOVES,
    Binding("q,f10", "app.quit"), Binding("ctrl+c", "app.quit", priority=True), Binding("h,question_mark,f1", "help"),
    Binding("slash,f4,backslash", "filter", priority=True), Binding("f3", "search", priority=True),
    Binding("enter", "detail", priority=True), Binding("c", "cases", priority=True), Binding("n", "search_next"),
    Binding("greater_than_sign,full_stop,f6", "sort(1)"), Binding("less_than_sign,comma", "sort(-1)"),
    Binding("r,I", "reverse"), Binding("e", "ended"), Binding("p", "pause"), Binding("t", "gpus"),
    Binding("escape", "clear"), Binding("ctrl+l", "redraw"),
]  # fmt: skip
DETAIL: Final = [*MOVES, Binding("escape,q,enter,f10", "back"), Binding("c", "cases"), Binding("p", "pause")]
CASES: Final = [*MOVES, Binding("escape,q,c,f10", "back"), Binding("a", "decide('approve')"),
                Binding("x", "decide('reject')"), Binding("o", "closed"), Binding("p", "pause"),
                Binding("enter", "detail")]  # fmt: skip

HELP: Final = (
    ("q  F10  Ctrl-C", "quit; q and Esc leave a page"),
    ("h  ?  F1", "this page"),
    ("up down  j k", "choose a job"),
    ("PgUp PgDn Home End g G", "a page, the first, the last"),
    ("Enter", "all that is known of the chosen job"),
    ("c", "cases: a approves, x rejects, o shows closed ones too"),
    ("/  F4  \\", "filter: only jobs that hold these words (Esc: all again)"),
    ("F3  n", "search: go to the next job that holds these words"),
    (">  <  .  ,  F6", "sort by the next column, by the one before"),
    ("r  I", "the other way round"),
    ("e", "jobs that ended in the last day, and back"),
    ("t", "GPUs: some, all, none"),
    ("p", "pause: what is shown stands still, and says so"),
    ("Ctrl-L", "draw the screen anew"),
)
"""Keys and what they do, for people."""

_FOOTERS: Final = {
    "jobs": "h Help  Enter Detail  c Cases  / Filter  <> Sort  r Turn  e Ended  p Pause  t GPUs  F3 Search  q Quit",
    "detail": "j k Scroll  c Cases  p Pause  q Back",
    "cases": "a Approve  x Reject  o Closed too  Enter History  p Pause  q Back",
    "case": "j k Scroll  q Back",
    "help": "j k Scroll  q Back",
    "ask": "Enter Go on  Esc Leave it",
    "confirm": "y Do it  any other key: Leave it",
}


def footer(page: str, width: int) -> str:
    """As many of the keys of a page as there is room for."""
    words = _FOOTERS[page].split("  ")
    while len(words) > 2 and len("  ".join(words)) > width:
        del words[-2]
    return "  ".join(words)
