"""Own runs are scored in each tier as service would count them there: the same samples, in pieces of any size."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS, GROUPS, INDEX, TIERS
from hashwarden.model.job.taxonomy import CLASSES, MINING, MINING_FAMILIES
from hashwarden.model.sequential_calibration import EvidenceCalibration, TierCalibration
from hashwarden.model.sequential_state import Blind
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.own_scores import score_tiers
from hashwarden.serve.score_runs import score_run
from hashwarden.training.synthesise.run import make_run

OF = np.array([channel.group for channel in CHANNELS])
UTIL, FOREIGN = INDEX["gpu_util_ratio"], INDEX["foreign_process_count"]
COUNTS = (Blind.NO, Blind.STARTING, Blind.UNKNOWN_WORK)


class Counting:
    """A network that adds up how long each channel was shown: what it says tells what it saw, and when."""

    metadata = SimpleNamespace(evidence={}, novelty_limits={})

    def sequence(self, samples, masks, dts, state=None):
        state = np.zeros((len(samples), 1), np.float32) if state is None else state
        seen = state + np.cumsum((masks * (samples > -1)).sum(2) * (1 + dts), axis=1)
        classes = np.zeros((*dts.shape, len(CLASSES)), np.float32)
        classes[..., MINING] = seen / (1 + seen)
        families = np.full((*dts.shape, len(MINING_FAMILIES)), 1 / 12, np.float32)
        return SimpleNamespace(probabilities=classes, families=families, novelty=seen.astype(np.float32),
                               state=seen[:, -1:] if dts.shape[1] else state)  # fmt: skip


@pytest.fixture(scope="module")
def run():
    """Everything is seen at first, another's process for a while, later no code, at last nothing."""
    made = make_run("training", "llm-bf16", gpu="H100 SXM", seconds=240, groups=GROUPS, seed=3)
    made.values[60:90, FOREIGN] = 2
    made.values[120:, np.isin(OF, ("launch", "code"))] = np.nan
    made.values[225:] = np.nan
    return made


def _served(scorer, run, tier):
    """A model that is calibrated in one tier alone, and what service makes of the run."""
    known = TierCalibration(groups=TIERS[tier], levels=(0.5,), runs=2000, hours=1, longest_s=1, origins={})
    record = EvidenceCalibration(tiers={tier: known}, horizon_s=600.0).model_dump(mode="json")
    one = SimpleNamespace(sequence=scorer.sequence, metadata=SimpleNamespace(evidence=record, novelty_limits={}))
    return score_run(one, run)


@pytest.mark.parametrize("tier", TIERS)
def test_what_counts_is_what_counts_in_service(run, tier):
    scorer = JobScorer()
    (own,) = score_tiers(scorer, [run])
    served = _served(scorer, run, tier)
    counts = np.isin(served.reasons, COUNTS)
    assert 20 < counts.sum() < len(counts)
    np.testing.assert_array_equal(np.isfinite(own.p_mining[tier]), counts)
    np.testing.assert_allclose(own.p_mining[tier][counts], served.probabilities[counts, MINING], atol=2e-6)
    np.testing.assert_allclose(own.novelty[tier], served.novelty, rtol=1e-3)
    np.testing.assert_array_equal(own.times, served.times)
    assert (own.name, own.label, own.labelled_by, own.origin) == (run.name, "training", "construction", "synthesised")


@pytest.mark.parametrize("cuts", [(1,), (50, 51, 119), (100, 230)])
def test_pieces_are_as_the_whole(run, cuts):
    edges = [0, *cuts, len(run)]
    pieces = [replace(run, times=run.times[a:b], values=run.values[a:b]) for a, b in pairwise(edges)]
    (whole,), (parts,) = score_tiers(Counting(), [run]), score_tiers(Counting(), pieces)
    assert list(parts.p_mining) == list(whole.p_mining) == list(TIERS)
    for tier in TIERS:
        np.testing.assert_allclose(parts.p_mining[tier], whole.p_mining[tier], rtol=1e-5)
        np.testing.assert_allclose(parts.novelty[tier], whole.novelty[tier], rtol=1e-4)


def test_tiers_that_a_run_never_shows_are_left_out(run):
    plain = replace(run, name="plain", values=np.where(np.isin(OF, ("nvml",)), run.values, np.float32(np.nan)))
    first, second = score_tiers(Counting(), [run, plain])
    assert (list(first.p_mining), list(second.p_mining)) == (list(TIERS), ["nvml"])
    assert list(next(iter(score_tiers(Counting(), [run], ("gpm",)))).p_mining) == ["gpm"]


def test_what_comes_late_is_left_out(run):
    pieces = [replace(run, times=run.times[a : a + 40], values=run.values[a : a + 40]) for a in range(0, len(run), 40)]
    (whole,), (cut,) = score_tiers(Counting(), [run]), score_tiers(Counting(), pieces, most_s=100.0)
    assert cut.times[-1] - cut.times[0] <= 100.0 < whole.times[len(cut.times)] - whole.times[0]
    np.testing.assert_allclose(cut.p_mining["nvml"], whole.p_mining["nvml"][: len(cut.times)], rtol=1e-5)


def test_nothing_to_see_is_in_no_tier(run):
    """No sample that is not stale, or none with a value: no tier, and the runs beside it are as they were."""
    stale = replace(run, name="stale", times=np.full(len(run), np.nan))
    empty = replace(run, name="empty", values=np.full_like(run.values, np.nan))
    first, second, third = score_tiers(JobScorer(), [stale, empty, run])
    assert (len(first.times), dict(first.p_mining), dict(second.p_mining)) == (0, {}, {})
    (alone,) = score_tiers(JobScorer(), [run])
    np.testing.assert_array_equal(third.p_mining["all"], alone.p_mining["all"])
