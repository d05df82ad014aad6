"""Batches: balanced, padded, hidden, thinned; and the same whoever draws them."""

from dataclasses import replace

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS, GROUPS, INDEX, TIERS
from hashwarden.model.job.taxonomy import CLASSES, MINING
from hashwarden.training.job.labels import UNKNOWN
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.store import CLASS, DT, FIRST_CHANNEL, rows_of
from hashwarden.training.job.windows import GROUP_OF, Drawer, groups_mask, pack, thin

RECIPE = Recipe(batch=12, length=40, settle_s=5.0)
NOTHING_HIDDEN = replace(RECIPE, tiers=(1.0, 0, 0, 0), channel_drop=0.0, dying=0.0, slower=0.0)


def _drawer(data, recipe=RECIPE):
    return Drawer(data, np.arange(len(data)), recipe)


def test_draws_depend_on_seed_and_step_alone(data):
    first, again = _drawer(data), _drawer(data)
    again.batch(3)
    for one, other in ((first.batch(7), again.batch(7)), (first.batch(0), again.batch(0))):
        np.testing.assert_array_equal(one.samples, other.samples)
        np.testing.assert_array_equal(one.classes, other.classes)
    assert not np.array_equal(first.batch(1).samples, first.batch(2).samples)
    assert not np.array_equal(first.batch(1).samples, _drawer(data, replace(RECIPE, seed=1)).batch(1).samples)


def test_workers_draw_the_parts_of_one_batch(data):
    whole, drawer = _drawer(data).batch(5), _drawer(data)
    for rank in range(3):
        part = drawer.batch(5, rank, 3)
        np.testing.assert_array_equal(part.samples, whole.samples[rank::3])
        np.testing.assert_array_equal(part.weights, whole.weights[rank::3])


def test_classes_come_in_their_shares_and_families_evenly(data):
    drawer = _drawer(data, replace(NOTHING_HIDDEN, batch=64, length=2))
    batches = [drawer.batch(step) for step in range(60)]
    classes = np.concatenate([batch.classes[:, 0] for batch in batches])
    found = np.bincount(classes, minlength=len(CLASSES)) / len(classes)
    np.testing.assert_allclose(found, RECIPE.classes, atol=0.03)
    families = np.concatenate([batch.families for batch in batches])
    assert (families[classes != MINING] == UNKNOWN).all()
    shares = np.bincount(families[classes == MINING]) / (classes == MINING).sum()
    np.testing.assert_allclose(shares[shares > 0], 1 / 3, atol=0.05)


def test_padding_counts_nothing_and_a_sequence_counts_one(data):
    batch = _drawer(data, replace(NOTHING_HIDDEN, length=75)).batch(0)
    assert (batch.classes[:, 60:] == UNKNOWN).all()
    assert not batch.masks[:, 60:].any()
    assert not batch.weights[:, 60:].any()
    np.testing.assert_allclose(batch.weights.sum(1), 1, rtol=1e-5)
    assert batch.weights[0, 0] < 0.2 * batch.weights[0, 30]
    assert (batch.dts[:, 0] == 0).all()
    assert (batch.samples[batch.masks == 0] == 0).all()


def test_every_tier_and_every_group_is_seen_alone_and_missing(data):
    drawer = _drawer(data, replace(RECIPE, channel_drop=0.0, dying=0.0, slower=0.0))
    seen = set()
    for step in range(25):
        masks = drawer.batch(step).masks.any(1)
        seen |= {frozenset(GROUPS[g] for g in set(GROUP_OF[row])) for row in masks.astype(bool)}
    made_of = {"nvml", "gpm", "code"}  # the groups that the made-up runs have
    assert {frozenset(set(groups) & made_of) for groups in TIERS.values()} <= seen
    assert {frozenset({"gpm"}), frozenset({"code"}), frozenset({"nvml", "code"})} <= seen


def test_channels_are_dropped_and_groups_die(data):
    dropped = _drawer(data, replace(NOTHING_HIDDEN, channel_drop=0.9)).batch(0).masks.any(1).sum()
    assert dropped < 0.8 * _drawer(data, NOTHING_HIDDEN).batch(0).masks.any(1).sum()
    died = _drawer(data, replace(NOTHING_HIDDEN, dying=1.0, batch=40)).batch(0).masks
    gpm = died[:, :, INDEX["integer_active_ratio"]]
    assert (gpm[:, 0].astype(bool) & ~gpm[:, -3:].any(1)).any()


def test_thinning_averages_what_is_a_mean_and_keeps_looks(make):
    rows = rows_of(make("mining", 2, 31))
    thinned = thin(rows, 4)
    assert len(thinned) == 7
    assert (thinned[1:, DT] == 4).all()
    gpm, look = FIRST_CHANNEL + INDEX["sm_active_ratio"], FIRST_CHANNEL + INDEX["power_ratio"]
    np.testing.assert_allclose(thinned[1, gpm], np.nanmean(rows[4:8, gpm]), rtol=1e-6)
    np.testing.assert_array_equal(thinned[:, look], rows[3:28:4, look])
    assert (thinned[:, CLASS] == MINING).all()
    assert thin(rows, 1) is rows


def test_thinning_keeps_to_a_minute_and_to_what_a_run_holds(make, tmp_path):
    from hashwarden.training.job.dataset import Dataset

    data = Dataset.of_runs([make("idle", 0, 900), make("idle", 1, 900, period_s=20.0)], tmp_path)
    drawer = _drawer(data, replace(NOTHING_HIDDEN, slower=1.0, batch=60))
    dts = drawer.batch(0).dts
    longest = dts.max(1)
    assert longest.max() <= 60
    assert longest.min() >= 2
    assert len(set(longest.tolist())) > 5


def test_packing_what_goes_on_keeps_its_first_time(make):
    rows = rows_of(make("idle", 0, 20))
    batch = pack([rows[10:]], np.array([UNKNOWN]), 12, carried=True)
    assert batch.dts[0].tolist() == [1.0] * 10 + [0.0] * 2


@pytest.mark.parametrize("tier", TIERS)
def test_tiers_become_channels(tier):
    assert [CHANNELS[i].group in TIERS[tier] for i in range(len(CHANNELS))] == groups_mask(TIERS[tier]).tolist()
