"""Results come out in the order of the targets, whenever they came in."""

from contextlib import closing

from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.serve.scan.order import Ordered


def said(ordered):
    return [item.said["n"] for item, _ in ordered.ready()]


def test_what_came_early_waits_for_what_lies_before_it():
    ordered = Ordered()
    first, second = ordered.root.child(), ordered.root.child()
    ordered.add(second, 1, {"n": 3}, b"x" * 100_000)
    ordered.add(first, 0, {"n": 1})
    split = first.child()
    ordered.add(first, 0, {"n": 2.5})
    assert said(ordered) == [1]
    ordered.add(split, 0, {"n": 2})
    first.done = split.done = second.done = True
    got = [(item.said["n"], len(blob)) for item, blob in ordered.ready()]
    assert got == [(2, 0), (2.5, 0), (3, 100_000)]
    ordered.close()


def test_a_target_that_is_given_up_lets_the_next_one_out():
    ordered = Ordered()
    first, second = ordered.root.child(), ordered.root.child()
    stuck = first.child()
    assert said(ordered) == []  # the front stands in the piece that never ends
    stuck.child()
    ordered.add(first, 0, {"n": 1})
    ordered.add(second, 1, {"n": 2})
    first.finish()
    second.finish()
    assert said(ordered) == [1, 2]
    ordered.close()


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=40), st.randoms(use_true_random=False))
def test_any_interleaving_gives_the_same_order(places, rng):
    with closing(Ordered()) as ordered:
        nodes = [ordered.root.child() for _ in range(5)]
        got = []
        for number, place in enumerate(places):
            ordered.add(nodes[place], place, {"n": (place, number)}, bytes(rng.choice((0, 70_000))))
            if rng.random() < 0.5:
                got += said(ordered)
        for node in nodes:
            node.done = True
        got += said(ordered)
    assert got == sorted((place, number) for number, place in enumerate(places))
