"""From probabilities to the word of a verdict on one kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from hashwarden.model.kernel.taxonomy import MIN_INSTRUCTIONS
from hashwarden.model.kernel.verdict import Verdict

__all__ = ["Thresholds", "decide"]


@final
@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where probabilities become words, set on kernels of lineages that the network had not seen.

    Attributes
    ----------
    mining, hashing : float
        One plain kernel in 1,000 reaches them: what is above is claimed.
    mining_doubt, hashing_doubt : float
        One plain kernel in 100 reaches them: what lies between is not claimed and not cleared.
    kind : float
        Probability of mining given hash work below which it is called other hash work.
    novelty : float
        Distance that one plain kernel in 1,000 exceeds: what is farther is not known.
    """

    mining: float
    mining_doubt: float
    hashing: float
    hashing_doubt: float
    kind: float
    novelty: float


def decide(  # noqa: PLR0913, PLR0917  four numbers of the kernel, its size, the limits
    p_hash: float, p_mining: float, p_kind: float, novelty: float, n_instr: int, limits: Thresholds
) -> Verdict:
    """The verdict on one kernel.

    Kernels too short to tell, unlike anything known, or in the doubtful zone get `Verdict.ABSTAIN`.
    """
    if n_instr < MIN_INSTRUCTIONS:
        return Verdict.ABSTAIN
    if p_mining >= limits.mining:
        return Verdict.MINING if p_kind >= limits.kind else Verdict.OTHER_HASH
    if p_hash >= limits.hashing:
        return Verdict.OTHER_HASH
    if p_mining >= limits.mining_doubt or p_hash >= limits.hashing_doubt or novelty > limits.novelty:
        return Verdict.ABSTAIN
    return Verdict.NOT_HASH
