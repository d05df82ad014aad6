"""The temperature of logits, found on a grid without its leaps."""

from __future__ import annotations

import numpy as np
import pytest

from hashwarden.training.job.build import _GRID, _least


@pytest.mark.parametrize("at", [0.4, 0.41, 0.402, 1.0, 1.0191, 1.0192, 3.7, 3.99, 4.0])
def test_the_temperature_is_where_the_loss_is_least(at):
    assert _least((np.log(_GRID) - np.log(at)) ** 2) == pytest.approx(at, rel=1e-9)


@pytest.mark.parametrize("at", [0.1, 9.0])
def test_it_stays_on_the_grid(at):
    assert _least((np.log(_GRID) - np.log(at)) ** 2) == pytest.approx(np.clip(at, _GRID[0], _GRID[-1]), rel=1e-9)


@pytest.mark.parametrize("left", [0, 1, 30, 58, 59])
def test_two_points_as_good_as_each_other_are_no_leap(left):
    loss = (np.arange(len(_GRID)) - left - 0.5) ** 2 * np.linspace(1, 2, len(_GRID)) + 3.0
    loss[left + 1] = loss[left]
    one, other = loss.copy(), loss.copy()
    one[left] -= 1e-9
    other[left + 1] -= 1e-9
    assert (one.argmin(), other.argmin()) == (left, left + 1)
    assert _least(one) == pytest.approx(_least(other), rel=1e-6)
