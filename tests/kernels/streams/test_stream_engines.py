"""Every engine computes what the NumPy reference defines; the CUDA C compiles for every architecture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from hashwarden.kernels.streams import cpu, raw, reference, spectra, synthetic
from hashwarden.kernels.streams.reduced import Plan, Reduced

Engine = Callable[[np.ndarray, Plan], Reduced]


def mixed(samples: int, channels: int, missing: float, seed: int) -> np.ndarray:
    """Channels of every kind: periodic, bursty, constant, absent, noise around zero."""
    kinds = [
        synthetic.duty_cycle(samples, 97, 0.4) + np.abs(synthetic.noise(samples, 1, seed)),
        synthetic.requests(samples, 0.01, 9, seed),
        np.full(samples, 7.0),
        np.full(samples, np.nan),
        synthetic.noise(samples, 5, seed + 1),
        np.zeros(samples),
        synthetic.training(samples, 61, 0.05, seed) + synthetic.noise(samples, 2, seed + 2),
    ]
    window = np.stack(kinds[:channels], axis=1).astype(np.float32)
    window[np.random.default_rng(seed).random(window.shape) < missing] = np.nan
    return window


def check(engine: Engine, window: np.ndarray, activity: int = 0) -> None:
    plan = Plan(*window.shape, 1e-3, activity)
    expected, found = reference.reduce(window, plan), engine(window, plan)
    for field in dataclasses.fields(Reduced):
        a, b = np.asarray(getattr(expected, field.name)), np.asarray(getattr(found, field.name))
        assert b.shape == a.shape, field.name
        np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-9, err_msg=field.name)


WINDOWS = [(1, 1, 0.0), (2, 3, 0.5), (63, 2, 0.0), (64, 7, 0.1), (700, 7, 0.0), (4001, 7, 0.03), (40_000, 3, 0.3)]


@pytest.mark.parametrize(("samples", "channels", "missing"), WINDOWS)
def test_numba_equals_the_reference(samples: int, channels: int, missing: float) -> None:
    check(cpu.reduce, mixed(samples, channels, missing, seed=samples), activity=channels // 2)


@pytest.mark.parametrize(("samples", "channels", "missing"), WINDOWS)
def test_cuda_c_on_the_cpu_equals_the_reference(
    host_launch: Callable[..., None], samples: int, channels: int, missing: float
) -> None:
    def engine(window: np.ndarray, plan: Plan) -> Reduced:
        return raw.reduce_on(np, host_launch, np.ascontiguousarray(window, np.float32), plan)

    check(engine, mixed(samples, channels, missing, seed=samples), activity=channels // 2)


@pytest.mark.gpu
@pytest.mark.parametrize(("samples", "channels", "missing"), WINDOWS)
def test_cupy_equals_the_reference(samples: int, channels: int, missing: float) -> None:
    check(raw.reduce, mixed(samples, channels, missing, seed=samples), activity=channels // 2)


@pytest.mark.parametrize("engine", [cpu.reduce, pytest.param(raw.reduce, marks=pytest.mark.gpu)])
def test_strided_and_double_windows(engine: Engine) -> None:
    window = mixed(900, 6, 0.02, seed=5)
    check(engine, window[::3, ::2])
    plan = Plan(900, 6, 1e-3, 0)
    np.testing.assert_allclose(engine(window.astype(np.float64), plan).mean, engine(window, plan).mean, rtol=1e-12)


def test_transforms_have_lengths_that_they_like() -> None:
    for least in (1, 2, 3, 97, 1000, 19_048, 16_384 + 5461):
        size = spectra._fast_size(least)
        assert size >= least
        assert size % 2 == 0
        assert size <= max(2, 1.2 * least + 2)
        for prime in (2, 3, 5):
            while size % prime == 0:
                size //= prime
        assert size == 1


def test_a_spectrum_of_many_portions(host_launch: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectra, "BATCH", 3)
    window = mixed(4001, 3, 0.1, seed=8)
    plan = Plan(4001, 3, 1e-3, 0)
    expected = reference.reduce(window, plan).psd
    assert plan.segments == 14
    np.testing.assert_allclose(cpu.reduce(window, plan).psd, expected, rtol=1e-8)
    np.testing.assert_allclose(raw.reduce_on(np, host_launch, window, plan).psd, expected, rtol=1e-8)


@pytest.mark.parametrize("activity_starts", [1, 255, 256, 257, 511, 512, 700])
def test_bursts_over_the_edges_of_chunks(host_launch: Callable[..., None], activity_starts: int) -> None:
    window = np.zeros((1200, 2), np.float32)
    window[activity_starts::300, 0] = 9
    window[activity_starts : activity_starts + 280, 1] = 9
    plan = Plan(1200, 2, 1.0, 0)
    found = raw.reduce_on(np, host_launch, window, plan).bursts
    np.testing.assert_array_equal(found, reference.reduce(window, plan).bursts)
    # 0.5 % of the samples are no peak of the first channel; the second is active once.
    assert found[1, 3:].tolist() == [1, 280, 280**2]


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100", "sm_120"])
def test_cuda_c_compiles(architecture: str) -> None:
    from cuda.core import Program, ProgramOptions

    code = bytes(Program(raw.source(), "c++", ProgramOptions(arch=architecture)).compile("cubin").code)
    assert all(kernel.encode() in code for kernel in raw.KERNELS)
