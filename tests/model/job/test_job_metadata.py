"""The record of a job model: what does not fit this version is refused."""

import json

import pytest

from hashwarden.errors import ModelError
from hashwarden.model.channels import NETWORK, schema_hash
from hashwarden.model.job.metadata import KEY, JobMetadata, read_metadata
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES


@pytest.fixture
def record():
    return JobMetadata(
        version="1", state_size=4, novelty_limits={"unseen": 9.0}, evidence={"tiers": {"nvml": [1, 0.5]}},
        measured_on="synthesised runs", origins={"recorded": 0.25, "synthesised": 0.75},
        training_data={"a.parquet": "00"}, seed=1,
    )  # fmt: skip


def test_a_record_comes_back_as_it_was(record):
    assert read_metadata({KEY: record.model_dump_json()}, "x") == record
    assert record.channels == list(NETWORK)
    assert record.channels_sha256 == schema_hash()
    assert record.classes == list(CLASSES)
    assert record.families == list(MINING_FAMILIES)


def test_a_file_without_a_record_is_refused():
    with pytest.raises(ModelError, match="no metadata property") as caught:
        read_metadata({}, "m.onnx")
    assert caught.value.where == "m.onnx"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "kernel"}, "a model called 'kernel'"),
        ({"schema_version": 99}, "schema version 99"),
        ({"channels_sha256": "0" * 64}, "channels of another table"),
        ({"channels": list(reversed(NETWORK))}, "channels of another table or order"),
        ({"classes": list(reversed(CLASSES))}, "classes or families"),
        ({"families": ["one"]}, "classes or families"),
        ({"state_size": 0}, "state_size"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"novelty_limits": {"unseen": float("inf")}}, "not finite"),
        ({"origins": {"recorded": 0.5}}, "shares of origins"),
        ({"origins": {"recorded": 2.0, "synthesised": -1.0}}, "shares of origins"),
        ({"origins": {}}, "shares of origins"),
        ({"evidence": None}, "evidence"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(record, change, message):
    text = json.dumps(json.loads(record.model_dump_json()) | change)
    with pytest.raises(ModelError, match=message) as caught:
        read_metadata({KEY: text}, "m.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"model": "job"}', "\x00"])
def test_what_is_no_record_is_refused(text):
    with pytest.raises(ModelError, match="metadata that does not fit"):
        read_metadata({KEY: text}, "m.onnx")
