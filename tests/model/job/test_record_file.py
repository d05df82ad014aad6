"""The record is exchanged and nothing else: the graph stays what it was to the byte, and damage is told."""

import shutil
from contextlib import suppress

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.errors import ModelError
from hashwarden.model.job.metadata import KEY, read_metadata
from hashwarden.model.job.record_file import network_of, same_network, with_record
from hashwarden.serve.job_scorer import shipped_job_model


@pytest.fixture(scope="module")
def data():
    return shipped_job_model().read_bytes()


def _properties(data):
    return {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}


def test_another_record_and_the_same_graph(data):
    before = onnx.load_from_string(data)
    extra = before.metadata_props.add()
    extra.key, extra.value = "who", "somebody"
    data = before.SerializeToString()
    record = read_metadata(_properties(data), "test")
    changed = record.model_copy(update={"measured_on": "own runs " * 40, "seed": record.seed + 1})
    after = with_record(data, changed)
    assert _properties(after) == {KEY: changed.model_dump_json(), "who": "somebody"}
    assert onnx.load_from_string(after).graph == before.graph
    assert len(onnx.load_from_string(after).metadata_props) == 2
    assert network_of(after) == network_of(data) != after
    assert with_record(after, record) == with_record(data, record)
    onnx.checker.check_model(onnx.load_from_string(after))


def _model(data, folder):
    folder.mkdir()
    (folder / "job.onnx").write_bytes(data)
    shutil.copy(shipped_job_model().with_name("job_sequence.onnx"), folder)
    return folder / "job.onnx"


def test_same_network_is_about_weights(data, tmp_path):
    record = read_metadata(_properties(data), "test")
    other = _model(with_record(data, record.model_copy(update={"seed": 12345})), tmp_path / "record")
    assert same_network(shipped_job_model(), other)
    model = onnx.load_from_string(data)
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights.raw_data = bytes([weights.raw_data[0] ^ 1]) + weights.raw_data[1:]
    assert not same_network(shipped_job_model(), _model(model.SerializeToString(), tmp_path / "weights"))
    (tmp_path / "record" / "job_sequence.onnx").write_bytes(b"")
    assert not same_network(shipped_job_model(), other)
    (tmp_path / "record" / "job_sequence.onnx").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        same_network(shipped_job_model(), other)


@pytest.mark.parametrize("end", [1, 5, 1000, -1])
def test_what_breaks_off_is_no_model(data, end):
    with pytest.raises(ModelError, match="breaks off at byte"):
        network_of(data[:end])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_kept_or_refused(data):
    with suppress(ModelError):
        assert network_of(data) == data
