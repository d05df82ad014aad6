"""A plan of recordings: the order, what fits, what is skipped and why, and going on later."""

from __future__ import annotations

import json
import time
from threading import Event

import pytest

from hashwarden.errors import CheckError, MemoryShortError
from hashwarden.serve.campaign import IDLE, Candidate, Item, items_of, run_campaign
from hashwarden.serve.journal import Journal, StorageError, journal_of
from hashwarden.serve.record_work import Done
from hashwarden.serve.recorder import Tally, run_of, vector
from hashwarden.serve.sources.source import Device

CANDIDATES = [
    Candidate("ethash", "mining", "ethash", ("cpu", "numba")),
    Candidate("ethash-native", "mining", "ethash", ("cupy",)),
    Candidate("sha256d", "mining", "sha256d", ("cpu", "numba")),
    Candidate("mlp-training", "training", "mlp", ("cpu", "numba", "torch")),
    Candidate("mlp-inference", "inference", "mlp", ("cpu", "numba", "torch")),
]


def stems(engine="auto", evasions=("pad", "few-sms")):
    return [item.stem for item in items_of(CANDIDATES, evasions, engine)]


def test_the_most_telling_come_first():
    assert stems() == [
        "idle", "ethash-native", "mlp-training", "mlp-inference", "sha256d",
        "ethash-native+pad", "sha256d+pad", "sha256d+few-sms", "ethash", "ethash+pad", "ethash+few-sms",
    ]  # fmt: skip


def test_engines_that_cannot_are_left_out():
    assert stems("cpu", ("pad", "few-sms")) == [
        "idle", "mlp-training", "mlp-inference", "ethash", "sha256d", "ethash+pad", "sha256d+pad"
    ]  # fmt: skip
    few = [item for item in items_of(CANDIDATES, ["few-sms"]) if item.evasion]
    assert {item.engine for item in few} == {"numba"}, "only that engine limits blocks"


class World:
    """Recording takes time, and may fail."""

    def __init__(self, takes=10.0, fails=()):
        self.now, self.takes, self.fails, self.asked = 0.0, takes, dict(fails), []

    def __call__(self):
        return self.now

    def record(self, item, path, start_limit_s):
        self.asked.append((item.stem, start_limit_s))
        self.now += self.takes
        if item.stem in self.fails:
            raise self.fails[item.stem]
        path.write_text("trace")
        return Done(path, 42, "construction", "", Tally())


ITEMS = [Item(name, "mining", "ethash") for name in "abcde"]


def run(world, folder, within=1000.0, seconds=5.0, stop=None, items=ITEMS):
    found = run_campaign(
        items, folder, world.record, seconds=seconds, within_s=within, stop=stop or Event(), clock=world
    )
    return [(result.item.name, result.status) for result in found], found


def test_all_that_fits_is_recorded_and_the_rest_named_with_the_reason(tmp_path):
    world = World(takes=10.0)
    words, found = run(world, tmp_path, within=45.0)
    assert words == [("a", "recorded"), ("b", "recorded"), ("c", "recorded"), ("d", "recorded"), ("e", "skipped")]
    assert found[-1].reason == "no time: 5 s left, about 10 s needed", "the guess became what was measured"
    assert world.asked[0] == ("a", 40.0), "a workload may take what is left without its run"
    noted = json.loads((tmp_path / "plan.json").read_text())
    assert [entry["status"] for entry in noted] == ["recorded"] * 4 + ["skipped"]
    assert (noted[0]["samples"], noted[0]["item"]["name"]) == (42, "a")


def test_what_was_recorded_is_not_recorded_again(tmp_path):
    run(World(takes=12.0), tmp_path, within=21.0)
    world = World()
    words, found = run(world, tmp_path)
    assert [name for name, _ in world.asked] == ["b", "c", "d", "e"], "21 s sufficed for one"
    assert (words[0], found[0].reason) == (("a", "skipped"), "recorded already")


def test_one_that_fails_does_not_end_the_plan(tmp_path):
    short, wrong = MemoryShortError("1 byte", "2 bytes", "Buy more."), CheckError("1", "2", "Repair it.")
    world = World(fails={"b": short, "c": wrong})
    words, found = run(world, tmp_path)
    assert words[1:3] == [("b", "skipped"), ("c", "failed")], "what this machine cannot do is nobody's fault"
    assert "2 bytes" in found[1].reason
    assert len(world.asked) == 5


def test_a_full_disk_does(tmp_path):
    world = World(fails={"b": StorageError("full", "room", "Make room.")})
    with pytest.raises(StorageError):
        run(world, tmp_path)
    assert len(world.asked) == 2


def test_when_stopped_the_rest_is_skipped(tmp_path):
    stop = Event()
    stop.set()
    _, found = run(World(), tmp_path, stop=stop)
    assert {result.reason for result in found} == {"interrupted"}


def test_what_a_killed_recorder_left_is_kept_beside_the_new_one(tmp_path):
    for _ in range(2):
        journal = Journal(tmp_path / "a.parquet", [run_of(Device("g", 0), 0.1, "a", {})])
        journal.append(0, 0.0, 1e9, vector({"power_watts": 1.0}))
        journal.close()
        (tmp_path / "a.parquet").unlink(missing_ok=True)
        run(World(), tmp_path, items=ITEMS[:1])
    journal = Journal(tmp_path / "b.parquet", [])
    journal.close()
    run(World(), tmp_path, items=ITEMS[1:2])
    assert sorted(path.name for path in tmp_path.glob("*.parquet*")) == [
        "a.cut-off-1.parquet", "a.cut-off-2.parquet", "a.parquet", "b.parquet"
    ]  # fmt: skip
    assert not journal_of(tmp_path / "a.parquet").exists()


def test_names_of_files():
    assert Item("ethash", "mining", "ethash", "pad").stem == "ethash+pad"
    assert Item(IDLE, "idle", "idle").stem == "idle"
    assert Item("ethash", "mining", "ethash", "pad", variant="half").stem == "ethash+pad@half"
    assert Item("ethash", "mining", "ethash", variant="half").stem == "ethash@half"


def test_an_item_may_have_a_length_of_its_own(tmp_path):
    long = Item("long", "mining", "ethash", seconds=60.0)
    world = World(takes=70.0)
    _, found = run(world, tmp_path, within=150.0, items=[long, *ITEMS])
    assert world.asked[0] == ("long", 90.0)
    assert world.asked[1] == ("a", 75.0), "80 s are left, and 5 s are for its run"
    assert [result.status for result in found] == ["recorded", "recorded", *["skipped"] * 4]
    noted = json.loads((tmp_path / "plan.json").read_text())
    assert abs(noted[0]["began_unix_s"] - time.time()) < 600
    assert noted[-1]["began_unix_s"] == 0
