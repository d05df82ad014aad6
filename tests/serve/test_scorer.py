"""The scorer: what it refuses, and known answers of the shipped model."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper

from hashwarden.errors import ModelError
from hashwarden.kernels.sass.parquet import from_arrow
from hashwarden.kernels.sass.table import MixTable
from hashwarden.model.kernel.counts import counts_of
from hashwarden.model.kernel.features import FEATURE_NAMES, features_of, features_of_counts
from hashwarden.model.kernel.metadata import KEY
from hashwarden.model.kernel.verdict import Verdict
from hashwarden.serve import scorer as module
from hashwarden.serve.scorer import KernelScorer, shipped_model

DATA = Path(__file__).resolve().parents[2] / "data" / "kernel_mix"


@pytest.fixture(scope="module")
def scorer() -> KernelScorer:
    return KernelScorer()


@pytest.fixture(scope="module")
def repositories() -> MixTable:
    """Kernels of public repositories with a clear label."""
    table = pq.read_table(DATA / "kernel_mix_repositories.parquet")
    clear = pc.and_(
        pc.is_in(table["role"], pa.array(["hash", "dag", "kernel"])), pc.greater_equal(table["n_instr"], 40)
    )
    return from_arrow(table.filter(clear))


@pytest.fixture(scope="module")
def packages() -> MixTable:
    """Every seventh kernel of the packages, none of which mines."""
    table = pq.read_table(DATA / "kernel_mix_packages.parquet")
    return from_arrow(table.take(list(range(0, len(table), 7))))


@pytest.fixture
def model() -> onnx.ModelProto:
    return onnx.load(shipped_model())


@pytest.fixture
def saved(tmp_path):
    """Save a model and give its path."""

    def save(model: onnx.ModelProto) -> Path:
        path = tmp_path / "changed.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return save


# What it refuses


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ModelError, match="cannot be read") as caught:
        KernelScorer(tmp_path / "no.onnx")
    assert caught.value.where.endswith("no.onnx")


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        KernelScorer(tmp_path)


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_model_is_refused(tmp_path, keep):
    data = shipped_model().read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ModelError) as caught:
        KernelScorer(path)
    assert caught.value.where == str(path)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_model_are_refused(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"\x7fELF" + bytes(range(256)) * 10)
    with pytest.raises(ModelError, match="onnxruntime refuses it"):
        KernelScorer(path)


def graph(inputs: int, name: str = "features") -> onnx.ModelProto:
    """Some other model."""
    into = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", inputs])
    out = helper.make_tensor_value_info("groups", TensorProto.FLOAT, ["n", inputs])
    body = helper.make_graph([helper.make_node("Identity", [name], ["groups"])], "other", [into], [out])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_another_model_is_refused(saved):
    with pytest.raises(ModelError, match="no metadata property"):
        KernelScorer(saved(graph(3)))


@pytest.mark.parametrize(
    ("other", "what"),
    [(graph(3), "inputs"), (graph(len(FEATURE_NAMES)), "outputs"), (graph(len(FEATURE_NAMES), "x"), "inputs")],
)
def test_a_graph_of_another_shape_under_a_good_record_is_refused(saved, model, other, what):
    helper.set_model_props(other, {p.key: p.value for p in model.metadata_props})
    with pytest.raises(ModelError, match=f"a graph with {what}"):
        KernelScorer(saved(other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "schema version 99"),
        ({"features": list(reversed(FEATURE_NAMES))}, "another list or order"),
        ({"families": ["one"]}, "another length"),
        ({"plain_mean": "AAAA"}, "does not fit"),
    ],
)
def test_a_record_that_does_not_match_is_refused(saved, model, change, message):
    text = next(p.value for p in model.metadata_props if p.key == KEY)
    helper.set_model_props(model, {KEY: json.dumps(json.loads(text) | change)})
    with pytest.raises(ModelError, match=message):
        KernelScorer(saved(model))


# What it is


def test_the_identity_is_that_of_the_file(scorer):
    identity = scorer.identity
    assert identity["sha256"] == hashlib.sha256(shipped_model().read_bytes()).hexdigest()
    assert set(identity) == {"name", "version", "schema", "sha256"}
    assert identity["name"] == "kernel"


def test_the_card_beside_it_is_of_this_model(scorer):
    card = json.loads(shipped_model().with_suffix(".json").read_text())
    assert card["training_data_sha256"] == scorer.metadata.training_data
    assert card["thresholds"] == scorer.metadata.thresholds
    assert card["calibration"] == scorer.metadata.calibration
    assert card["parameters"] < 100_000


def test_importing_the_scorer_never_imports_torch():
    code = "import sys, hashwarden.serve.scorer; print('torch' in sys.modules, 'onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# Known answers of the shipped model


def verdicts_of(scorer, table):
    return np.array([kernel.verdict for kernel in scorer.judge(table)], object)


def test_most_training_kernels_of_miners_are_above_the_threshold(scorer, repositories):
    mining = repositories.take(repositories.is_mining)
    p_mining = np.array([kernel.p_mining for kernel in scorer.judge(mining)])
    assert (p_mining >= scorer.rule.thresholds.mining).mean() >= 0.9


def test_hardly_any_training_kernel_of_a_package_is(scorer, packages):
    p_mining = np.array([kernel.p_mining for kernel in scorer.judge(packages)])
    assert (p_mining >= scorer.rule.thresholds.mining).mean() <= 0.01
    assert (verdicts_of(scorer, packages) == Verdict.MINING).mean() <= 0.005


def test_files_of_miners_are_called_and_files_of_learning_are_not(scorer, repositories, packages):
    def judged(table: MixTable, source: str) -> Verdict:
        part = table.take(table.text["source"] == source)
        return scorer.rule(source, part, scorer.judge(part), [])[0].verdict

    for source in ("tpruvot/ccminer", "fireice-uk/xmr-stak", "tromp/cuckoo", "ifdefelse/ProgPOW"):
        assert judged(repositories, source) is Verdict.MINING, source
    for source in ("xformers", "torchvision", "ctranslate2"):
        assert judged(packages, source) not in (Verdict.MINING, Verdict.OTHER_HASH), source


def test_families_fit_their_verdicts(scorer, repositories):
    groups = dict(zip(scorer.metadata.families, scorer.metadata.group_of_family, strict=True))
    for kernel in scorer.judge(repositories):
        assert (kernel.family == "") == (kernel.verdict is Verdict.ABSTAIN)
        if kernel.verdict is Verdict.MINING:
            assert groups[kernel.family] == 2


def test_constants_are_among_the_reasons_of_sha_256_and_not_of_plain_code(scorer, repositories, packages):
    def held(table: MixTable) -> np.ndarray:
        columns = [FEATURE_NAMES.index(f"{place}:sha256_k") for place in ("const_code", "const_module")]
        return np.expm1(features_of(table)[:, columns].max(1)).round()

    hashing = [" ".join(kernel.reasons) for kernel in scorer.judge(repositories.take(held(repositories) == 64))]
    named = ["SHA-256 round constants (64 of 64)" in text for text in hashing]
    assert len(named) >= 20
    assert np.mean(named) >= 0.4
    plain = scorer.judge(packages.take(held(packages) == 0))
    assert not any("SHA-256 round constants" in text for kernel in plain for text in kernel.reasons)


# One row, many rows, other rows


def test_a_verdict_does_not_depend_on_the_other_kernels(scorer, repositories):
    part = repositories.take(np.arange(0, len(repositories), 11))
    order = np.random.default_rng(0).permutation(len(part))
    whole, moved = scorer.judge(part), scorer.judge(part.take(order))
    for place, row in enumerate(order):
        assert moved[place].index == place
        assert moved[place].verdict is whole[row].verdict
        assert moved[place].p_mining == pytest.approx(whole[row].p_mining, abs=1e-5)
        assert moved[place].family == whole[row].family
    for row in (0, 5, len(part) - 1):
        alone = scorer.judge(part.take([row]))[0]
        assert alone.p_hash == pytest.approx(whole[row].p_hash, abs=1e-5)
        assert alone.reasons == whole[row].reasons


def test_the_chunks_do_not_show(scorer, repositories, monkeypatch):
    part = repositories.take(np.arange(50))
    whole = scorer.judge(part)
    monkeypatch.setattr(module, "CHUNK", 7)
    parts = scorer.judge(part)
    assert [kernel.index for kernel in parts] == list(range(50))
    np.testing.assert_allclose([k.p_hash for k in parts], [k.p_hash for k in whole], atol=1e-5)
    assert [kernel.verdict for kernel in parts] == [kernel.verdict for kernel in whole]


def test_no_kernels_have_no_verdicts(scorer):
    assert list(scorer.judge(MixTable.empty())) == []


def test_extreme_kernels_get_finite_answers(scorer):
    features = np.array([np.zeros(len(FEATURE_NAMES)), np.full(len(FEATURE_NAMES), 1e6)], np.float32)
    for each in (*scorer.run(features), *scorer.probabilities(scorer.run(features)[0])):
        assert np.isfinite(each).all()


# Robustness: padding and hidden constants


def _mining_log_odds(scorer, counts) -> np.ndarray:
    from hashwarden.model.kernel.joint import own_log_odds

    return own_log_odds(scorer.run(features_of_counts(counts))[0], scorer.rule.calibration)[1]


@pytest.mark.parametrize("kind", ["float", "tensor", "memory"])
def test_padding_moves_the_verdict_slowly_and_mostly_one_way(scorer, repositories, kind):
    from hashwarden.training.kernel.augment import pad

    kernels = counts_of(repositories.take(repositories.is_mining))
    scores = np.array([_mining_log_odds(scorer, pad(kernels, ratio, kind)) for ratio in (0, 0.5, 1, 2, 4, 10)])
    middle = np.median(scores, 1)
    assert (np.diff(middle) < 0.5).all()  # more padding does not make the typical miner much more suspect
    threshold = np.log(scorer.rule.thresholds.mining / (1 - scorer.rule.thresholds.mining))
    found = (scores >= threshold).mean(1)
    assert found[2] >= 0.8  # as much dummy work as hash work
    assert found[-1] >= 0.5  # ten times as much
    assert (np.diff(found) < 0.03).all()


def test_hiding_constants_hides_few_miners(scorer, repositories):
    from hashwarden.training.kernel.augment import hide_constants

    kernels = counts_of(repositories.take(repositories.is_mining))
    threshold = np.log(scorer.rule.thresholds.mining / (1 - scorer.rule.thresholds.mining))
    hidden = hide_constants(kernels, np.ones(len(kernels), bool))
    before, after = ((_mining_log_odds(scorer, each) >= threshold).mean() for each in (kernels, hidden))
    assert after >= before - 0.1
