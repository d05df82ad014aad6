"""Whether a node takes jobs, and for which case it was told not to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.schedulers.scheduler import Action

__all__ = ["NodeStanding", "node_reason"]

_REASON = 200


def node_reason(action: Action) -> str:
    """``hashwarden CASE: REASON``: what is set as the reason of a drained node."""
    return f"hashwarden {action.case}: {shorten(printable(action.reason), _REASON)}"


@final
@dataclass(frozen=True, slots=True)
class NodeStanding:
    """A node in the eyes of slurmctld now.

    Attributes
    ----------
    state : str
        ``draining``, ``drained``, ``idle``, ``mixed`` ...
    reason : str
        Only operators set it.
    """

    FORMAT: ClassVar[str] = "StateLong:.40,Reason:.400"
    """For ``sinfo --Format``."""

    state: str
    reason: str

    @staticmethod
    def find(text: str) -> NodeStanding | None:
        """The first line of what ``sinfo`` said: there is one for each partition of the node, all the same."""
        for line in text.splitlines():
            state, _, reason = line.strip().partition(" ")
            if state:
                return NodeStanding(state.rstrip("*~#!%$@^-"), reason.strip())
        return None

    @property
    def drained(self) -> bool:
        """Whether it takes no new jobs on somebody's word."""
        return self.state.startswith("drain")

    def drained_for(self, case: str) -> bool:
        """Whether that was on ours, for this case."""
        return self.drained and self.reason.startswith(f"hashwarden {case}: ")
