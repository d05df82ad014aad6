"""Rows of the kernel tables for parts, and that their scores leak nothing."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from hashwarden.errors import DataError
from hashwarden.training.synthesise.codes import (
    CODE_CHANNELS,
    DATA,
    Pick,
    candidates,
    draw_code,
    read_rows,
    rows_for,
    source_of,
)
from hashwarden.training.synthesise.parts import PARTS
from hashwarden.training.synthesise.parts_mining import MINING_PARTS
from hashwarden.training.synthesise.pipes import PIPES, TENSOR
from hashwarden.training.synthesise.score_kernels import FAMILY_OF_KERNEL


@pytest.fixture(scope="module")
def scores():
    return pq.read_table(DATA / "job" / "kernel_scores.parquet")


def test_scores_name_each_row_of_each_table_once(scores):
    for name in set(scores["table"].to_pylist()):
        rows = scores.filter(np.array(scores["table"].to_pylist()) == name)
        table = pq.read_table(DATA / "kernel_mix" / name, columns=["code_sha1", "arch"])
        assert rows["row"].to_pylist() == list(range(len(table)))
        assert rows["code_sha1"].to_pylist() == table["code_sha1"].to_pylist()
        assert rows["arch"].to_pylist() == table["arch"].to_pylist()


def test_a_mining_kernel_is_scored_without_its_family(scores):
    mining = {"hash", "dag", "helper"}
    held = {
        (f, r): fold for f, r, fold in zip(*(scores[n].to_pylist() for n in ("family", "role", "fold")), strict=True)
    }
    for (family, role), fold in held.items():
        if role in mining and family in FAMILY_OF_KERNEL:
            assert fold == FAMILY_OF_KERNEL[family], family


def test_scores_out_of_family_are_not_those_in_sample(scores):
    roles = np.array(scores["role"].to_pylist())
    hashes = np.isin(roles, ["hash", "dag"])
    inside, outside = (scores[name].to_numpy()[hashes] for name in ("p_mining", "p_mining_out"))
    assert np.median(inside) > 0.98
    assert outside.mean() < inside.mean()


@pytest.mark.parametrize("architecture", [80, 89, 90, 100])
def test_every_part_has_rows_and_none_is_too_new(architecture, scores):
    arch = scores["arch"].to_numpy()
    for name, part in PARTS.items():
        rows = rows_for(part.picks, part.core, architecture)
        assert len(rows), name
        assert arch[rows].max() <= architecture


def test_most_mining_parts_come_from_several_authors():
    many = [name for name, part in MINING_PARTS.items() if len({source_of(r) for r in candidates(part.picks, 90)}) >= 3]
    assert len(many) >= 0.75 * len(MINING_PARTS)


def test_code_of_tensor_parts_holds_tensor_instructions():
    rng = np.random.default_rng(0)
    for name in ("gemm-bf16", "matmul-pow"):
        code = draw_code(PARTS[name].picks, PARTS[name].core, 90, rng)
        assert sum(code.pipes[PIPES.index(kind)] for kind in TENSOR) > 0
        assert code.pipes.sum() == pytest.approx(1)
        assert len(code.channels) == len(CODE_CHANNELS)


def test_rows_read_back_are_the_rows_of_the_scores(scores):
    row = int(candidates(PARTS["ethash"].picks, 90)[0])
    (kernel,) = read_rows(np.array([row]))
    assert kernel.text["code_sha1"][0] == scores["code_sha1"][row].as_py()


def test_a_pick_without_rows_is_refused():
    with pytest.raises(DataError, match="no kernel"):
        candidates((Pick("no-such-source"),), 90)
