"""The torch programs: they run, their checks pass, and fail where a number is false."""

import io
import time

import numpy as np
import pytest

from hashwarden.errors import CheckError, NoDeviceError
from hashwarden.kernels.workloads.learning import (
    convnet,
    diffusion,
    graph_network,
    llm,
    mlp,
    recommender,
    transformer,
    w8a8,
)

torch = pytest.importorskip("torch")

WORKLOADS = [
    workload
    for module in (mlp, convnet, transformer, graph_network, recommender, llm, w8a8, diffusion)
    for workload in module.WORKLOADS
    if workload.torch is not None
]


def prepared(workload, device="cpu", **changes):
    return workload.torch(workload.settings("small", changes), 3, device)


def named(name):
    return next(workload for workload in WORKLOADS if workload.name == name)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_two_steps_and_the_check(workload):
    run = prepared(workload)
    run.check()
    run.step()
    run.step()
    run.wait()
    run.check()
    assert run.units > 0


@pytest.mark.gpu
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_two_steps_and_the_check_on_a_gpu(workload):
    run = prepared(workload, "cuda")
    run.check()
    run.step()
    run.step()
    run.wait()
    run.check()


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_false_number_is_found(workload):
    run = prepared(workload)
    if workload.family == "w8a8":
        run.blocks[0][0].weights[0, 0] += 1
    else:
        with torch.no_grad():
            for parameter in run.model.parameters():
                parameter.mul_(1.1).add_(0.01)
    with pytest.raises(CheckError):
        run.check()


def test_training_learns():
    run = prepared(named("mlp-training"), pause_ms=0, evaluate_every=0, checkpoint_every=0)
    before = [parameter.detach().clone() for parameter in run.model.parameters()]
    run.step()
    assert all(not torch.equal(old, new) for old, new in zip(before, run.model.parameters(), strict=True))


def test_the_rhythm_of_a_training_job(monkeypatch):
    waits, saved = [], []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(torch, "save", lambda state, file: saved.append(sorted(state)))
    run = prepared(named("mlp-training"), pause_every=3, pause_ms=20, evaluate_every=4, checkpoint_every=5)
    for _ in range(4):
        run.step()
    assert waits == [0.02]
    assert run.last_evaluation == pytest.approx(np.log(5), abs=1.0)
    assert not saved
    run.step()
    assert saved == [sorted(run.model.state_dict())]


def test_a_rhythm_of_zero_is_none(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    run = prepared(named("mlp-training"), pause_every=0, evaluate_every=0, checkpoint_every=0)
    for _ in range(3):
        run.step()
    assert not hasattr(run, "last_evaluation")


def test_a_checkpoint_can_be_read_again(monkeypatch):
    save, files = torch.save, []
    monkeypatch.setattr(torch, "save", lambda state, file: (save(state, file), files.append(file)))
    run = prepared(named("mlp-training"), checkpoint_every=1)
    run.step()
    state = torch.load(io.BytesIO(files[-1].getvalue()))
    assert all(torch.equal(state[name], value) for name, value in run.model.state_dict().items())


def test_serving_idles_without_requests_and_serves_all_that_arrive(monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    run = prepared(named("llm-serving"), arrivals=0, answer=3)
    run.step()
    assert run._waiting == 0
    for _ in range(4):
        run.step()
    assert run.active == 0
    assert waits
    run._waiting = 9
    run.step()
    assert run._waiting <= 7


def test_decoding_keeps_every_slot_in_use():
    run = prepared(named("llm-decode"), pages=2)
    for _ in range(40):
        run.step()
        assert (run._lengths <= 32).all()
    assert run._waiting > 0


@pytest.mark.parametrize("shape", [(3, 8, 8), (17, 8, 16), (20, 7, 5)])
def test_integer_products_are_exact(shape):
    from hashwarden.kernels.workloads.learning.torch_w8a8 import int_product

    m, k, n = shape
    random = np.random.default_rng(0)
    a, b = random.integers(-127, 128, (m, k), np.int8), random.integers(-127, 128, (k, n), np.int8)
    got = int_product(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_array_equal(got, a.astype(np.int64) @ b.astype(np.int64))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_error_says_so():
    with pytest.raises(NoDeviceError, match="no GPU"):
        prepared(named("mlp-training"), "cuda")
