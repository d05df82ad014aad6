"""What we leave in a job's AdminComment: who did what for which case. Operators write there; the job's owner cannot.

Others write there too (jobstats keeps its summary there): their text stays. The owner can, though, put anything into
the job's name, a line that looks like an AdminComment too. A comment that shows twice is not believed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, final

from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.schedulers.scheduler import Action

__all__ = ["Comment", "mark_of"]

_FIELD: Final = re.compile(r"^   AdminComment=(.*?) ?$(?=\n   [A-Za-z]+=|\n*\Z)", re.MULTILINE | re.DOTALL)
_ONCE: Final = re.compile(r"^\s*AdminComment=", re.MULTILINE)
_MARK: Final = re.compile(r"\[hashwarden [^\]]*\] ?")
_REASON: Final = 300
_LONGEST: Final = 4096
"""What is longer is not ours to carry along."""


def mark_of(action: Action) -> str:
    """``[hashwarden CASE KIND ID: REASON]``, without brackets inside."""
    head = f"{action.case} {action.kind} {action.id}: {shorten(printable(action.reason), _REASON)}"
    return f"[hashwarden {head.replace('[', '(').replace(']', ')')}]"


def _head(action: Action) -> str:
    return mark_of(action).partition(f" {action.id}: ")[0] + f" {action.id}: "


@final
@dataclass(frozen=True, slots=True)
class Comment:
    """The AdminComment of a job.

    Attributes
    ----------
    text : str
        Empty if there is none.
    certain : bool
        Whether it is surely not forged.
    """

    text: str = ""
    certain: bool = True

    @staticmethod
    def read(shown: str) -> Comment:
        """Find it in what ``scontrol show job`` says."""
        if len(_ONCE.findall(shown)) > 1:
            return Comment("", certain=False)
        found = _FIELD.search(shown)
        return Comment(found[1] if found else "")

    def has(self, action: Action) -> bool:
        """Whether this very action left its mark."""
        return _head(action) in self.text

    def held_for(self, case: str) -> bool:
        """Whether the job was held for this case."""
        return any(f"[hashwarden {case} {kind} " in self.text for kind in ("hold", "requeuehold"))

    def with_mark(self, action: Action) -> str:
        """The text with this action's mark before it; older marks are dropped where it grows too long."""
        if self.has(action):
            return self.text
        text = f"{mark_of(action)} {self.text}".strip()
        if len(text) > _LONGEST:
            text = f"{mark_of(action)} {_MARK.sub('', self.text)}".strip()
        return text if len(text) <= _LONGEST else mark_of(action)
