"""Export: both graphs equal torch, the files repeat themselves, and nothing is replaced by what failed."""

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from hashwarden.errors import ModelError
from hashwarden.model.job.known_answers import KnownAnswers, read_answers
from hashwarden.model.job.metadata import KEY, read_metadata
from hashwarden.training.job import export as module
from hashwarden.training.job.export import export
from hashwarden.training.job.graph import sequence_graph, step_graph
from hashwarden.training.job.trials import known_runs, random_runs
from hashwarden.training.job.untrained import untrained, untrained_record

RUNS = random_runs(10, 40, seed=11)


@pytest.fixture(scope="module")
def network():
    return untrained()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    return export(network, untrained_record(network), RUNS, tmp_path_factory.mktemp("job"))


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_both_files_are_proved_equal_and_carry_one_record(exported, network):
    assert exported.difference <= 1e-5
    records = []
    for path in (exported.step, exported.sequence):
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert [o.version for o in model.opset_import if o.domain == ""] == [20]
        records.append(read_metadata({p.key: p.value for p in model.metadata_props}, str(path)))
    assert records[0] == records[1] == untrained_record(network)


def test_graphs_of_more_weights_equal_torch_step_by_step():
    """Other seeds than the fixture's, against the module's own step, state and all."""
    for seed in (1, 2):
        network = untrained(seed)
        run = session(step_graph(network)).run
        samples, masks, dts = random_runs(5, 60, seed)
        state = np.zeros((5, network.state_size), np.float32)
        plain = network.initial_state(5)
        for t in range(60):
            feed = {"sample": samples[:, t], "mask": masks[:, t], "dt": dts[:, t : t + 1], "state": state}
            logits, families, novelty, state = run(None, feed)
            with torch.no_grad():
                wanted = network.step(*(torch.from_numpy(feed[name]) for name in ("sample", "mask", "dt")), plain)
            plain = wanted.state
            np.testing.assert_allclose(np.exp(logits), wanted.logits.exp(), atol=1e-5)
            np.testing.assert_allclose(np.exp(families), wanted.families.exp(), atol=1e-5)
            np.testing.assert_allclose(novelty, wanted.novelty, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(state, plain, atol=1e-5)


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 7), (3, 1), (2, 130)])
def test_the_sequence_graph_is_the_step_graph_at_any_batch_and_length(network, batch, steps):
    step, whole = session(step_graph(network)), session(sequence_graph(network))
    samples, masks, dts = random_runs(batch, max(steps, 40), seed=steps)
    samples, masks, dts = samples[:, :steps], masks[:, :steps], dts[:, :steps]
    rng = np.random.default_rng(0)
    state = rng.random((batch, network.state_size), np.float32)
    found = whole.run(None, {"samples": samples, "masks": masks, "dts": dts, "state": state})
    for t in range(steps):
        feed = {"sample": samples[:, t], "mask": masks[:, t], "dt": dts[:, t : t + 1], "state": state}
        *outputs, state = step.run(None, feed)
        for ours, theirs in zip(outputs, found, strict=False):
            np.testing.assert_allclose(ours, theirs[:, t], atol=2e-5, rtol=1e-5)
    np.testing.assert_allclose(state, found[3], atol=1e-5)


def test_the_same_network_gives_the_same_bytes(exported, network, tmp_path):
    again = export(network, untrained_record(network), RUNS, tmp_path)
    for ours, theirs in (
        (exported.step, again.step),
        (exported.sequence, again.sequence),
        (exported.answers, again.answers),
    ):
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_graph_that_differs_is_not_written(network, tmp_path, monkeypatch):
    def wrong(network):
        model = step_graph(network)
        for tensor in model.graph.initializer:
            if tensor.name == "half_rates":
                tensor.CopyFrom(
                    onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name)
                )
        return model

    (tmp_path / "job.onnx").write_bytes(b"old")
    monkeypatch.setattr(module, "step_graph", wrong)
    with pytest.raises(ModelError, match="differ"):
        export(network, untrained_record(network), RUNS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["job.onnx"]
    assert (tmp_path / "job.onnx").read_bytes() == b"old"


def test_a_network_that_is_not_finite_is_not_written(tmp_path):
    network = untrained()
    with torch.no_grad():
        network.classes.bias[0] = torch.nan
    with pytest.raises(ModelError, match="differ by nan"):
        export(network, untrained_record(network), RUNS, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change", [{"state_size": 5}, {"temperature": 9.0}, {"family_temperature": 9.0}, {"evidence": {"x": float("inf")}}]
)
def test_a_record_that_is_not_the_networks_is_refused(network, tmp_path, change):
    record = untrained_record(network).model_copy(update=change)
    with pytest.raises(ModelError, match="record"):
        export(network, record, RUNS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_known_answers_hold_gaps_and_missing_channels(exported):
    sha256 = hashlib.sha256(exported.step.read_bytes()).hexdigest()
    known = read_answers(exported.answers, sha256)
    assert known.samples.shape[:2] == (8, 24)
    assert (known.dts == 3600).any()
    assert (known.masks.sum(2) == 0).any()
    assert (known.samples[known.masks == 0] == 0).all()
    np.testing.assert_allclose(known.probabilities.sum(2), 1, atol=1e-5)
    assert exported.answers.stat().st_size < 200_000
    with pytest.raises(ModelError, match="another model"):
        read_answers(exported.answers, "0" * 64)


@pytest.mark.parametrize("text", ["", "{}", "null", '{"model_sha256": 1}'])
def test_damaged_known_answers_are_refused(tmp_path, text):
    path = tmp_path / "answers.json"
    path.write_text(text)
    with pytest.raises(ModelError, match="damaged"):
        read_answers(path, "")
    with pytest.raises(ModelError, match="cannot be read"):
        read_answers(tmp_path / "none.json", "")


def test_known_answers_of_another_shape_are_refused(tmp_path):
    samples, masks, dts = known_runs(*random_runs(2, 30))
    some = np.zeros((2, 24, 6), np.float32)
    path = tmp_path / "answers.json"
    path.write_text(KnownAnswers(samples, masks, dts, some, some, dts).to_json("x"))  # 6 families in place of 12
    with pytest.raises(ModelError, match="damaged"):
        read_answers(path, "x")


def test_the_record_is_under_the_key(exported):
    assert [p.key for p in onnx.load(exported.step).metadata_props] == [KEY]


def test_gates_that_a_fit_has_shut_do_not_part_the_graphs_from_torch(network, tmp_path):
    """A trained network shut its gates so far that onnxruntime's sigmoid was 0 and torch's was not."""
    shut = untrained(3)
    with torch.no_grad():
        shut.look.bias[shut.clocks * shut.units :] = -60.0
    assert export(shut, untrained_record(shut), RUNS, tmp_path).difference <= 1e-5
