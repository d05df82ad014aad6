"""The network: scan and step are one function, time is physical, what is missing leaves no trace."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.model.channels import CHANNELS, NETWORK, NETWORK_PLACES
from hashwarden.model.job.network import GAP_S, KINDS, JobNet
from hashwarden.model.job.recurrence import recurrence
from hashwarden.training.job.trials import random_runs
from hashwarden.training.job.untrained import untrained

C = len(CHANNELS)


@pytest.fixture(scope="module")
def network():
    return untrained()


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(each, np.float32)) for each in arrays]


def by_steps(network, samples, masks, dts, state=None):
    """The plain loop: outputs over time and the last state."""
    state = network.initial_state(len(samples)) if state is None else state
    seen = []
    with torch.no_grad():
        for t in range(samples.shape[1]):
            *found, state = network.step(samples[:, t], masks[:, t], dts[:, t : t + 1], state)
            seen.append(found)
    return [torch.stack(each, 1) for each in zip(*seen, strict=True)] + [state]


def constant(seconds, period, seed=0):
    """The same sample at a fixed period, as (samples, masks, dts) of one run."""
    rng = np.random.default_rng(seed)
    steps = round(seconds / period)
    samples = np.broadcast_to(rng.random(C), (1, steps, C))
    dts = np.full((1, steps), period)
    dts[:, 0] = 0
    return tensors(samples, np.ones((1, steps, C)), dts)


# Scan and step


def test_the_scan_equals_the_loop_over_4096_steps(network):
    runs = tensors(*random_runs(2, 4096, seed=1))
    with torch.no_grad():
        scanned = network(*runs)
    stepped = by_steps(network, *runs)
    assert (scanned.logits.exp() - stepped[0].exp()).abs().max() <= 1e-5
    assert (scanned.families.exp() - stepped[1].exp()).abs().max() <= 1e-5
    assert (scanned.state - stepped[3]).abs().max() <= 1e-5
    assert ((scanned.novelty - stepped[2]) / (1 + stepped[2])).abs().max() <= 1e-5


def test_slow_units_at_ten_samples_a_second_are_not_rounded_away(network):
    """A leak of 1e-5 loses a tenth of itself in 1 - leak; the mean of a level that changes once has to come out."""
    samples, masks, dts = constant(400, 0.1)
    samples = samples.clone()
    samples[:, 2000:] *= 0.2
    with torch.no_grad():
        double = untrained().double()
        wanted = double(samples.double(), masks.double(), dts.double()).state
        assert (network(samples, masks, dts).state - wanted).abs().max() <= 2e-4


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 24, 25, 26, 63, 64, 65])
def test_the_recurrence_equals_its_definition_at_any_length(steps):
    generator = torch.Generator().manual_seed(steps)
    leak, inflow, value = (torch.rand(2, steps, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    value = value[:, 0]
    got = recurrence(leak, inflow, value)
    for t in range(steps):
        value = value - leak[:, t] * value + inflow[:, t]
        assert torch.allclose(got[:, t], value, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 7, 10])
def test_the_gradient_of_the_recurrence(steps):
    generator = torch.Generator().manual_seed(0)
    leak, inflow = (torch.rand(2, steps, 3, generator=generator, dtype=torch.float64, requires_grad=True) for _ in "ab")
    start = torch.rand(2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(recurrence, (leak, inflow, start))


def test_the_gradient_of_the_network_is_that_of_the_loop():
    runs = tensors(*random_runs(2, 30, seed=3))
    gradients = []
    for scanned in (True, False):
        network = untrained()
        torch.nn.init.normal_(network.depart.weight, generator=torch.Generator().manual_seed(0))
        # as it is initialised, a departure is 0 for the first sample: at the kink, where rounding decides the slope
        if scanned:
            logits = network(*runs).logits
        else:
            state, seen = network.initial_state(2), []
            for t in range(30):
                found = network.step(runs[0][:, t], runs[1][:, t], runs[2][:, t : t + 1], state)
                state = found.state
                seen.append(found.logits)
            logits = torch.stack(seen, 1)
        logits[..., 2].mean().backward()
        gradients.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() >= {"log_rate", "encode.weight", "depart.weight", "judge.bias"}
    for name, ours in gradients[0].items():
        assert (ours - gradients[1][name]).abs().max() <= 1e-5 * (1 + ours.abs().max()), name


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 59), seed=st.integers(0, 5))
def test_a_sequence_in_two_parts_is_the_sequence(cut, seed):
    network, runs = untrained(), tensors(*random_runs(2, 60, seed))
    with torch.no_grad():
        whole = network(*runs)
        first = network(*(each[:, :cut] for each in runs))
        second = network(*(each[:, cut:] for each in runs), first.state)
    assert torch.allclose(torch.cat([first.logits, second.logits], 1), whole.logits, atol=1e-4)
    assert torch.allclose(second.state, whole.state, atol=1e-5)


def test_no_future_is_seen(network):
    samples, masks, dts = tensors(*random_runs(2, 50, seed=4))
    changed = samples.clone()
    changed[:, 30:] *= 0.5
    with torch.no_grad():
        before, after = network(samples, masks, dts), network(changed, masks, dts)
    assert torch.equal(before.logits[:, :30], after.logits[:, :30])
    assert not torch.equal(before.logits[:, 30:], after.logits[:, 30:])


def test_a_run_does_not_depend_on_the_others_of_the_batch(network):
    runs = tensors(*random_runs(6, 40, seed=5))
    with torch.no_grad():
        together = network(*runs)
        alone = network(*(each[2:3] for each in runs))
    assert torch.allclose(together.logits[2:3], alone.logits, atol=1e-5)
    assert torch.allclose(together.state[2:3], alone.state, atol=1e-6)


# Time


@pytest.mark.parametrize("period", [0.2, 1.0, 10.0, 60.0])
def test_half_the_period_gives_nearly_the_same_state(network, period):
    with torch.no_grad():
        coarse = network(*constant(20 * period, period)).state
        fine = network(*constant(20 * period, period / 2)).state
    assert (coarse - fine).abs().max() <= 0.02 * coarse.abs().max()


@pytest.mark.parametrize("period", [0.1, 1.0, 60.0])
def test_the_mean_of_what_never_changes_is_that_from_the_first_sample(network, period):
    samples, masks, dts = constant(30 * period, period)
    width = network.clocks * network.units
    with torch.no_grad():
        first = network(*(each[:, :1] for each in (samples, masks, dts))).state
        later = network(samples, masks, dts).state
    assert torch.allclose(first[:, : 2 * width], later[:, : 2 * width], atol=1e-4)
    known = later[0, 2 * width :]
    assert (first[0, 2 * width :] < known).all()
    assert (known > 0).all()
    assert (known <= 1).all()


def test_time_scales_span_a_third_of_a_second_to_twenty_minutes():
    scales = torch.exp(-JobNet().log_rate).tolist()
    assert scales[0] == pytest.approx(0.3)
    assert scales[-1] == pytest.approx(1200)


def test_a_gap_counts_as_one_minute(network):
    samples, masks, dts = tensors(*random_runs(1, 20, seed=6))
    long, longer = dts.clone(), dts.clone()
    long[:, 10], longer[:, 10] = GAP_S, 86400.0
    with torch.no_grad():
        assert torch.equal(network(samples, masks, long).state, network(samples, masks, longer).state)


# What is missing


def test_an_empty_sample_only_lets_what_is_known_fade(network):
    samples, masks, dts = tensors(*random_runs(1, 21, seed=7))
    masks[:, 20] = 0
    width = network.clocks * network.units
    with torch.no_grad():
        before = network(*(each[:, :20] for each in (samples, masks, dts))).state
        after = network(samples * masks, masks, dts).state
    assert torch.allclose(before[:, : 2 * width], after[:, : 2 * width], atol=1e-6)
    assert (after[:, 2 * width :] < before[:, 2 * width :]).all()


def test_hours_without_anything_leave_a_state_that_learns_anew(network):
    samples, masks, dts = (each[:1] for each in tensors(*random_runs(2, 500, seed=8)))
    masks[:, 10:490] = 0
    dts[:, 10:490] = 60.0
    with torch.no_grad():
        found = network(samples * masks, masks, dts)
    assert torch.isfinite(found.state).all()
    assert torch.isfinite(found.logits).all()
    plain = by_steps(network, samples * masks, masks, dts)
    assert torch.allclose(found.state, plain[-1], atol=1e-5)


def test_nothing_but_empty_samples_is_finite(network):
    zeros = [torch.zeros(1, 30, C), torch.zeros(1, 30, C), torch.ones(1, 30)]
    with torch.no_grad():
        found = network(*zeros)
    assert torch.isfinite(found.logits).all()
    assert (found.state == 0).all()


def test_channels_for_people_do_not_count(network):
    samples, masks, dts = tensors(*random_runs(1, 10, seed=9))
    hidden = [i for i in range(C) if i not in NETWORK_PLACES]
    changed, unmasked = samples.clone(), masks.clone()
    changed[..., hidden], unmasked[..., hidden] = 7.0, 1.0
    with torch.no_grad():
        assert torch.equal(network(samples, masks, dts).logits, network(changed, unmasked, dts).logits)


# What it is told


def test_pieces_rise_one_after_the_other():
    network = JobNet()
    edges = torch.arange(network.pieces + 1.0).repeat(len(NETWORK), 1) * 2 + 1
    network.cut.set_edges(edges)
    with torch.no_grad():
        network.encode.weight.zero_()
        network.encode.bias.zero_()
        network.encode.weight[0, : network.pieces] = 1.0  # the first channel that is read: how many pieces have risen
        for value, risen in ((0.0, 0.0), (1.0, 0.0), (2.0, 0.5), (3.0, 1.0), (6.0, 2.5), (1e9, network.pieces)):
            sample = torch.zeros(1, C)
            sample[0, NETWORK_PLACES[0]] = value
            assert network._drive(sample, torch.ones(1, C), torch.ones(1, 1)).code[0, 0] == pytest.approx(risen)


@pytest.mark.parametrize("wrong", ["falling", "negative", "too few"])
def test_edges_that_cannot_be_are_refused(wrong):
    network = JobNet()
    edges = torch.arange(network.pieces + 1.0).repeat(len(NETWORK), 1)
    broken = {"falling": edges.flip(1), "negative": edges - 1, "too few": edges[:, 1:]}[wrong]
    with pytest.raises(ValueError, match="edges have to rise"):
        network.cut.set_edges(broken)


def test_the_novelty_is_one_for_what_was_seen_and_more_elsewhere():
    network, generator = JobNet(), torch.Generator().manual_seed(0)
    kinds = torch.arange(2000) % 5
    seen = torch.randn(5, network.features, generator=generator)[kinds]
    seen = seen + 0.1 * torch.randn(2000, network.features, generator=generator)
    network.set_novelty(seen, kinds)
    with torch.no_grad():
        near, far = network._novelty(seen), network._novelty(seen + 1.0)
    assert near.mean() == pytest.approx(1.0, abs=1e-3)
    assert far.min() > 10
    assert len(network.centroids) == KINDS


def test_noise_widens_what_is_usual_and_leaves_its_mean_at_one():
    generator = torch.Generator().manual_seed(0)
    kinds = torch.arange(2000) % 5
    spread = torch.full((JobNet().features,), 0.1)
    spread[0] = 1e-4  # seen work hardly differs in the first feature
    seen = torch.randn(5, len(spread), generator=generator)[kinds]
    seen = seen + spread * torch.randn(seen.shape, generator=generator)
    noise = 0.1 * torch.randn(seen.shape, generator=generator)
    step = torch.zeros(len(spread))
    step[0] = 1.0
    novelty = {}
    for name, added in (("without", None), ("with", noise)):
        network = JobNet()
        network.set_novelty(seen, kinds, added)
        with torch.no_grad():
            assert network._novelty(seen).mean() == pytest.approx(1.0, abs=1e-3)
            novelty[name] = network._novelty(seen + step).median().item()
    assert novelty["without"] > 10 * novelty["with"] > 10


def test_temperature_flattens(network):
    runs = tensors(*random_runs(1, 10, seed=2))
    hot = untrained()
    hot.set_temperature(1e6, 1e6)
    with torch.no_grad():
        found = hot(*runs)
    assert torch.allclose(found.logits.exp(), torch.full_like(found.logits, 1 / 6), atol=1e-4)
    assert torch.allclose(found.families.exp(), torch.full_like(found.families, 1 / 12), atol=1e-4)


def test_it_is_small():
    assert sum(each.numel() for each in JobNet().parameters()) < 100_000
