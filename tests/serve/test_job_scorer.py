"""The scorer of jobs: its answers, what it refuses, and steps on a device as tried on the CPU."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hashwarden.errors import CheckError, ModelError, NoDeviceError, UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.job.metadata import KEY
from hashwarden.serve import job_scorer as module
from hashwarden.serve.job_device import DeviceSteps, address
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.training.job.export import export
from hashwarden.training.job.trials import random_runs
from hashwarden.training.job.untrained import untrained, untrained_record

C = len(CHANNELS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    network = untrained()
    return export(network, untrained_record(network), random_runs(8, 30), tmp_path_factory.mktemp("job")).step.parent


@pytest.fixture(scope="module")
def scorer(folder):
    return JobScorer(folder / "job.onnx")


@pytest.fixture
def copy(folder, tmp_path):
    """The three files, to be spoiled."""
    shutil.copytree(folder, tmp_path / "job")
    return tmp_path / "job"


def changed(path, change):
    """Change a model file in place."""
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())


def a_step(batch, seed=0):
    samples, masks, dts = random_runs(batch, 40, seed)
    return samples[:, 5], masks[:, 5], dts[:, 5:6]


# Answers


def test_it_passes_its_own_test(scorer):
    scorer.self_test()


def test_probabilities_are_probabilities(scorer):
    scores = scorer.step(*a_step(9), scorer.initial(9))
    np.testing.assert_allclose(scores.probabilities.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(scores.families.sum(1), 1, atol=1e-5)
    assert scores.probabilities.shape == (9, 6)
    assert scores.families.shape == (9, 12)
    assert scores.novelty.shape == (9,)
    assert scores.state.shape == scorer.initial(9).shape


def test_steps_and_sequences_agree_whatever_the_pieces(scorer, monkeypatch):
    samples, masks, dts = random_runs(5, 50, seed=3)
    whole = scorer.sequence(samples, masks, dts)
    state = scorer.initial(5)
    for t in range(50):
        scores = scorer.step(samples[:, t], masks[:, t], dts[:, t], state)
        state = scores.state
        np.testing.assert_allclose(scores.probabilities, whole.probabilities[:, t], atol=1e-5)
        np.testing.assert_allclose(scores.families, whole.families[:, t], atol=1e-5)
    for rows in (2, 4, 16):
        monkeypatch.setattr(module, "ROWS", rows)
        parts = scorer.sequence(samples, masks, dts)
        np.testing.assert_allclose(parts.probabilities, whole.probabilities, atol=1e-5)
        np.testing.assert_allclose(parts.state, whole.state, atol=1e-5)
        stepped = scorer.step(samples[:, 0], masks[:, 0], dts[:, 0], scorer.initial(5))
        np.testing.assert_allclose(stepped.probabilities, whole.probabilities[:, 0], atol=1e-5)
        assert stepped.state.shape == state.shape


def test_a_job_does_not_depend_on_the_others(scorer):
    sample, mask, dt = a_step(50)
    together = scorer.step(sample, mask, dt, scorer.initial(50))
    for row in (0, 17, 49):
        part = slice(row, row + 1)
        alone = scorer.step(sample[part], mask[part], dt[part], scorer.initial(1))
        np.testing.assert_allclose(alone.probabilities, together.probabilities[part], atol=1e-5)
        np.testing.assert_allclose(alone.state, together.state[part], atol=1e-5)


def test_what_the_mask_hides_does_not_count(scorer):
    sample, mask, dt = a_step(4)
    wanted = scorer.step(sample, mask, dt, scorer.initial(4))
    for junk in (np.nan, np.inf, -5.0, 1e30):
        found = scorer.step(np.where(mask > 0, sample, np.float32(junk)), mask, dt, scorer.initial(4))
        np.testing.assert_array_equal(found.probabilities, wanted.probabilities)
    found = scorer.step(sample.astype(np.float64), mask.astype(bool), dt[:, 0].astype(np.float64), scorer.initial(4))
    np.testing.assert_array_equal(found.probabilities, wanted.probabilities)


def test_no_jobs_have_no_scores(scorer):
    scores = scorer.step(np.zeros((0, C), np.float32), np.zeros((0, C)), np.zeros((0, 1)), scorer.initial(0))
    assert scores.probabilities.shape == (0, 6)
    assert scores.state.shape == scorer.initial(0).shape
    for shape in ((0, 3), (3, 0)):
        scores = scorer.sequence(np.zeros((*shape, C), np.float32), np.zeros((*shape, C)), np.zeros(shape))
        assert scores.families.shape == (*shape, 12)
        assert scores.state.shape == scorer.initial(shape[0]).shape


def test_a_state_that_is_handed_in_is_not_changed(scorer):
    samples, masks, dts = random_runs(2, 40)
    state = scorer.initial(2)
    scorer.sequence(samples, masks, dts, state)
    scorer.step(samples[:, 0], masks[:, 0], dts[:, 0], state)
    assert (state == 0).all()


def test_importing_it_never_imports_torch():
    code = "import sys, hashwarden.serve.job_device; print('torch' in sys.modules, 'onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# What it refuses to score


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, m, d: (s[:, 1:], m, d), "samples of shape"),
        (lambda s, m, d: (s[0], m, d), "samples of shape"),
        (lambda s, m, d: (s, m[:1], d), "a mask of shape"),
        (lambda s, m, d: (s, m, d[:1]), "times of shape"),
        (lambda s, m, d: (s.tolist(), m, d), "is a list"),
        (lambda s, m, d: (s.astype(int), m, d), "of int64"),
        (lambda s, m, d: (s.astype(str), m, d), "of <U"),
        (lambda s, m, d: (s, m.astype(object), d), "of object"),
        (lambda s, m, d: (np.where(m > 0, np.nan, s), m, d), "the value nan of gpu_util_ratio"),
        (lambda s, m, d: (np.where(m > 0, np.inf, s), m, d), "the value inf"),
        (lambda s, m, d: (np.full(s.shape, 1e300), m, d), "the value inf"),
        (lambda s, m, d: (np.where(m > 0, -0.1, s), m, d), "the value -0.1"),
        (lambda s, m, d: (s, m, d - 1e9), "s since the sample before"),
        (lambda s, m, d: (s, m, d * np.nan), "nan s since"),
        (lambda s, m, d: (s, m, d + np.inf), "inf s since"),
    ],
)
def test_nonsense_is_a_usage_error(scorer, change, message):
    sample, _, dt = a_step(3)
    with pytest.raises(UsageError, match=message):
        scorer.step(*change(sample, np.ones((3, C), np.float32), dt), scorer.initial(3))


@pytest.mark.parametrize(
    "state", [None, "x", np.zeros((2, 108), np.float32), np.zeros((3, 108)), np.zeros((3, 4), np.float32)]
)
def test_a_state_of_something_else_is_a_usage_error(scorer, state):
    with pytest.raises(UsageError, match="a state that is"):
        scorer.step(*a_step(3), state)


# Files that it refuses


def test_missing_files_are_named(copy):
    (copy / "job_sequence.onnx").unlink()
    (copy / "job_known_answers.json").unlink()
    scorer = JobScorer(copy / "job.onnx")
    with pytest.raises(ModelError, match="cannot be read") as caught:
        scorer.sequence(*random_runs(1, 40))
    assert caught.value.where.endswith("job_sequence.onnx")
    with pytest.raises(ModelError, match="cannot be read"):
        scorer.self_test()
    with pytest.raises(ModelError, match="cannot be read"):
        JobScorer(copy / "none.onnx")


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_model_is_refused(copy, keep):
    path = copy / "job.onnx"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ModelError) as caught:
        JobScorer(path)
    assert caught.value.where == str(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "schema version 99"),
        ({"channels_sha256": "0"}, "channels of another table"),
        ({"state_size": 7}, "a graph with inputs"),
        ({"model": "kernel"}, "a model called"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(copy, change, message):
    def rewrite(model):
        text = next(p.value for p in model.metadata_props if p.key == KEY)
        helper.set_model_props(model, {KEY: json.dumps(json.loads(text) | change)})

    changed(copy / "job.onnx", rewrite)
    with pytest.raises(ModelError, match=message):
        JobScorer(copy / "job.onnx")


def test_a_model_without_a_record_is_refused(copy):
    changed(copy / "job.onnx", lambda model: model.metadata_props.pop())
    with pytest.raises(ModelError, match="no metadata property"):
        JobScorer(copy / "job.onnx")


def test_the_two_graphs_must_be_of_one_export(copy):
    def rewrite(model):
        text = next(p.value for p in model.metadata_props if p.key == KEY)
        helper.set_model_props(model, {KEY: json.dumps(json.loads(text) | {"seed": 5})})

    changed(copy / "job_sequence.onnx", rewrite)
    with pytest.raises(ModelError, match="another record"):
        JobScorer(copy / "job.onnx").sequence(*random_runs(1, 40))


def test_the_sequence_graph_is_no_step_graph(copy):
    with pytest.raises(ModelError, match="a graph with inputs"):
        JobScorer(copy / "job_sequence.onnx")


def test_another_graph_under_a_good_record_is_refused(copy):
    props = {p.key: p.value for p in onnx.load(copy / "job.onnx").metadata_props}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", C]) for name in ("sample", "logits")]
    graph = helper.make_graph([helper.make_node("Identity", ["sample"], ["logits"])], "other", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, props)
    (copy / "job.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="a graph with inputs"):
        JobScorer(copy / "job.onnx")


def test_weights_in_another_file_are_refused(copy, monkeypatch):
    monkeypatch.chdir(copy)
    model = onnx.load(copy / "job.onnx")
    onnx.save(model, copy / "job.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(ModelError, match="another file"):
        JobScorer(copy / "job.onnx")


def test_changed_weights_fail_the_self_test(copy):
    def spoil(model):
        tensor = next(each for each in model.graph.initializer if each.name == "last_bias")
        values = onnx.numpy_helper.to_array(tensor).copy()
        values[2] += 0.01
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    changed(copy / "job_sequence.onnx", spoil)
    with pytest.raises(CheckError, match="sequence graph"):
        JobScorer(copy / "job.onnx").self_test()
    changed(copy / "job.onnx", spoil)
    with pytest.raises(ModelError, match="another model"):
        JobScorer(copy / "job.onnx").self_test()


# Devices


def test_a_provider_that_is_not_there_never_becomes_the_cpu(folder):
    with pytest.raises(UsageError, match="'tpu'"):
        JobScorer(folder / "job.onnx", provider="tpu")
    with pytest.raises(NoDeviceError):
        JobScorer(folder / "job.onnx", provider="cuda")


def test_a_provider_that_does_not_start_never_becomes_the_cpu(folder, monkeypatch):
    """onnxruntime built for CUDA on a host without a GPU: it says that it has the provider, and opens on the CPU."""
    import onnxruntime

    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda data, *_, **__: real(data, providers=["CPUExecutionProvider"])
    )
    with pytest.raises(NoDeviceError, match="could not start"):
        JobScorer(folder / "job.onnx", provider="cuda")


@pytest.mark.parametrize(
    "refuses", ["CUDA failure 100: no CUDA-capable device is detected", "assigned to the default CPU EP"]
)
def test_a_provider_that_refuses_is_no_fault_of_the_model_and_never_falls_back(folder, monkeypatch, refuses):
    import onnxruntime

    real, given = onnxruntime.InferenceSession, []

    def opened(data, options, providers, enable_fallback):
        given.append(enable_fallback)
        if providers != ["CPUExecutionProvider"]:
            raise RuntimeError(refuses)
        return real(data, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    with pytest.raises(NoDeviceError, match=refuses):
        JobScorer(folder / "job.onnx", provider="cuda")
    assert set(given) == {0}
    (folder / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError):
        JobScorer(folder / "broken.onnx", provider="cuda")


def test_cudas_libraries_are_looked_for_before_the_session_is_opened_and_nothing_is_printed(folder, monkeypatch, capfd):
    import onnxruntime

    real, order = onnxruntime.InferenceSession, []

    def preload():
        order.append("libraries")
        print("Failed to load libcublas.so.13")  # noqa: T201  as the real one does
        raise OSError("no such file")

    def opened(data, *_, **__):
        order.append("session")
        return real(data, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    with pytest.raises(NoDeviceError, match="could not start"):
        JobScorer(folder / "job.onnx", provider="cuda")
    assert order == ["libraries", "session"]
    assert capfd.readouterr().out == ""


def test_bound_steps_give_the_same_scores_and_carry_the_state(scorer):
    samples, masks, dts = random_runs(4, 40, seed=8)
    whole = scorer.sequence(samples, masks, dts)
    bound = DeviceSteps(scorer, 4, device="cpu")
    for t in range(10):
        bound.step(*(np.ascontiguousarray(each) for each in (samples[:, t], masks[:, t], dts[:, t : t + 1])))
        np.testing.assert_allclose(np.exp(bound.outputs["logits"].numpy()), whole.probabilities[:, t], atol=1e-5)
        np.testing.assert_allclose(bound.outputs["novelty"].numpy(), whole.novelty[:, t], rtol=1e-4, atol=1e-5)
    assert (bound.state.numpy() != 0).any()


def test_only_whole_arrays_of_the_right_kind_are_bound(scorer):
    bound = DeviceSteps(scorer, 4, device="cpu")
    good = np.zeros((4, C), np.float32)
    for bad in (np.zeros((4, C)), np.zeros((3, C), np.float32), np.zeros((4, 2 * C), np.float32)[:, ::2], [0.0]):
        with pytest.raises(UsageError):
            bound.step(bad, good, np.zeros((4, 1), np.float32))
    assert address(good, good.shape, "cpu") == good.ctypes.data
    with pytest.raises(UsageError, match="memory of cuda"):
        address(good, good.shape)
    with pytest.raises(NoDeviceError):
        DeviceSteps(scorer, 4)
