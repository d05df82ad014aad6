from __future__ import annotations

import json

import pytest
from py_ocsf_models.events.findings.detection_finding import DetectionFinding

from hashwarden.serve.audit.ocsf import OCSF_VERSION, Exporter
from hashwarden.serve.audit.read import Reader


@pytest.fixture
def findings(tmp_path, signer, story):
    exporter, reader = Exporter(), Reader(story(tmp_path / "log"))
    found = [exporter.finding(record) for record in reader]
    reader.close()
    return [one for one in found if one is not None]


def _unknown(given: object, kept: object, path: str = "") -> list[str]:
    """Fields that the published model dropped, or changed."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [bad for key in given for bad in _unknown(given[key], kept.get(key, "(dropped)"), f"{path}.{key}")]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [bad for number, one in enumerate(given) for bad in _unknown(one, kept[number], f"{path}[{number}]")]
    return [] if given == kept else [path]


def test_every_finding_is_valid_ocsf_and_has_no_field_of_ours(findings):
    assert len(findings) == 5
    for one in findings:
        model = DetectionFinding.model_validate_json(json.dumps(one))
        assert _unknown(one, model.model_dump(mode="json")) == []
        assert (one["class_uid"], one["category_uid"], one["metadata"]["version"]) == (2004, 2, OCSF_VERSION)
        assert one["type_uid"] == 200400 + one["activity_id"]


def test_severity_activity_and_owner_come_from_the_records(findings):
    watching, confirmed, clear, opened, closed = findings
    assert [one["severity"] for one in findings] == ["Low", "High", "Informational", "High", "Informational"]
    assert [one["activity_name"] for one in findings] == ["Create", "Update", "Create", "Create", "Close"]
    assert watching["finding_info"]["uid"] == confirmed["finding_info"]["uid"] == "slurm:1@GPU-1"
    assert confirmed["finding_info"]["title"] == "mining (ethash) on the GPUs of job slurm:1: confirmed"
    assert confirmed["confidence_score"] == 100
    assert opened["finding_info"]["uid"] == closed["finding_info"]["uid"] == "HW-2345678"
    assert {one["metadata"].get("tenant_uid") for one in (watching, opened, closed)} == {"physics"}
    assert clear["metadata"]["tenant_uid"] == "lab"
    assert {one["finding_info"]["analytic"]["uid"] for one in findings} == {"ab" * 32}
    assert opened["resources"][0]["owner"]["name"] == "ursula"
    assert "hunter2" not in json.dumps(findings)
    uids = [one["metadata"]["uid"] for one in findings]
    assert len(set(uids)) == 5
    assert all(uid.endswith(f":{one['metadata']['sequence']}") for uid, one in zip(uids, findings, strict=True))


@pytest.mark.parametrize("body", [{}, {"case": 5}, {"job": [], "verdict": 7}, {"case": "x", "evidence": []}])
def test_odd_bodies_make_no_fault(tmp_path, signer, body):
    from hashwarden.serve.audit.event import EventKind
    from hashwarden.serve.audit.log import AuditLog

    with AuditLog(tmp_path, signer) as log:
        log.append(EventKind.VERDICT, body)
        log.append(EventKind.CASE, body)
    exporter, reader = Exporter(), Reader(tmp_path)
    for record in reader:
        if (found := exporter.finding(record)) is not None:
            DetectionFinding.model_validate(found)
    reader.close()
