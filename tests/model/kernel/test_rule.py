"""The file rule: one loud kernel among thousands says nothing, a file full of them does."""

import numpy as np
import pytest

from hashwarden.model.kernel.decide import Thresholds, decide
from hashwarden.model.kernel.joint import Calibration
from hashwarden.model.kernel.rule import FileRule, Innocent
from hashwarden.model.kernel.tail import at_least
from hashwarden.model.kernel.verdict import KernelVerdict, Verdict

LIMITS = Thresholds(mining=0.8, mining_doubt=0.3, hashing=0.9, hashing_doubt=0.5, kind=0.4, novelty=2.0)
CALIBRATION = Calibration(0.0, 0.0, 1.0, 0.0, background=0.05, beside_object=0.0, beside_file=2.0)
INNOCENT = Innocent(mining=(0.4, 400.0), hashing=(0.4, 200.0))
RULE = FileRule(CALIBRATION, LIMITS, INNOCENT)
LOUD, HASH, DOUBT, QUIET = (0.99, 0.99, 0.9), (0.99, 0.85, 0.1), (0.6, 0.2, 0.5), (0.01, 0.001, 0.5)


@pytest.fixture
def judge(table_of):
    """Judge a file of (p_hash, p_mining, p_kind) with the rule; further columns by name."""

    def run(kernels, notes=(), rule=RULE, **columns):
        rows = [{name: values[i] for name, values in columns.items()} for i in range(len(kernels))]
        table = table_of(rows)
        verdicts = []
        for i, (p_hash, p_mining, p_kind) in enumerate(kernels):
            verdict = decide(p_hash, p_mining, p_kind, 1.0, 100, rule.thresholds)
            family = {Verdict.MINING: "ethash", Verdict.OTHER_HASH: "zk", Verdict.NOT_HASH: "ml"}.get(verdict, "")
            sha1, arch = table.text["code_sha1"][i], int(table.scalars["arch"][i])
            verdicts.append(
                KernelVerdict(i, "f", f"k{i}", arch, p_hash, p_mining, family, verdict, (), sha1, 100, p_kind, 1.0)
            )
        return rule("f", table, verdicts, notes), verdicts

    return run


def test_one_loud_kernel_among_thousands_is_not_called(judge):
    (file, kernels), _ = judge([QUIET] * 3_000 + [LOUD])
    assert file.verdict is Verdict.NOT_HASH
    assert file.p_mining == pytest.approx(0.99)
    assert file.counts == {Verdict.NOT_HASH: 3_000, Verdict.MINING: 1}
    assert kernels[-1].verdict is Verdict.MINING
    assert file.top[0].kernel == "k3000"
    assert "1 of 3001 kernels" in file.reasons[0]


def test_a_file_full_of_loud_kernels_is_called(judge):
    (file, _), _ = judge([LOUD] * 20)
    assert file.verdict is Verdict.MINING
    assert file.chance < 1e-6
    assert "20 of 20 kernels look like mining: ethash (20)" in file.reasons[0]


def test_a_file_of_other_hash_work_is_called_that(judge):
    (file, kernels), _ = judge([HASH] * 20)
    assert file.verdict is Verdict.OTHER_HASH
    assert {kernel.verdict for kernel in kernels} == {Verdict.OTHER_HASH}
    assert max(kernel.p_mining for kernel in kernels) <= HASH[2]  # hash work surely, a miner's as far as its kind says


def test_the_chance_is_that_of_the_tail_times_the_looks(judge):
    (file, _), _ = judge([QUIET] * 500 + [LOUD] * 3)
    tails = [at_least(3, 503, *INNOCENT.mining), at_least(3, 503, *INNOCENT.hashing)]
    assert file.chance == pytest.approx(2 * min(tails))


def test_each_architecture_is_a_look_of_its_own(judge):
    """The same file for four architectures is no more suspect than for one: Bonferroni over eight looks."""
    kernels = [QUIET] * 500 + [LOUD] * 3
    (one, _), _ = judge(kernels)
    arch = [a for a in (75, 80, 90, 120) for _ in kernels]
    (four, _), _ = judge(kernels * 4, arch=arch)
    assert four.chance == pytest.approx(min(1, 4 * one.chance))


def test_copies_of_one_kernel_count_once(judge):
    (copies, _), _ = judge([QUIET] * 500 + [LOUD] * 50, code_sha1=[f"{i}" for i in range(500)] + ["same"] * 50)
    (single, _), _ = judge([QUIET] * 500 + [LOUD], code_sha1=[f"{i}" for i in range(500)] + ["same"])
    assert copies.chance == pytest.approx(single.chance)
    assert (copies.n_kernels, copies.n_distinct) == (550, 501)
    assert copies.counts[Verdict.MINING] == 1


