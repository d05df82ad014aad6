"""Every branch of the decision, and the order of verdicts."""

import pytest

from hashwarden.model.kernel.decide import Thresholds, decide
from hashwarden.model.kernel.taxonomy import MIN_INSTRUCTIONS
from hashwarden.model.kernel.verdict import Verdict

LIMITS = Thresholds(mining=0.8, mining_doubt=0.3, hashing=0.9, hashing_doubt=0.5, kind=0.4, novelty=2.0)


@pytest.mark.parametrize(
    ("p_hash", "p_mining", "p_kind", "novelty", "n_instr", "verdict"),
    [
        (1.0, 1.0, 1.0, 1.0, MIN_INSTRUCTIONS - 1, Verdict.ABSTAIN),
        (0.0, 0.0, 0.0, 1.0, MIN_INSTRUCTIONS - 1, Verdict.ABSTAIN),
        (0.8, 0.8, 0.4, 1.0, MIN_INSTRUCTIONS, Verdict.MINING),
        (1.0, 1.0, 1.0, 9.0, 100, Verdict.MINING),
        (0.8, 0.8, 0.39, 1.0, 100, Verdict.OTHER_HASH),
        (0.9, 0.79, 1.0, 1.0, 100, Verdict.OTHER_HASH),
        (0.89, 0.3, 1.0, 1.0, 100, Verdict.ABSTAIN),
        (0.5, 0.29, 1.0, 1.0, 100, Verdict.ABSTAIN),
        (0.1, 0.1, 1.0, 2.01, 100, Verdict.ABSTAIN),
        (0.49, 0.29, 1.0, 2.0, 100, Verdict.NOT_HASH),
    ],
)
def test_each_case(p_hash, p_mining, p_kind, novelty, n_instr, verdict):
    assert decide(p_hash, p_mining, p_kind, novelty, n_instr, LIMITS) is verdict


def test_verdicts_are_ranked_from_worst_to_best():
    order = [Verdict.MINING, Verdict.OTHER_HASH, Verdict.ABSTAIN, Verdict.NOT_JUDGED, Verdict.NOT_HASH]
    assert [verdict.rank for verdict in order] == [0, 1, 2, 3, 4]


def test_more_probability_is_never_a_better_verdict():
    steps = [i / 20 for i in range(21)]
    for kind in (0.1, 0.9):
        ranks = [decide(max(p, 0.2), p, kind, 1.0, 100, LIMITS).rank for p in steps]
        assert ranks == sorted(ranks, reverse=True)
        ranks = [decide(p, 0.1, kind, 1.0, 100, LIMITS).rank for p in steps]
        assert ranks == sorted(ranks, reverse=True)
