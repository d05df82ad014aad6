"""The physical model against published figures, within tolerances that the page states."""

import pytest

from hashwarden.training.synthesise.anchors import ANCHORS, measured


@pytest.mark.parametrize("anchor", ANCHORS, ids=lambda a: f"{a.part}-{a.gpu}-{a.says[:12]}".replace(" ", "_"))
def test_middle_of_the_draws_lies_near_what_was_published(anchor):
    low, middle, high = measured(anchor, draws=24)
    assert low >= anchor.low - anchor.tolerance
    assert high <= anchor.high + anchor.tolerance
    assert low <= middle <= high
