"""Labels, kin and folds: nothing that is held out may be learned from."""

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest

from hashwarden.errors import DataError
from hashwarden.model.kernel.taxonomy import HASH_FAMILIES, MIN_INSTRUCTIONS, MINING, OTHER, PLAIN
from hashwarden.training.kernel.crossval import folds_by_family
from hashwarden.training.kernel.dataset import KIN, folds_by_lineage, load, tables


def test_groups_are_the_labels(whole):
    mining = whole.table.is_mining
    hashing = np.isin(whole.family, sorted(HASH_FAMILIES))
    np.testing.assert_array_equal(whole.group == MINING, mining)
    np.testing.assert_array_equal(whole.group == OTHER, hashing & ~mining)
    np.testing.assert_array_equal(whole.group == PLAIN, ~hashing & ~mining)
    assert len(whole) == len(whole.counts) == len(whole.table)


def test_helpers_and_small_kernels_are_not_learned_from(whole):
    role = whole.table.text["role"]
    assert not whole.usable[np.isin(role, ["helper", "small"])].any()
    assert not whole.usable[whole.table.scalars["n_instr"] < MIN_INSTRUCTIONS].any()
    kept = np.isin(role, ["hash", "dag", "kernel"]) & (whole.table.scalars["n_instr"] >= MIN_INSTRUCTIONS)
    assert whole.usable[kept].all()
    assert (role == "helper").any()


def test_digests_are_those_of_the_files(small, folder):
    wanted = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert small.digests == wanted


@pytest.mark.parametrize("seed", [0, 1])
def test_no_lineage_lies_in_two_folds(whole, seed):
    fold, lineages = folds_by_lineage(whole, seed)
    for name in set(whole.lineage):
        assert len(set(fold[whole.lineage == name])) == 1, name
    for index, name in enumerate(lineages):
        assert set(fold[whole.lineage == name]) == {index}


def test_kin_are_held_out_together_and_share_a_name(whole):
    fold, lineages = folds_by_lineage(whole)
    for kin in set(KIN.values()):
        members = [source for source, name in KIN.items() if name == kin]
        folds = {int(f) for source in members for f in fold[whole.source == source]}
        assert len(folds) == 1, kin
    assert len(lineages) == 12


def test_own_workloads_are_never_held_out_by_lineage(whole):
    fold, lineages = folds_by_lineage(whole)
    assert whole.own.any()
    assert set(fold[whole.own]) == {-1}
    assert not any(name.startswith("hashwarden/") for name in lineages)
    assert (fold[~whole.own] >= 0).all()


def test_every_fold_holds_out_mining_and_plain_kernels(whole):
    fold, lineages = folds_by_lineage(whole)
    for index in range(len(lineages)):
        groups = set(whole.group[(fold == index) & whole.usable])
        assert {PLAIN, MINING} <= groups


def test_folds_by_family_hold_whole_families(whole):
    fold = folds_by_family(whole)
    assert fold.min() == 0
    for family in set(whole.family[whole.group == MINING]):
        assert len(set(fold[(whole.family == family) & (whole.group == MINING)])) == 1, family
    for group in (PLAIN, OTHER):
        for source in set(whole.source[whole.group == group]):
            assert len(set(fold[(whole.source == source) & (whole.group == group)])) == 1, source


def test_folds_are_the_same_for_the_same_seed(whole):
    np.testing.assert_array_equal(folds_by_lineage(whole, 3)[0], folds_by_lineage(whole, 3)[0])
    np.testing.assert_array_equal(folds_by_family(whole, 3), folds_by_family(whole, 3))
    assert (folds_by_family(whole, 3) != folds_by_family(whole, 4)).any()


def test_a_table_without_labels_is_refused(folder, tmp_path):
    table = pq.read_table(folder / "kernel_mix_repositories.parquet")
    pq.write_table(table.drop_columns(["is_mining"]), tmp_path / "bare.parquet")
    with pytest.raises(DataError, match="without labels"):
        load(tmp_path)


@pytest.mark.parametrize("column", ["family", "source", "role", "origin"])
def test_a_table_without_a_label_column_is_refused(folder, tmp_path, column):
    table = pq.read_table(folder / "kernel_mix_repositories.parquet")
    pq.write_table(table.drop_columns([column]), tmp_path / "bare.parquet")
    with pytest.raises(DataError, match=column):
        load(tmp_path)


def test_a_damaged_table_is_refused(folder, tmp_path):
    data = (folder / "kernel_mix_repositories.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path)


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no \.parquet file"):
        tables(tmp_path)
