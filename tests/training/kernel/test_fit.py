"""Fitting: it learns, it repeats itself, and the served forms are the same function."""

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
import torch

from hashwarden.errors import ModelError
from hashwarden.model.kernel.decide import Thresholds
from hashwarden.model.kernel.features import features_of_counts
from hashwarden.model.kernel.joint import Calibration
from hashwarden.model.kernel.metadata import read_metadata
from hashwarden.model.kernel.rule import FileRule, Innocent
from hashwarden.model.kernel.taxonomy import MINING, PLAIN
from hashwarden.training.kernel import export as export_module
from hashwarden.training.kernel.export import export, record_of
from hashwarden.training.kernel.fit import family_groups, fit, log_probabilities
from hashwarden.training.kernel.fold import folded

RULE = FileRule(
    Calibration(0.1, 0.2, 1.0, 0.0, 0.05, 0.0, 2.0),
    Thresholds(0.8, 0.3, 0.9, 0.5, 0.4, 2.0),
    Innocent((0.4, 400.0), (0.3, 100.0)),
)
EXPORTS = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
"""torch's exporter warns of its own code."""

OUTPUTS = ["groups", "families", "novelty"]


def fit_tiny(small, tiny):
    return fit(small, np.flatnonzero(small.usable), *family_groups(small), tiny)


@pytest.fixture
def network(small, tiny):
    return fit_tiny(small, tiny)


@pytest.fixture
def features(small):
    return features_of_counts(small.counts)


@pytest.fixture
def record(small, features):
    plain = features[small.group == PLAIN].mean(0)
    return record_of(*family_groups(small), plain, RULE, small.digests, 0)


def outputs(network, features):
    with torch.no_grad():
        return [each.numpy() for each in network(torch.from_numpy(features))]


def test_three_epochs_tell_miners_from_plain_kernels(small, network, features):
    logs = log_probabilities(network, features)
    score = logs[:, MINING] - logs[:, PLAIN]
    mining, plain = (score[small.usable & (small.group == group)] for group in (MINING, PLAIN))
    assert (mining > np.median(plain)).mean() > 0.95
    assert np.median(mining) > np.quantile(plain, 0.95)


def test_novelty_is_about_one_on_what_was_learned_and_more_on_what_was_not(small, network, features, rng):
    seen = outputs(network, features[small.usable])[2]
    assert 0.5 < np.median(seen) < 1.2
    assert np.sqrt((seen**2).mean()) == pytest.approx(1.0, abs=0.1)
    strange = rng.random((200, features.shape[1]), np.float32)
    assert np.median(outputs(network, strange)[2]) > np.quantile(seen, 0.8)


def test_the_same_seed_gives_the_same_network(small, tiny, network):
    again = fit_tiny(small, tiny).state_dict()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=0, msg=name)


def test_another_seed_gives_another_network(small, tiny, network, features):
    other = fit_tiny(small, replace(tiny, seed=1))
    assert np.abs(outputs(other, features)[1] - outputs(network, features)[1]).max() > 1e-3


def test_families_of_one_group_lie_together(small):
    families, group_of_family = family_groups(small)
    assert (np.diff(group_of_family) >= 0).all()
    seen = {(str(f), int(g)) for f, g in zip(small.family, small.group, strict=True)}
    assert set(zip(families, group_of_family.tolist(), strict=True)) == seen


def test_the_folded_network_is_the_same_function(network, features):
    for wanted, got in zip(outputs(network, features), outputs(folded(network), features), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_the_folded_network_cuts_wild_features_alike(network, features):
    wild = features[:50] * np.float32(1e3)
    for wanted, got in zip(outputs(network, wild), outputs(folded(network), wild), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3)


def test_folding_leaves_the_network_as_it_was(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded(network)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@EXPORTS
def test_the_exported_graph_is_the_same_function_and_carries_its_record(network, record, features, tmp_path):
    path = tmp_path / "new" / "kernel.onnx"
    worst = export(network, record, features[::5], path)
    assert worst <= 1e-4
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    for size in (1, 3, len(features)):
        got = session.run(OUTPUTS, {"features": features[:size]})
        for wanted, each in zip(outputs(network, features[:size]), got, strict=True):
            assert each.shape == wanted.shape
            np.testing.assert_allclose(each, wanted, atol=1e-4)
    assert read_metadata(session.get_modelmeta().custom_metadata_map, "x") == record
    assert [p.name for p in path.parent.iterdir()] == ["kernel.onnx"]  # one file: no weights beside it
    assert str(tmp_path).encode() not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o644


@EXPORTS
def test_a_graph_that_differs_is_not_written(network, record, features, tmp_path, monkeypatch):
    path = tmp_path / "kernel.onnx"
    path.write_bytes(b"the old model")
    monkeypatch.setattr(export_module, "TOLERANCE", 0.0)
    with pytest.raises(ModelError, match="differs by"):
        export(network, record, features[::5], path)
    assert path.read_bytes() == b"the old model"
    assert len(list(tmp_path.iterdir())) == 1
