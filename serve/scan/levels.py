"""From which verdict on a scan counts as a finding; imports nothing heavy, for the command line's sake."""

from __future__ import annotations

from enum import StrEnum

from hashwarden.model.kernel.verdict import Verdict

__all__ = ["FailOn"]


class FailOn(StrEnum):
    """From which verdict on a target counts as a finding; each level holds the ones before it."""

    MINING = "mining"
    HASH = "hash"
    ABSTAIN = "abstain"
    NOT_JUDGED = "not-judged"
    NEVER = "never"

    def covers(self, verdict: Verdict) -> bool:
        """Whether a target of this verdict is a finding."""
        return self is not FailOn.NEVER and verdict.rank <= list(FailOn).index(self)
