"""Launches and code put together: as in the synthesised runs, with what is not known counted and never taken for 0."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.launch_board import KernelLaunches, LaunchProfile
from hashwarden.serve.sources.code_index import ROW, VALUES, merged, name_key
from hashwarden.serve.sources.code_join import MOST_KERNELS, Joiner, chosen
from hashwarden.serve.sources.code_store import CodeStore

MINER, INNOCENT = 0.99, 0.001


def row(name, mining=INNOCENT, arch=90, code=0, values=None):
    made = np.zeros(1, ROW)
    made["name"], made["code"], made["arch"] = name_key(name), code or name_key(name), arch
    made["values"] = [mining, mining, 1.0, *[0.1] * (len(VALUES) - 3)] if values is None else values
    return made


@pytest.fixture
def joiner(tmp_path):
    return Joiner(CodeStore(tmp_path / "code"))


@pytest.fixture
def write(tmp_path):
    store = CodeStore(tmp_path / "code")

    def index(key, *rows):
        store.write(key, merged(list(rows), 1000))
        return key

    return index


def launched(*kernels, pid=1, **more):
    return LaunchProfile(ProcessKey(pid, 1), 0.0, 1.0, tuple(KernelLaunches(*kernel) for kernel in kernels), **more)


def test_the_channels_mean_what_they_mean_in_the_synthesised_runs(joiner, write):
    from hashwarden.training.synthesise.codes import CODE_CHANNELS
    from hashwarden.training.synthesise.sensors_code import _code

    rng = np.random.default_rng(3)
    values = rng.random((30, len(CODE_CHANNELS))).astype(np.float32)
    for counts in (rng.integers(1, 50, 30), np.array([1000, *[1] * 29]), np.ones(30, int)):
        threads = rng.integers(32, 100_000, 30)
        synthesised = _code(counts[None].astype(float), SimpleNamespace(threads=threads, code=values), rng)
        keys = (write("a", *(row(f"k{i}", values=each) for i, each in enumerate(values))),)
        profile = launched(
            *((f"k{i}", int(n), int(n * t)) for i, (n, t) in enumerate(zip(counts, threads, strict=True)))
        )
        joiner.forget()
        found = joiner.join([(profile, keys)], 90).values
        assert set(found) == set(synthesised)
        for name in set(found) - {"code_known_ratio"}:
            assert found[name] == pytest.approx(synthesised[name][0], rel=1e-6), name
        assert found["code_known_ratio"] == 1.0


def test_all_channels_of_the_group_are_there_and_in_range(joiner, write):
    found = joiner.join([(launched(("k", 1, 32)), (write("a", row("k")),))], 90).values
    group = {channel.name: channel for channel in CHANNELS if channel.group == "code"}
    assert set(found) == set(group)
    assert all(group[name].low <= value <= group[name].high for name, value in found.items())


def test_without_any_known_code_only_that_is_said(joiner, write):
    profile = launched(("k", 3, 96), ("", 2, 64))
    assert joiner.join([(profile, ())], 90).values == {"code_known_ratio": 0.0}
    assert joiner.join([(profile, (write("a", row("other")), "absent"))], 0).values == {"code_known_ratio": 0.0}
    assert joiner.join([(launched(graph_launches=4), ())], 90).values == {"code_known_ratio": 0.0}
    assert joiner.join([(launched(), ())], 90).values == {}
    assert joiner.join([], 90).values == {}


def test_what_cannot_be_joined_is_counted_and_lowers_the_ratio(joiner, write):
    profile = launched(("k", 60, 1), ("gone", 20, 1), ("", 10, 1), graph_launches=6, dropped=4)
    joined = joiner.join([(profile, (write("a", row("k")),))], 90)
    assert joined.launches == {"joined": 60, "unknown": 20, "unnamed": 10, "graph": 6, "dropped": 4}
    assert joined.values["code_known_ratio"] == pytest.approx(0.6)
    assert joined.values["code_mining_ratio"] == pytest.approx(INNOCENT)


def test_a_heavy_kernel_without_code_leaves_the_top_missing(joiner, write):
    keys = (write("a", *(row(f"k{i}") for i in range(20))),)
    light = [(f"k{i}", 1, 1) for i in range(20)]
    assert "code_mining_top_ratio" not in joiner.join([(launched(*light, ("gone", 1, 100)), keys)], 90).values
    assert joiner.join([(launched(*light), keys)], 90).values["code_mining_top_ratio"] == 0.0


def test_processes_of_a_job_are_weighted_by_their_threads(joiner, write):
    miner, trainer = (write("m", row("mine", MINER)),), (write("t", row("train")),)
    parts = [(launched(("mine", 1, 100)), miner), (launched(("train", 1, 900), pid=2), trainer)]
    found = joiner.join(parts, 90).values
    assert found["code_mining_ratio"] == pytest.approx(0.1 * MINER + 0.9 * INNOCENT, rel=1e-5)
    assert found["code_mining_top_ratio"] == pytest.approx(MINER)


def test_one_process_is_not_joined_with_the_code_of_another(joiner, write):
    other = (write("t", row("k")),)
    joined = joiner.join([(launched(("k", 1, 1)), ()), (launched(("k", 1, 1), pid=2), other)], 90)
    assert joined.values["code_known_ratio"] == 0.5


def test_the_code_that_the_gpu_runs_counts(joiner, write):
    keys = (write("a", row("k", 0.3, 80), row("k", 0.2, 90, 7), row("k", 0.9, 120, 8)),)
    for architecture, mining in ((80, 0.3), (89, 0.3), (90, 0.2), (100, 0.2), (120, 0.9), (0, 0.9), (75, 0.9)):
        found = joiner.join([(launched(("k", 1, 1)), keys)], architecture).values
        assert found["code_mining_ratio"] == pytest.approx(mining), architecture


def test_a_miner_that_takes_an_innocent_name_is_not_diluted(joiner, write):
    innocent = [write(f"lib{i}", row("at::gemm", code=i + 1)) for i in range(9)]
    own = write("p1-1", row("at::gemm", MINER, code=99))
    found = joiner.join([(launched(("at::gemm", 1, 1)), (*innocent, own))], 90)
    assert found.values["code_mining_ratio"] == pytest.approx(MINER)
    assert joiner.top(found)[0].code_sha1 == f"{99:016x}"


def test_the_worst_of_several_is_one_kernel_and_not_a_mixture():
    rows = np.concatenate([row("k", 0.5, code=1), row("k", 0.7, code=2), row("k", 0.6, code=3)])
    assert chosen(rows, 0)["code"] == 2


def test_names_in_the_evidence_are_fit_for_a_terminal(joiner, write):
    name = "\x1b]0;owned\x07\u202ek" + "x" * 5000
    joined = joiner.join([(launched((name, 1, 10)), (write("a", row(name)),))], 90)
    (kernel,) = joiner.top(joined)
    assert kernel.name.isprintable()
    assert len(kernel.name) <= 200
    assert kernel.thread_ratio == 1.0


def test_an_index_that_is_written_anew_is_seen_after_forgetting(joiner, write):
    profile, keys = launched(("k", 1, 1)), (write("p1-1"),)
    assert joiner.count(profile, keys, 90)["unknown"] == 1
    write("p1-1", row("k"))
    joiner.forget()
    assert joiner.count(profile, keys, 90)["joined"] == 1


def test_what_is_remembered_is_bounded(joiner, write, monkeypatch):
    from hashwarden.serve.sources import code_join

    monkeypatch.setattr(code_join, "_MOST_NAMES", 100)
    monkeypatch.setattr(code_join, "_MOST_OPEN", 5)
    keys = tuple(write(f"i{n}", row(f"k{n}")) for n in range(20))
    for n in range(20):
        joiner.begin()
        profile = launched((f"k{n}", 1, 1), *((f"name{n}-{i}", 1, 1) for i in range(50)))
        assert joiner.count(profile, (keys[n],), 90) == {
            "joined": 1,
            "unknown": 50,
            "unnamed": 0,
            "dropped": 0,
            "graph": 0,
        }
    assert joiner._count <= 151
    assert len(joiner._rows) <= 3
    assert len(joiner._open) <= 5


def test_many_kernels_are_held_in_little_memory(joiner, write):
    """Each with code of its own: what was held of them once took 1.6 kB a name, 155 MiB at the bound."""
    count = 2000
    keys = (write("a", *(row(f"kernel{n}", n / count, code=n + 1) for n in range(1000))),
            write("b", *(row(f"kernel{n}", n / count, code=n + 1) for n in range(1000, count))))  # fmt: skip
    profiles = [launched(*((f"kernel{n}", 1, 1) for n in range(start, start + 500)), pid=start)
                for start in range(0, count, 500)]  # fmt: skip
    joiner.count(launched(("kernel0", 1, 1)), keys, 90)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    joined = [joiner.join([(profile, keys)], 90) for profile in profiles]
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert held < 600 * count
    assert [found.values["code_mining_ratio"] for found in joined] == [
        pytest.approx((start + 249.5) / count, rel=1e-6) for start in range(0, count, 500)
    ]  # fmt: skip
    assert joiner.top(joined[3])[0].p_mining == pytest.approx(1500 / count)


def test_launches_without_threads_still_tell_what_is_known(joiner, write):
    assert joiner.join([(launched(("k", 5, 0)), (write("a", row("k")),))], 90).values == {"code_known_ratio": 1.0}


def test_of_very_many_kernels_the_most_launched_are_looked_up_and_the_others_are_not_known(joiner, write):
    names = [f"k{i}" for i in range(MOST_KERNELS + 100)]
    profile = launched(*((name, 1, 1) for name in names))
    joined = joiner.join([(profile, (write("a", *map(row, names)),))], 90)
    assert (joined.launches["joined"], joined.launches["unknown"]) == (MOST_KERNELS, 100)
    assert joined.values["code_known_ratio"] == pytest.approx(MOST_KERNELS / (MOST_KERNELS + 100))
