"""What ``hashwarden export`` writes: checked by the tools that read it, and never over anything of another's."""

import hashlib
import shutil
import sys

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from hashwarden.cli import main
from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.job.known_answers import read_answers
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.serve.export_folder import write_folder
from hashwarden.serve.job_scorer import JobScorer, shipped_job_model
from hashwarden.serve.scorer import KernelScorer, shipped_model


@pytest.fixture
def export(monkeypatch, capsys, tmp_path):
    """Run the command; gives exit code, standard output and standard error."""
    monkeypatch.setenv("HASHWARDEN_MODELS", str(tmp_path / "store"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hashwarden", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


def files_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sums_hold(folder):
    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    found = {name: hashlib.sha256(data).hexdigest() for name, data in files_in(folder).items()}
    assert {name: digest for digest, name in lines} == {k: v for k, v in found.items() if k != "SHA256SUMS"}


def test_onnx_files_with_cards_and_known_answers(export, tmp_path):
    folder = tmp_path / "models"
    code, out, _ = export("onnx", folder)
    assert code == 0
    assert set(out.split()) == {str(folder / name) for name in files_in(folder)}
    sums_hold(folder)
    assert (folder / "job.onnx").read_bytes() == shipped_job_model().read_bytes()
    assert (folder / "kernel.onnx").read_bytes() == shipped_model().read_bytes()
    assert (folder / "kernel.md").read_text().startswith("# Model card")
    JobScorer(folder / "job.onnx").self_test()
    KernelScorer(folder / "kernel.onnx").self_test()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triton") / "repository"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHWARDEN_MODELS", str(folder.with_name("store")))
        patch.setattr(sys, "argv", ["hashwarden", "export", "triton", str(folder)])
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 0
    return folder


def config_of(folder):
    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def shapes(tensors):
    """Names, types and shapes as the graph has them: the axis of the batch in front, reshaped ones without others."""
    name = model_config_pb2.DataType.Name
    return {
        each.name: (name(each.data_type), [-1, *([] if each.HasField("reshape") else each.dims)]) for each in tensors
    }


def ends(tensors):
    return {
        each.name: ({"tensor(float)": "TYPE_FP32"}[each.type], [-1, *each.shape[1:]])
        for each in tensors
    }  # fmt: skip


@pytest.mark.parametrize("name", ["kernel", "job", "job_stateful"])
def test_triton_s_configuration_is_that_of_the_graph(repository, name):
    folder = repository / name
    config = config_of(folder)
    session = onnxruntime.InferenceSession(str(folder / "1" / "model.onnx"))
    states = {each.input_name: each for each in config.sequence_batching.state}
    outputs = {each.output_name: each for each in config.sequence_batching.state}
    assert config.name == name
    assert config.max_batch_size > 0
    assert config.backend == "onnxruntime"
    assert not shapes(config.input).keys() & states.keys()
    assert {**shapes(config.input), **kept(states)} == ends(session.get_inputs())
    assert {**shapes(config.output), **kept(outputs)} == ends(session.get_outputs())
    assert all(list(each.reshape.shape) == [] and list(each.dims) == [1]
               for each in config.output if each.HasField("reshape"))  # fmt: skip


def kept(states):
    name = model_config_pb2.DataType.Name
    return {key: (name(each.data_type), [-1, *each.dims]) for key, each in states.items()}


def test_one_job_model_is_stateless_and_triton_keeps_the_state_of_the_other(repository):
    plain, kept_by_triton = config_of(repository / "job"), config_of(repository / "job_stateful")
    assert plain.HasField("dynamic_batching")
    assert not plain.HasField("sequence_batching")
    (state,) = kept_by_triton.sequence_batching.state
    (initial,) = state.initial_state
    assert initial.zero_data
    assert list(initial.dims) == list(state.dims)
    assert initial.data_type == state.data_type


def test_labels_name_every_column(repository):
    for folder in repository.iterdir():
        if not folder.is_dir():
            continue
        for output in config_of(folder).output:
            if output.label_filename:
                names = (folder / output.label_filename).read_text().splitlines()
                assert len(names) == output.dims[0]
    assert (repository / "job" / "classes.txt").read_text().splitlines() == list(CLASSES)
    assert (repository / "job" / "channels.txt").read_text().splitlines() == [each.name for each in CHANNELS]
    assert (repository / "kernel" / "features.txt").read_text().splitlines() == list(FEATURE_NAMES)
    sums_hold(repository)


def test_the_exported_graph_gives_the_known_answers(repository):
    folder = repository / "job"
    data = (folder / "1" / "model.onnx").read_bytes()
    known = read_answers(folder / "job_known_answers.json", hashlib.sha256(data).hexdigest())
    session = onnxruntime.InferenceSession(data)
    state = np.zeros((len(known.dts), 108), np.float32)
    for t in range(known.dts.shape[1]):
        feed = {"sample": known.samples[:, t], "mask": known.masks[:, t], "dt": known.dts[:, t, None], "state": state}
        logits, state = session.run(["logits", "next_state"], feed)
        np.testing.assert_allclose(np.exp(logits), known.probabilities[:, t], atol=1e-4)


def test_nothing_is_written_over_unless_an_export_wrote_it(export, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    assert export("onnx", folder)[0] == 0
    before = files_in(folder)
    code, _, err = export("triton", folder)
    assert (code, files_in(folder)) == (UsageError.exit_code, before)
    assert "--force" in err
    assert export("triton", folder, "--force")[0] == 0
    assert (folder / "kernel" / "config.pbtxt").is_file()
    assert not (folder / "kernel.onnx").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("x")
    code, _, err = export("onnx", other, "--force")
    assert (code, files_in(other)) == (UsageError.exit_code, {"precious": b"x"})
    assert "no export wrote" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "other"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_or_a_link_is_no_folder(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("x")
    else:
        target.symlink_to(tmp_path / "elsewhere")
    for force in (False, True):
        with pytest.raises(UsageError):
            write_folder(target, {"a": b"a"}, force)
    assert target.is_symlink() or target.read_text() == "x"


def test_a_disk_that_refuses_leaves_what_was_there(tmp_path, monkeypatch):
    folder = tmp_path / "export"
    write_folder(folder, {"a": b"old"})

    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("hashwarden.serve.export_folder.synced", full)
    with pytest.raises(UsageError, match="No space left"):
        write_folder(folder, {"a": b"new", "b/c": b"new"}, force=True)
    assert (folder / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_model_that_fails_its_check_is_not_handed_on(export, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("job.onnx", "job_sequence.onnx"):
        shutil.copy(shipped_job_model().with_name(name), broken)
    code, _, err = export("onnx", tmp_path / "models", "--job", broken / "job.onnx")
    assert code != 0
    assert "known_answers" in err
    assert not (tmp_path / "models").exists()