def test_an_empty_file_is_not_cleared(judge):
    (file, kernels), _ = judge([])
    assert (file.verdict, file.n_kernels, kernels) == (Verdict.ABSTAIN, 0, [])
    (noted, _), _ = judge([], notes=["PTX only"])
    assert noted.verdict is Verdict.NOT_JUDGED
    assert noted.notes == ("PTX only",)


def test_a_file_of_doubtful_kernels_is_not_cleared(judge):
    (mostly, _), _ = judge([DOUBT] * 6 + [QUIET] * 4)
    (partly, _), _ = judge([DOUBT] * 4 + [QUIET] * 6)
    assert (mostly.verdict, partly.verdict) == (Verdict.ABSTAIN, Verdict.NOT_HASH)


def test_a_file_in_the_doubtful_zone_of_the_chance_is_not_cleared(judge):
    for quiet in range(0, 2_000, 20):
        (file, _), _ = judge([QUIET] * quiet + [LOUD] * 2)
        if INNOCENT.alarm < file.chance <= INNOCENT.doubt:
            assert file.verdict is Verdict.ABSTAIN
            return
    pytest.fail("no file fell into the zone")


def test_more_loud_kernels_never_make_a_file_less_suspect(judge):
    chances = [judge([QUIET] * (40 - loud) + [LOUD] * loud)[0][0].chance for loud in range(0, 41, 4)]
    assert chances == sorted(chances, reverse=True)


def test_company_raises_a_quiet_stage_of_a_miner(judge):
    stage = (0.5, 0.5, 0.2)
    (_, kernels), before = judge([LOUD] * 10 + [stage])
    assert before[-1].verdict is Verdict.ABSTAIN
    assert kernels[-1].verdict is Verdict.MINING
    assert kernels[-1].family == "ethash"
    assert kernels[-1].p_mining > 0.8
    assert kernels[-1].reasons[0].startswith("lies beside kernels that hash")


def test_company_of_other_hash_work_makes_no_miner(judge):
    (_, kernels), _ = judge([HASH] * 10 + [(0.6, 0.6, 0.9)])
    assert {kernel.verdict for kernel in kernels} == {Verdict.OTHER_HASH}
    assert kernels[-1].family == "zk"


def test_company_never_acquits(judge):
    rng = np.random.default_rng(3)
    for _ in range(20):
        draws = [(LOUD, HASH, DOUBT, QUIET)[i] for i in rng.integers(0, 4, 12)]
        (_, after), before = judge(draws)
        for old, new in zip(before, after, strict=True):
            assert new.verdict.rank <= old.verdict.rank
            if new.verdict is not Verdict.OTHER_HASH:
                assert new.p_mining >= old.p_mining
            assert new.p_hash >= old.p_hash
            assert (new.family == "") == (new.verdict is Verdict.ABSTAIN)


def test_kernels_of_other_files_keep_no_company(judge):
    stage = (0.5, 0.5, 0.2)
    (_, kernels), _ = judge([LOUD] * 10 + [stage], file=["a.so#1"] * 10 + ["b.so#1"])
    assert kernels[-1].verdict is Verdict.ABSTAIN


def test_a_bare_table_says_nothing_of_what_lies_beside_what(judge):
    stage = (0.5, 0.5, 0.2)
    (_, kernels), _ = judge([LOUD] * 10 + [stage], file=[""] * 11)
    assert kernels[-1].verdict is Verdict.ABSTAIN


def test_the_rule_is_deterministic_and_does_not_mind_the_order(judge):
    kernels = [QUIET] * 30 + [LOUD] * 5 + [HASH] * 5 + [DOUBT] * 5
    order = np.random.default_rng(1).permutation(len(kernels))
    codes = [f"{i}" for i in range(len(kernels))]
    (first, judged), _ = judge(kernels, code_sha1=codes)
    (again, _), _ = judge(kernels, code_sha1=codes)
    (shuffled, moved), _ = judge([kernels[i] for i in order], code_sha1=[codes[i] for i in order])
    assert first == again
    assert (shuffled.verdict, shuffled.counts) == (first.verdict, first.counts)
    assert shuffled.chance == pytest.approx(first.chance)
    for place, i in enumerate(order):
        assert moved[place].verdict is judged[i].verdict
        assert moved[place].p_mining == pytest.approx(judged[i].p_mining)


def test_innocent_files_are_called_as_rarely_as_the_rule_says(judge):
    """Files drawn from the very distribution that the rule assumes: at most `alarm` of them are called."""
    rng, called, files = np.random.default_rng(5), 0, 300
    for _ in range(files):
        n, rate = int(rng.integers(20, 200)), rng.beta(*INNOCENT.mining)
        loud = int(rng.binomial(n, rate))
        (file, _), _ = judge([LOUD] * loud + [QUIET] * (n - loud))
        called += file.verdict in (Verdict.MINING, Verdict.OTHER_HASH)
    assert called <= files * INNOCENT.alarm + 3 * (files * INNOCENT.alarm) ** 0.5
