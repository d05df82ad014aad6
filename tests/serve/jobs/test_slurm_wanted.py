"""Which jobs are asked about, and when: the best voices first, then seldom what the controller does not know."""

import pytest

from hashwarden.serve.jobs.slurm_wanted import Voice, Wanted


@pytest.fixture
def wanted():
    return Wanted(5.0, 60.0)


def asked_at(wanted, number, voice, until_s=200):
    """Seconds at which it is asked about, in vain, while somebody speaks of it all the time."""
    found = []
    for now in range(until_s):
        wanted.want(number, voice, now)
        if taken := wanted.take(now):
            found.append(now)
            wanted.answered(taken, (), now)
    return found


@pytest.mark.parametrize(
    ("voice", "times"),
    [(Voice.TOLD, [0, 5, 65, 125, 185]), (Voice.CLAIMED, [0, 5, 65, 125, 185]),
     (Voice.ENDED, [0, 5, *range(20, 200, 15)])],
)  # fmt: skip
def test_what_is_not_known_is_asked_about_again_soon_and_then_seldom(wanted, voice, times):
    assert asked_at(wanted, 7, voice) == times


def test_what_runs_is_wanted_no_more_and_may_be_asked_about_at_once(wanted):
    wanted.want(7, Voice.ENDED, 0.0)
    assert wanted.take(0.0) == [7]
    assert not wanted.due(0.0)
    wanted.answered([7], {7}, 0.0)
    assert len(wanted) == 0
    wanted.want(7, Voice.ENDED, 1.0)
    assert wanted.take(1.0) == [7]


def test_the_best_voices_come_first_and_a_better_one_does_not_wait_for_a_worse(wanted):
    for number in range(100, 140):
        wanted.want(number, Voice.CLAIMED, 0.0)
    wanted.want(8, Voice.ENDED, 0.0)
    wanted.want(9, Voice.TOLD, 0.0)
    assert wanted.take(0.0) == [9, 8, *range(100, 108)]
    wanted.answered([9, 8, *range(100, 108)], (), 0.0)
    wanted.want(100, Voice.TOLD, 1.0)  # root speaks of it now
    assert wanted.take(1.0)[0] == 100


def test_a_controller_that_does_not_answer_is_no_answer(wanted):
    wanted.want(7, Voice.CLAIMED, 0.0)
    wanted.put_back(wanted.take(0.0))
    assert wanted.take(0.0) == [7]


def test_what_a_process_claims_too_early_is_forgotten_and_what_is_told_is_not(wanted):
    for voice, again in ((Voice.CLAIMED, False), (Voice.ENDED, True), (Voice.TOLD, True)):
        wanted.want(7, voice, 0.0)
        wanted.answered(wanted.take(0.0), (), 0.0)
        wanted.want(7, voice, 1.0)
        assert wanted.due(10.0) is again
        wanted.answered(wanted.take(10.0), {7}, 10.0)


def test_numbers_without_end_fill_no_memory(wanted):
    wanted.want(7, Voice.TOLD, 0.0)
    for number in range(100, 10_000):
        wanted.want(number, Voice.CLAIMED, 0.0)
    assert len(wanted) == 513
    assert wanted.take(0.0)[0] == 7
