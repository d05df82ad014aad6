"""The study of memory patterns: families are truly held out, faults are named, the committed table is current."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashwarden.errors import DataError
from hashwarden.kernels.memory.patterns import NAMES
from hashwarden.kernels.workloads.registry import find, workloads
from hashwarden.training.memory import study, table

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "data" / "memory_patterns" / "patterns.parquet"


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    monkeypatch.setattr(study, "TREES", 60)


def made(separable: bool, families: int = 8, rows: int = 12) -> study.Table:
    """Families of which every other one mines; one feature tells, or none does."""
    random = np.random.default_rng(3)
    size = families * rows
    family = np.repeat([f"family-{number}" for number in range(families)], rows)
    label = np.where(np.arange(size) // rows % 2 == 0, "mining", "training")
    features = random.standard_normal((size, 4))
    features[:, 2] = np.nan
    if separable:
        features[:, 1] += 6 * (label == "mining")
    settings = np.arange(size).astype(str)
    return study.Table(features, ("a", "b", "c", "d"), family, settings, label, family, "made up")


def test_what_can_be_told_is_told():
    found = study.study(made(separable=True))
    assert found.auroc > 0.99
    assert found.auroc_family_out > 0.99
    assert found.auroc_against_learning > 0.99
    assert found.auroc_of_learning > 0.99
    assert found.balanced_accuracy > 0.95
    assert found.importance[0][0] == "b"


def test_what_cannot_be_told_is_not_told_by_the_family():
    """Every family has features of its own; rows of the held-out one in training would give it away."""
    noise = made(separable=False)
    noise.features[:, 0] = np.repeat(np.arange(8), 12) + 0.01 * noise.features[:, 0]
    assert study.study(noise).auroc < 0.75


def test_no_forest_sees_the_family_that_it_judges(monkeypatch):
    data, seen = made(separable=True), []
    fit = study._forest

    def spy(table_, rows, target, seed):
        seen.append(set(table_.family[rows]))
        return fit(table_, rows, target, seed)

    monkeypatch.setattr(study, "_forest", spy)
    monkeypatch.setattr(study, "TREES", 5)
    study.judge_held_out(data, data.label == "mining", study.kin_of(data))
    missing = [set(data.family) - families for families in seen]
    assert all(len(families) == 1 for families in missing)
    assert len(set().union(*missing)) == 8


def test_kin_are_held_out_together(monkeypatch):
    data, seen = made(separable=True), []
    data.family[:24] = np.repeat(["ethash", "fishhash"], 12)
    fit = study._forest

    def spy(table_, rows, target, seed):
        seen.append(set(table_.family[rows]))
        return fit(table_, rows, target, seed)

    monkeypatch.setattr(study, "_forest", spy)
    monkeypatch.setattr(study, "TREES", 5)
    study.judge_held_out(data, data.label == "mining", study.kin_of(data))
    assert all(("ethash" in families) == ("fishhash" in families) for families in seen)
    assert any("ethash" not in families for families in seen)
    seen.clear()
    study.judge_held_out(data, data.label == "mining", data.family)
    assert any(("ethash" in families) != ("fishhash" in families) for families in seen)


def test_every_family_weighs_the_same():
    data = made(separable=True)
    data.family[:30] = "family-0"
    weights = study._weights(data, np.ones(len(data), bool))
    sums = {family: weights[(data.family == family) & (data.label == "mining")].sum() for family in set(data.family)}
    assert len({round(value, 9) for value in sums.values() if value}) == 1
    assert weights[data.label == "mining"].sum() == pytest.approx(weights[data.label != "mining"].sum())


def test_a_family_is_recognised_by_what_is_its_own():
    noise = made(separable=False)
    assert study.recognised(noise) < 0.4
    noise.features[:, 0] = np.repeat(np.arange(8), 12) + 0.01 * noise.features[:, 0]
    assert study.recognised(noise) > 0.9


def test_a_missing_table_or_column_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        study.load(tmp_path / "nothing.parquet")
    (tmp_path / "cut.parquet").write_bytes(DATA.read_bytes()[:5000])
    with pytest.raises(DataError, match="Parquet cannot read"):
        study.load(tmp_path / "cut.parquet")
    pq.write_table(pa.table({"workload": ["a"]}), tmp_path / "few.parquet")
    with pytest.raises(DataError, match="no column"):
        study.load(tmp_path / "few.parquet")


def test_a_report_is_written(tmp_path):
    names = {name: np.random.default_rng(0).standard_normal(40) for name in NAMES}
    family = [f"f{row % 8}" for row in range(40)]
    label = ["mining" if row % 2 else "inference" for row in range(40)]
    columns = {
        "workload": family,
        "settings": [str(row) for row in range(40)],
        "label": label,
        "family": family,
        **names,
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    page = study.run(tmp_path / "rows.parquet", tmp_path / "report")
    assert "| f1 | mining | 1 | 5 |" in page.read_text()
    assert (tmp_path / "report" / "memory-families.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "report" / "memory-evaluation.json").read_text())["rows"] == 40


def test_a_row_repeats():
    workload = find("hash-join")
    settings = workload.settings("small")
    first, second = (table.record(workload, settings, 0) for _ in range(2))
    assert len(first) > 200
    assert all(np.array_equal(first.columns()[name], second.columns()[name]) for name in first.columns())


def test_variations_stay_within_the_limits():
    found = list(table.variations(find("hash-join")))
    assert found[0] == find("hash-join").settings("trace")
    assert len(found) == 5


def test_the_committed_table_holds_every_workload_with_a_trace():
    rows = study.load(DATA)
    traced = {workload.name: workload for workload in workloads() if workload.build is not None}
    assert set(rows.workload) == set(traced)
    for name, label, family in zip(rows.workload, rows.label, rows.family, strict=True):
        assert (traced[name].label, traced[name].family) == (label, family)


def test_the_committed_report_is_of_the_committed_table():
    report = json.loads((ROOT / "docs" / "evaluation" / "memory-evaluation.json").read_text())
    rows = study.load(DATA)
    assert report["rows"] == len(rows)
    assert {result["family"] for result in report["by_family"]} == set(rows.family)
    assert report["measured_on"] == rows.measured_on
