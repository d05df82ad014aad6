"""A client's clock: what goes forward is believed, what jumps is told, what comes twice counts once."""

import json

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.inbox.clock import AHEAD_S, RECENT, StreamClock

UNIX = 1_800_000_000.0
NOW = 5000.0


def rows(n, seed=0):
    return np.random.default_rng(seed).random((n, len(CHANNELS)), np.float32)


def placed(clock, unix, values=None, now=NOW):
    unix = np.array(unix, np.float64)
    values = rows(len(unix), int(unix[0]) % 1000) if values is None else values
    return clock.place(unix, values, now, UNIX + now - NOW)


def test_a_backlog_keeps_its_own_differences():
    found = placed(StreamClock(), UNIX - np.array([60.0, 59.5, 40.0, 0.0]))
    assert found.rows == [0, 1, 2, 3]
    assert np.allclose(found.times, NOW - np.array([60.0, 59.5, 40.0, 0.0]), atol=1e-5)
    more = placed(found.clock, [UNIX + 1.0], now=NOW + 30)
    assert more.times[0] - found.times[-1] == pytest.approx(1.0, abs=1e-5), "not the thirty seconds that we waited"


def test_what_is_sent_again_is_a_duplicate_and_changes_nothing():
    values, unix = rows(5), UNIX - np.arange(5.0, 0.0, -1.0)
    first = placed(StreamClock(), unix, values)
    again = placed(first.clock, unix, values)
    assert (again.rows, again.duplicates, again.late, again.jumps) == ([], 5, 0, 0)
    half = placed(first.clock, np.append(unix, UNIX), np.vstack([values, rows(1, 9)]))
    assert (half.rows, half.duplicates) == ([5], 5), "the sixth is new"


def test_a_time_that_comes_twice_in_a_request_counts_once():
    found = placed(StreamClock(), [UNIX, UNIX, UNIX + 1])
    assert (found.rows, found.duplicates) == ([0, 2], 1)


def test_a_clock_that_was_set_back_goes_on_forward():
    first = placed(StreamClock(), UNIX + np.arange(10.0))
    back = placed(first.clock, UNIX - 300 + np.arange(3.0), now=NOW + 12)
    assert (back.rows, back.jumps, back.late) == ([0, 1, 2], 1, 0)
    assert all(b > a for a, b in zip([*first.times[-1:], *back.times], back.times, strict=False))
    assert back.times[-1] - first.times[-1] == pytest.approx(12.0, abs=0.1), "as long as our own clock says"
    on = placed(back.clock, [UNIX - 297], now=NOW + 13)
    assert (on.jumps, on.times[0] - back.times[-1]) == (0, pytest.approx(1.0, abs=1e-5))


def test_the_same_time_with_other_values_is_a_jump_and_no_duplicate():
    first = placed(StreamClock(), UNIX + np.arange(10.0))
    back = placed(first.clock, UNIX + np.arange(5.0), rows(5, 77), now=NOW + 5)
    assert (back.rows, back.duplicates, back.jumps) == ([0, 1, 2, 3, 4], 0, 1)


def test_what_is_late_in_a_request_that_goes_on_is_left_out():
    first = placed(StreamClock(), [UNIX, UNIX + 2])
    found = placed(first.clock, [UNIX + 1, UNIX + 3])
    assert (found.rows, found.late) == ([1], 1)


def test_an_old_request_that_is_sent_again_is_no_jump_though_not_all_of_it_is_remembered():
    values, unix = rows(RECENT + 50), UNIX - 1000 + np.arange(RECENT + 50.0)
    first = placed(StreamClock(), unix, values)
    again = placed(first.clock, unix, values)
    assert (again.rows, again.duplicates, again.late, again.jumps) == ([], RECENT + 50, 0, 0)
    assert json.dumps([again.duplicates, again.late, again.jumps]), "answers say it"


def test_a_clock_that_runs_away_after_a_jump_is_held():
    first = placed(StreamClock(), [UNIX - 3600])
    back = placed(first.clock, [UNIX - 7200], now=NOW + 1)
    ahead = placed(back.clock, [UNIX + 30], now=NOW + 2)
    assert ahead.jumps == 1
    assert ahead.times[0] <= NOW + 2 + AHEAD_S


def test_nothing_from_before_a_restart_counts_again_until_something_new_comes():
    clock = StreamClock.taken_up(UNIX)
    again = placed(clock, [UNIX - 1, UNIX])
    assert (again.rows, again.duplicates) == ([], 2)
    on = placed(again.clock, [UNIX, UNIX + 1])
    assert (on.rows, on.duplicates) == ([1], 1)
    back = placed(on.clock, [UNIX - 500], now=NOW + 9)
    assert (back.rows, back.jumps) == ([0], 1), "the clock was set back after it"


def test_memory_is_bounded():
    clock = StreamClock()
    for part in range(4):
        clock = placed(clock, UNIX + part * RECENT + np.arange(float(RECENT))).clock
    assert len(clock.recent) == RECENT
