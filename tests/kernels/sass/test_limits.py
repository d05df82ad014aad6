"""Budgets: each bound is kept, named with its flag, and marks the target as spent where it is the target's."""

import dataclasses

import pytest

from hashwarden.errors import LimitError
from hashwarden.kernels.sass.limits import FLAGS, RATIO_FREE_BYTES, Budget, Limits


def test_every_limit_has_a_flag():
    assert set(FLAGS) == {field.name for field in dataclasses.fields(Limits)}


BROKEN = {
    "objects": (lambda b: b.count("w", 11), True),
    "expanded_bytes": (lambda b: b.expand(101, "w"), True),
    "seconds": (lambda b: b.check_time("w"), True),
    "expansion_ratio": (lambda b: b.check_ratio(1, RATIO_FREE_BYTES + 1, "w"), False),
    "object_bytes": (lambda b: b.check_object(1001, "w"), False),
    "nesting": (lambda b: b.check_nesting(3, "w"), False),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_limit_says_which_and_how_to_raise_it(name):
    clock = iter([0.0] + [99.0 if name == "seconds" else 1.0] * 9)
    limits = Limits(nesting=2, expanded_bytes=100, expansion_ratio=5, object_bytes=1000, objects=10, seconds=50.0)
    budget = Budget(limits, clock=lambda: next(clock))
    act, whole_target = BROKEN[name]
    with pytest.raises(LimitError) as caught:
        act(budget)
    assert caught.value.where == "w"
    assert f"limit {name}" in caught.value.expected
    assert FLAGS[name] in caught.value.remedy
    assert budget.spent is whole_target


def test_a_small_member_may_grow_by_any_ratio():
    Budget(Limits(expansion_ratio=2)).check_ratio(1, RATIO_FREE_BYTES, "w")
