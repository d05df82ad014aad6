"""Logs whose features can be said beforehand."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="it draws the cases")

from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.kernels.device import SIMULATED
from hashwarden.kernels.memory.features import FEATURES
from hashwarden.kernels.memory.log import Recorder, Sampling
from hashwarden.kernels.memory.patterns import NAMES, patterns

pytestmark = pytest.mark.skipif(SIMULATED, reason="compiled for the CPU")

LANES = np.arange(32)


def test_a_stream(log_of):
    # 32 lanes read 4 bytes each, side by side, and go on behind all of them.
    steps = np.arange(64)[:, None]
    found = patterns(log_of(steps * 256 + np.arange(64) * 4))
    expected = {
        "lanes": 32, "full_requests": 1, "sectors_load": 4, "sectors_3_4": 1, "efficiency_log2": 0, "useful_bytes": 1,
        "width_4": 1, "stride_zero": 0, "stride_unit": 0, "stride_constant": 1, "stride_irregular": 0,
        "stride_upwards": 1, "stride_in_small_page": 1, "lane_unit": 1, "lane_constant": 1, "line_cold": 1,
        "line_miss_32m": 1, "sector_cold": 1, "footprint_lines": 7, "footprint_sectors": 9, "footprint_pages": 0,
        "sectors_of_line": 1, "footprint_at_quarter": 0.25, "footprint_at_half": 0.5, "lines_read_only": 1,
        "lines_of_small_page": 1, "large_page_evenness": 1, "small_page_evenness": 1, "small_page_entropy": 2,
        "difference_entropy": 0, "read_share": 1, "write_share": 0, "dependent_share": 0, "depth_longest": 0,
        "footprint_variation": 0, "working_set_distance": 1, "phase_changes": 0, "lost_share": 0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert all(np.isnan(found[name]) for name in ("sectors_store", "loads_before_store"))


def test_a_strided_walk(log_of):
    # Each lane a line of its own: 32 sectors a request, of each 4 bytes asked for.
    found = patterns(log_of(np.arange(32)[:, None] * 4096 + LANES * 128))
    expected = {
        "sectors_load": 32, "sectors_17_32": 1, "efficiency_log2": -3, "useful_bytes": 1 / 8, "lane_constant": 1,
        "lane_unit": 0, "lane_irregular": 0, "lane_in_small_page": 1, "sectors_of_line": 0.25,
        "bit_entropy_05": 0, "bit_entropy_06": 0, "bit_entropy_07": 1, "bit_entropy_11": 1, "bit_entropy_16": 1,
        "bit_entropy_17": 0, "bit_entropy_high": 0, "small_page_entropy": 5,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_a_random_gather(log_of):
    random = np.random.default_rng(0)
    found = patterns(log_of(random.integers(0, 1 << 24, (200, 256)) * 4, depth=1))
    assert found["sectors_load"] > 31.9
    assert found["stride_irregular"] > 0.999
    assert found["difference_entropy"] > 0.95
    assert found["bit_entropy_middle"] > 0.999
    assert found["line_miss_1m"] > 0.95
    assert found["dependent_share"] == 1
    assert found["small_page_evenness"] > 0.95
    assert found["stride_upwards"] == pytest.approx(0.5, abs=0.01)


def test_a_pointer_chase(log_of):
    # One thread goes round a ring of 512 lines eight times: each line comes back after 511 others.
    ring = np.random.default_rng(1).permutation(512)
    found = patterns(log_of(np.tile(ring, 8)[:, None] * 128, depth=np.arange(4096)[:, None]))
    expected = {
        "lanes": 1, "sectors_1_1": 1, "line_reuse_256": 7 / 8, "line_cold": 1 / 8, "line_miss_32k": 1,
        "line_miss_1m": 1 / 8, "footprint_lines": 9, "depth_longest": 12, "references_of_line": 3,
        "footprint_at_quarter": 1,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["dependent_share"] == pytest.approx(4095 / 4096)
    assert found["depth_median"] == pytest.approx(11, abs=0.01)


def test_a_broadcast(log_of):
    found = patterns(log_of(np.zeros((100, 32))))
    expected = {
        "sectors_load": 1, "efficiency_log2": 2, "useful_bytes": 1 / 8, "lane_zero": 1, "stride_zero": 1,
        "line_reuse_0": 0.99, "line_cold": 0.01, "small_page_entropy": 0, "small_page_evenness": 1,
        "bit_entropy_low": 0, "working_set_distance": 0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def tiled_gemm(log_of, size=64, tile=8):
    """C = A B of float32: for each tile, a thread for each element loads a row of A and a column of B."""
    y, x = (index.ravel() for index in np.indices((size, size)))
    order = np.lexsort((x % tile, y % tile, x // tile, y // tile))
    y, x = y[order], x[order]
    rows, sites = [], []
    for k in range(size):
        rows += [(y * size + k) * 4, (1 << 21) + (k * size + x) * 4]
        sites += [0, 1]
    rows.append((2 << 21) + (y * size + x) * 4)
    sites.append(2)
    kind = (np.array(sites) == 2).astype(int)[:, None]
    return log_of(np.array(rows), site=np.array(sites)[:, None], kind=kind)


def test_a_tiled_gemm(log_of):
    found = patterns(tiled_gemm(log_of))
    # A warp is 4 rows by 8 columns: A gives 4 lines to a request, B one sector; the store 4 sectors.
    assert found["sectors_load"] == pytest.approx((4 + 1) / 2)
    assert found["sectors_store"] == 4
    assert found["stride_constant"] == 1
    assert found["difference_entropy"] == pytest.approx(0)
    assert found["read_share"] == pytest.approx(128 / 129)
    assert found["lines_read_only"] == pytest.approx(2 / 3)
    assert found["lines_write_only"] == pytest.approx(1 / 3)
    assert found["footprint_pages"] == pytest.approx(np.log2(3))
    assert found["loads_before_store"] == 8  # 128 loads: the bin of 128 to 255
    assert found["line_miss_1m"] < 0.02


def test_a_phase_change_is_seen(log_of):
    # The first half streams and stores, the second reads one line over and over.
    stream = np.arange(64)[:, None] * 128 + LANES * 4
    log = log_of(np.concatenate([stream, np.zeros_like(stream)]), kind=np.repeat([1, 0], 64)[:, None])
    found = patterns(log)
    assert found["phase_changes"] == pytest.approx(1 / 31)
    assert found["read_share_deviation"] == pytest.approx(0.5)
    assert found["footprint_at_half"] == 1


def test_lines_by_what_is_done_to_them(log_of):
    kinds = [(0, 0), (1, 1), (0, 1), (1, 0), (2, 0), (0, 2)]
    address = np.broadcast_to(np.arange(6) * 128, (2, 6))
    found = patterns(log_of(address, kind=np.array(kinds).T))
    assert found.counts.line_classes.tolist() == [1, 1, 2, 2]


def test_sites_of_a_divergent_warp_are_requests_of_their_own(log_of):
    found = patterns(log_of(LANES[None] * 4, site=LANES[None] % 2))
    assert found["lanes"] == 16
    assert found.counts.lanes[16] == 2
    # Lanes of a site are two apart: none has the next lane beside it.
    assert np.isnan(found["lane_unit"])


def test_an_access_may_cross_sectors_and_lines(log_of):
    found = patterns(log_of([[120]], width=16))
    assert found["sectors_2_2"] == 1
    assert found["footprint_lines"] == 1
    assert found["useful_bytes"] == pytest.approx(16 / 64)


def test_the_recorded_hash_join_looks_like_one():
    from hashwarden.kernels.workloads.engines.cpu import CpuEngine
    from hashwarden.kernels.workloads.others.hash_join import WORKLOADS

    recorder = Recorder(capacity=1 << 20)
    settings_ = WORKLOADS[0].settings("trace", {"build_rows": 1 << 15, "probe_rows": 1 << 14})
    engine = CpuEngine(WORKLOADS[0].build(settings_, 0), recorder)
    engine.setup()
    engine.step()
    found = patterns(recorder.log())
    assert found.complete
    assert found["atomic_share"] > 0.2
    assert found["dependent_share"] > 0.4
    # Rows are read side by side, the table at random: few sectors at some sites, one for each lane at others.
    assert found["sectors_3_4"] > 0.1
    assert found["sectors_atomic"] > 5
    assert found["lane_irregular"] > 0.3
    # A thread that finds its slot taken goes on to the next one.
    assert found["stride_unit"] == 1
    assert found["bit_entropy_low"] > 0.95
    assert found["phase_changes"] > 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), pages=st.integers(0, 1 << 16))
def test_neither_the_order_of_rows_nor_a_shift_by_pages_matters(random_log, seed, pages):
    log = random_log(seed, threads=40, steps=6)
    random = np.random.default_rng(seed).permutation(len(log))
    moved = replace(log, **{name: column[random] for name, column in log.columns().items()})
    moved = replace(moved, address=moved.address + (pages << 21))
    np.testing.assert_array_equal(patterns(log).values, patterns(moved).values)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10000), by_line=st.booleans())
def test_values_lie_in_their_ranges(random_log, seed, by_line):
    found = patterns(random_log(seed, threads=33, steps=5, by_line=by_line))
    for feature, value in zip(FEATURES, found.values, strict=True):
        assert np.isnan(value) or feature.low <= value <= feature.high, feature.name


def test_twice_as_long_a_run_looks_the_same(log_of):
    steps = np.arange(128)[:, None]
    short, long = (patterns(log_of(np.tile(steps[:n] * 256 + LANES * 4, (2, 1)))) for n in (64, 128))
    sized = ("footprint_", "bit_", "large_", "small_", "line_reuse", "sector_reuse")
    alike = [feature.name for feature in FEATURES if not feature.name.startswith(sized)]
    for name in alike:
        assert short[name] == pytest.approx(long[name], abs=0.02, nan_ok=True), name


def test_names_are_unique_and_values_are_found_by_them(log_of):
    found = patterns(log_of([[0, 4]]))
    assert len(set(NAMES)) == len(NAMES) == len(found.values)
    assert found.as_dict()["lanes"] == found["lanes"] == 2


def test_an_empty_log_tells_nothing(log_of):
    found = patterns(log_of(np.zeros((0, 32))))
    assert found.accesses == 0
    assert np.isnan(found.values).all()
    lost = patterns(log_of(np.zeros((0, 32)), lost=5))
    assert lost["lost_share"] == 1
    assert not lost.complete


UNKNOWN = {
    "every_warp": (
        Sampling(every_warp=8),
        "footprint_lines line_cold lines_read_only working_set_distance",
        "lanes stride_unit bit_entropy_07",
    ),
    "every_access": (
        Sampling(every_access=8),
        "stride_unit line_miss_1m loads_before_store footprint_lines",
        "lanes lane_unit depth_mean",
    ),
    "by_line": (
        Sampling(every_access=8, by_line=True),
        "lanes sectors_load lane_unit stride_unit small_page_entropy",
        "line_cold footprint_lines read_share",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_a_sampling_hides_is_nan(name, log_of):
    sampling, hidden, known = UNKNOWN[name]
    address = np.arange(16)[:, None] * 128 + LANES * 4
    found = patterns(log_of(address, sampling=sampling))
    assert all(np.isnan(found[one]) for one in hidden.split())
    assert not any(np.isnan(found[one]) for one in known.split())
    unknown = {feature.name for feature in FEATURES if name in feature.unknown}
    assert unknown <= {one for one in NAMES if np.isnan(found[one])}
    assert set(hidden.split()) <= unknown


def test_a_lost_access_is_carried_along(log_of):
    found = patterns(log_of([[0, 4, 8]], lost=1))
    assert found["lost_share"] == 0.25
    assert found.lost == 1
    assert not found.complete
