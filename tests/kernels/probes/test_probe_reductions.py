"""Quantiles and gap totals: the reference against NumPy, then CUDA C and Numba against the reference."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="it draws the cases")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashwarden.kernels.probes import numba_engine, reference
from hashwarden.kernels.probes.device import Launch
from hashwarden.kernels.probes.probe import ARCHITECTURES, PERMILLES
from hashwarden.kernels.probes.reference import BINS, NOTHING
from hashwarden.kernels.sass.cubin import read_cubin

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
LATENCIES = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1), st.sampled_from([127, 128, 2**31, 2**32 - 1]))
PERMILLE_ARRAY = np.array(PERMILLES, np.uint32)


def on_cuda_c(device):
    def quantiles(samples, counts, permilles):
        for name, data in (("samples", samples), ("counts", counts), ("permilles", permilles)):
            device.allocate(name, data)
        device.allocate("values", np.zeros((len(counts), len(permilles)), np.uint32))
        sizes = (np.uint32(samples.shape[1]), "permilles", np.uint32(len(permilles)))
        device.run([Launch("row_quantiles", len(counts), 32, ("samples", "counts", *sizes, "values"))])
        return device.read("values")

    def totals(lengths, counts, spans):
        for name, data in (("lengths", lengths), ("counts", counts), ("spans", spans)):
            device.allocate(name, data)
        device.allocate("totals", np.zeros(5, np.uint64))
        device.allocate("row", np.zeros(lengths.size, np.uint32))
        device.allocate("row_count", np.zeros(1, np.uint32))
        sizes = (np.uint32(lengths.shape[0]), np.uint32(lengths.shape[1]))
        arguments = ("lengths", "counts", "spans", *sizes, "totals", "row", "row_count")
        device.run([Launch("gap_totals", 1, 1, arguments)])
        return device.read("totals"), device.read("row")[: int(device.read("row_count")[0])]

    return quantiles, totals


def on_numba(launch):
    def quantiles(samples, counts, permilles):
        return numba_engine.row_quantiles(samples, counts, permilles, launch)

    def totals(lengths, counts, spans):
        return numba_engine.gap_totals(lengths, counts, spans, launch)

    return quantiles, totals


@pytest.fixture(
    params=[
        pytest.param("cuda c", marks=pytest.mark.skipif(SIMULATED, reason="the simulator is for Numba")),
        pytest.param("numba cpu", marks=pytest.mark.skipif(SIMULATED, reason="Numba compiles nothing here")),
        pytest.param("numba simulator", marks=pytest.mark.skipif(not SIMULATED, reason="run in a process of its own")),
    ]
)
def engine(request):
    if request.param == "cuda c":
        return on_cuda_c(request.getfixturevalue("host")())
    return on_numba(numba_engine.run_on_cpu if request.param == "numba cpu" else numba_engine.run_on_gpu)


def test_bins_cover_every_value_once_and_are_narrow():
    edges = reference.bin_edges()
    assert edges[0] == 0
    assert np.all(np.diff(edges) > 0)
    assert np.array_equal(reference.bin_of(edges.astype(np.uint32)), np.arange(BINS))
    ends = np.append(edges[1:], 2**32) - 1
    assert np.array_equal(reference.bin_of(ends.astype(np.uint32)), np.arange(BINS))
    assert np.all((ends - edges) * 64 <= edges)


@given(st.lists(LATENCIES, min_size=1, max_size=300))
def test_the_reference_is_numpys_quantile_of_rounded_values(values):
    samples = np.array([values], np.uint32)
    got = reference.row_quantiles(samples, np.array([len(values)], np.uint32), PERMILLE_ARRAY)
    rounded = reference.bin_edges()[reference.bin_of(samples[0])]
    # Thousandths as exact fractions: 0.99 * 100 in floating point would ask for one value more.
    ranks = [max(-(-len(values) * q // 1000), 1) for q in PERMILLES]
    np.testing.assert_array_equal(got[0], np.sort(rounded)[np.array(ranks) - 1])


def test_the_reference_is_numpys_inverted_cdf():
    samples = np.random.default_rng(5).integers(0, 128, (1, 997)).astype(np.uint32)
    got = reference.row_quantiles(samples, np.array([997], np.uint32), PERMILLE_ARRAY)
    expected = np.quantile(samples[0], np.array(PERMILLES) / 1000, method="inverted_cdf")
    np.testing.assert_array_equal(got[0], expected)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(LATENCIES, max_size=40), min_size=1, max_size=4), extra=st.integers(1, 3))
def test_engines_agree_on_quantiles(engine, rows, extra):
    samples = np.full((len(rows), max(map(len, rows)) + extra), 77, np.uint32)
    for row, values in enumerate(rows):
        samples[row, : len(values)] = values
    counts = np.array([len(values) for values in rows], np.uint32)
    permilles = np.array([0, 10, 500, 999, 1000], np.uint32)
    expected = reference.row_quantiles(samples, counts, permilles)
    np.testing.assert_array_equal(engine[0](samples, counts, permilles), expected)
    assert np.all(expected[counts == 0] == NOTHING)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    capacity=st.integers(1, 4),
)
def test_engines_agree_on_gap_totals(engine, data, counts, capacity):
    gaps = st.integers(0, 2**34)
    shape = (len(counts), capacity)
    flat = data.draw(st.lists(gaps, min_size=shape[0] * capacity, max_size=shape[0] * capacity))
    lengths = np.array(flat, np.uint64).reshape(shape)
    begins = np.array(data.draw(st.lists(gaps, min_size=shape[0], max_size=shape[0])), np.uint64) + np.uint64(2**60)
    spans = np.stack([begins, begins + np.uint64(20_000), begins, begins], axis=1)
    found = np.array(counts, np.uint32)
    totals, row = engine[1](lengths, found, spans)
    expected, expected_row = reference.gap_totals(lengths, found, spans)
    np.testing.assert_array_equal(totals, expected)
    np.testing.assert_array_equal(row, expected_row)
    kept = [int(value) for block, count in enumerate(counts) for value in lengths[block, :count]]
    watched = 20_000 * len(counts)
    assert expected.tolist() == [sum(counts), len(kept), sum(kept), max(kept, default=0), watched]


@pytest.mark.skipif(SIMULATED, reason="Numba compiles nothing here")
@pytest.mark.parametrize(
    ("body", "arrays"),
    [
        (numba_engine.count_samples, [("u4", 2), ("u4", 1), ("u4", 2)]),
        (numba_engine.pick_quantiles, [("u4", 1), ("u4", 2), ("u4", 1), ("u4", 2)]),
        (numba_engine.sum_gaps, [("u8", 2), ("u4", 1), ("u8", 2), ("u8", 1), ("u4", 1)]),
    ],
)
def test_the_numba_bodies_compile_for_every_architecture(body, arrays):
    from hashwarden.kernels.workloads.engines.offline import cubin_of, ptx_of

    plan = SimpleNamespace(arrays={str(i): np.zeros((1,) * rank, dtype) for i, (dtype, rank) in enumerate(arrays)})
    ptx = ptx_of(SimpleNamespace(body=body, arguments=tuple(plan.arrays)), plan)
    for arch in ARCHITECTURES:
        cubin = read_cubin(cubin_of(ptx, arch), "numba.cubin")
        assert (len(cubin), f"sm_{cubin.arch}") == (1, arch)


@pytest.mark.skipif(SIMULATED, reason="this is what starts the simulator")
def test_the_reductions_in_the_simulator():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "engines_agree"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "2 passed" in done.stdout
