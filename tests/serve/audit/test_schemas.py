from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from hashwarden.serve.audit.attestation_model import Statement
from hashwarden.serve.audit.bodies import BODIES, faults, record_schema
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import log_files

DOCS = Path(__file__).parents[3] / "docs"


def test_the_schemas_on_the_page_are_those_of_the_program():
    pages = {"audit-record": record_schema(), "gpu-use-attestation": Statement.model_json_schema(by_alias=True)}
    for name, schema in pages.items():
        told = json.loads((DOCS / f"{name}.schema.json").read_text())
        assert told == schema, f"write it anew: hashwarden audit schema > docs/{name}.schema.json"


def test_what_is_written_fits_the_schema(tmp_path, story):
    check = jsonschema.Draft202012Validator(json.loads((DOCS / "audit-record.schema.json").read_text()))
    lines = log_files(story(tmp_path / "log"))[0].path.read_bytes().splitlines()
    for line in lines:
        check.validate(json.loads(line))
    assert {json.loads(line)["record"]["kind"] for line in lines} >= {"start", "verdict", "case", "coverage", "action"}
    odd = json.loads(lines[2])
    odd["record"]["kind"] = "gossip"
    with pytest.raises(jsonschema.ValidationError):
        check.validate(odd)


def test_every_kind_has_a_body():
    assert {*BODIES, EventKind.CHECKPOINT} == set(EventKind)


def test_faults_are_told_in_words():
    assert faults("verdict", {"job": {"key": "a"}, "verdict": {}, "unix_s": 1.0}) == []
    assert faults("verdict", {"job": {}}) != []
    assert faults("gossip", {}) == ["a kind that this version does not know"]
