"""Approving and rejecting: it says what will be done to whom, asks why, and does nothing before ``y``."""

from __future__ import annotations

from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input

from hashwarden.serve.top.columns import wrapped
from hashwarden.serve.top.detail import when
from hashwarden.serve.top.keys import footer
from hashwarden.serve.top.lines import Lines
from hashwarden.serve.top.rows import CaseRow, mapping, number, sequence
from hashwarden.serve.top.words import Look, clean, fit

__all__ = ["LEAST", "Decide", "consequences"]

LEAST: Final = 3
"""Letters of a reason; the agent asks for as many."""

_MOST: Final = 500


def consequences(case: CaseRow, word: str, node: str, mode: str, look: Look) -> list[str]:
    """What will be done, to whom, and how sure it is, in sentences."""
    job = mapping(case.raw.get("job"))
    gpus = len(sequence(job.get("gpus")))
    whom = f"{case.job} of {case.user} on {gpus or 'unknown'} GPU{'' if gpus == 1 else 's'} of {node}"
    evidence = mapping(case.raw.get("evidence"))
    sure = f"It is {case.standing}"
    if number(evidence.get("strength")) >= 0:
        sure += f", evidence {number(evidence.get('strength')):.2f}, {clean(evidence.get('family') or '?', look, 40)}"
    if word == "reject":
        return [f"REJECT {case.label}: {whom} is left alone.",
                "The case is closed; what was held or throttled for it is let go.", sure + "."]  # fmt: skip
    wanted = str(case.raw.get("waiting") or "")
    act = clean(wanted.removeprefix("approval of ").partition(":")[0], look, 60) if "approval of" in wanted else ""
    will = f"{act.upper()} is asked of its scheduler for {whom}." if act else (
        f"{whom}: the acts of rule {case.rule} may be done when they are due; none waits for an approval now."
    )  # fmt: skip
    dry = ["The policy is a dry run: nothing is done until it is enforced."] if mode != "enforce" else []
    return [f"APPROVE {case.label}: {will}", *dry, sure + f"; open since {when(case.opened_unix_s)}."]


class Decide(ModalScreen[str | None]):
    """Gives the reason, None if it was left.

    Parameters
    ----------
    case : CaseRow
    words : list of str
        Of `consequences`.
    look : Look
    """

    CSS = """
    Decide { align: center middle; background: ansi_default; }
    Decide Vertical { width: 76; max-width: 100%; height: auto; border: ascii ansi_default; padding: 0 1;
        background: ansi_default; }
    Decide Input { border: none; height: 1; padding: 0; background: ansi_default; color: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave")]

    def __init__(self, case: CaseRow, words: list[str], look: Look) -> None:
        super().__init__()
        self._case, self._words, self._look = case, words, look
        self._reason = ""

    def compose(self) -> ComposeResult:
        """Make it."""
        with Vertical():
            yield Lines(id="what")
            yield Input(placeholder="why (it goes into the audit log)", max_length=_MOST, id="reason")
            yield Lines(id="next")

    def on_mount(self) -> None:
        """Ask why."""
        self.query_one(Input).cursor_blink = False
        self.query_one(Input).focus()
        self._show("")

    def on_resize(self) -> None:
        """Break the lines anew."""
        self._show("")

    def _show(self, told: str) -> None:
        width = max(min(self.size.width, 76) - 4, 20)
        lines = [line for words in self._words for line in wrapped(words, width)]
        self.query_one("#what", Lines).show([*lines, Text()])
        state = "confirm" if self._reason else "ask"
        question = f"Sure? {footer(state, width - 6)}" if self._reason else footer(state, width)
        self.query_one("#next", Lines).show([Text(), Text(fit(told or question, width, self._look), "bold")])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The reason is there: now the last question."""
        event.stop()
        reason = event.value.strip()
        if len(reason) < LEAST:
            self._show(f"A reason of {LEAST} letters at least; Esc leaves it.")
            return
        self._reason = reason
        event.input.disabled = True
        self.set_focus(None)
        self._show("")

    def on_key(self, event: Key) -> None:
        """Only ``y`` does it."""
        if not self._reason:
            return
        event.stop()
        event.prevent_default()
        self.dismiss(self._reason if event.key == "y" else None)

    def action_leave(self) -> None:
        """Nothing is done."""
        self.dismiss(None)
