"""A plan file: what it may say, and that a wrong one is refused before anything is recorded."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashwarden.cli.run_record_plan import candidates, planned
from hashwarden.errors import DataError, HashwardenError, UsageError
from hashwarden.serve.campaign import Candidate, Item
from hashwarden.serve.campaign_plan import items_in

CANDIDATES = [
    Candidate("ethash-native", "mining", "ethash", ("cupy",)),
    Candidate("sha256d", "mining", "sha256d", ("cpu", "numba")),
]


def written(tmp_path, plan):
    path = tmp_path / "plan.json"
    path.write_text(plan if isinstance(plan, str) else json.dumps(plan))
    return path


def test_everything_that_it_may_say(tmp_path):
    entry = {"workload": "ethash-native", "variant": "half", "evasion": "interleave", "size": "trace", "engine": "cupy",
             "set": {"nonces": 64}, "evasion_set": {"share": 40}, "with": ["mlp-training"],
             "beside": ["sha256d"], "seconds": 90}  # fmt: skip
    found = items_in(written(tmp_path, [entry, {"workload": "idle"}, {"workload": "sha256d"}]), CANDIDATES, "numba")
    assert found == [
        Item("ethash-native", "mining", "ethash", "interleave", "cupy", "half", "trace", ("nonces=64",),
             ("share=40",), ("mlp-training",), ("sha256d",), 90),
        Item("idle", "idle", "idle", engine="auto"),
        Item("sha256d", "mining", "sha256d", engine="numba"),
    ]  # fmt: skip
    assert found[0].stem == "ethash-native+interleave@half"


def test_few_multiprocessors_need_the_engine_that_can_do_it(tmp_path):
    (item,) = items_in(written(tmp_path, [{"workload": "sha256d", "evasion": "few-sms"}]), CANDIDATES)
    assert item.engine == "numba"


TWICE = [{"workload": "sha256d"}, {"workload": "sha256d", "set": {"hits": 2}}]


@pytest.mark.parametrize(
    ("plan", "kind", "said"),
    [
        ("", DataError, "no JSON"),
        ("[" * 100_000, DataError, "no JSON"),
        ("{}", DataError, "valid list"),
        ([], DataError, "at least 1"),
        ([{"workload": "nope"}], UsageError, "entry 1: no workload is called 'nope'"),
        ([{"workload": "sha256d", "engine": "cupy"}], UsageError, "auto, cpu, numba"),
        ([{"workload": "sha256d", "speed": 1}], DataError, "1.speed"),
        ([{"workload": "sha256d", "seconds": -1}], DataError, "1.seconds"),
        ([{"workload": "sha256d", "set": {"hits": 1.5}}], DataError, "1.set.hits"),
        ([{"workload": "sha256d", "variant": "../../etc"}], DataError, "1.variant"),
        ([{"workload": "../sha256d"}], DataError, "1.workload"),
        (TWICE, DataError, "entry 2: a second recording called sha256d"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_place(tmp_path, plan, kind, said):
    with pytest.raises(kind) as caught:
        items_in(written(tmp_path, plan), CANDIDATES)
    assert said in str(caught.value)
    assert str(tmp_path / "plan.json") in str(caught.value)


def test_no_file_and_a_huge_one(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        items_in(tmp_path / "none.json", CANDIDATES)
    with pytest.raises(DataError, match="more than 10,000,000 bytes"):
        items_in(written(tmp_path, " " * 10_000_001), CANDIDATES)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["workload", "set", "with", "seconds", "variant", "x"]), inner, max_size=4)
), max_leaves=12)  # fmt: skip


@given(JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_it_says_it_is_a_plan_or_an_error(tmp_path, plan):
    path = written(tmp_path, plan)
    said = ""
    try:
        items = items_in(path, CANDIDATES)
    except HashwardenError as error:
        items, said = [], str(error)
    assert items or said.startswith(str(path))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"workload": "sha256d", "set": {"warps": 2}}, "no parameter 'warps'"),
        ({"workload": "sha256d", "set": {"hits": 0}}, "hits = 0"),
        ({"workload": "sha256d", "size": "huge"}, "the size 'huge'"),
        ({"workload": "sha256d", "evasion": "cloak"}, "no evasion is called 'cloak'"),
        ({"workload": "sha256d", "evasion": "throttle", "evasion_set": {"share": 101}}, "share = 101"),
        ({"workload": "sha256d", "evasion_set": {"share": 10}}, "settings or company of an evasion"),
        ({"workload": "sha256d", "with": ["fma-burn"]}, "settings or company of an evasion"),
        ({"workload": "sha256d", "evasion": "pad", "with": ["nope"]}, "nope"),
        ({"workload": "sha256d", "beside": ["nope"]}, "nope"),
        ({"workload": "idle", "beside": ["sha256d"]}, "an idle GPU that does something"),
    ],
)
def test_what_a_workload_would_refuse_an_hour_later_is_refused_at_once(tmp_path, entry, said):
    with pytest.raises(UsageError) as caught:
        planned(written(tmp_path, [{"workload": "mlp-training"}, entry]), candidates(), "auto")
    assert said in str(caught.value)
    assert "plan.json: " in str(caught.value)
