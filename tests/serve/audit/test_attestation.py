"""Attestations, verified as a third party would: with openssl and an encoding that is written out here."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from hashwarden.errors import CheckError, DataError, MissingExtraError, UsageError
from hashwarden.serve.audit.attestation import attest, compare, verified
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.metering import Span
from hashwarden.serve.audit.verify import Wanted

DAY = 1_795_305_600.0
SPAN = Span(DAY, DAY + 86400)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def attested(tmp_path, story, signer):
    def make(tenant="physics", span=SPAN):
        folder = tmp_path / "log"
        if not folder.exists():
            story(folder)
        path = tmp_path / f"{tenant}.json"
        path.write_bytes(attest(folder, signer, tenant, span, Wanted(keys=(signer.public,))))
        return path

    return make


def test_it_says_what_the_log_says_of_this_tenant_and_period(attested, signer):
    use = verified(attested(), signer.public).predicate
    assert use.coverage.gpu_hours_watched == pytest.approx(500 / 3600, abs=1e-6)
    assert use.coverage.gpu_hours_blind == {"shared": pytest.approx(100 / 3600, abs=1e-6)}
    assert use.coverage.share_watched == pytest.approx(500 / 600, abs=1e-6)
    assert use.coverage.seconds_without_records == 86400 - 1200
    assert use.gpu_hours_by_class == {"mining": pytest.approx(500 / 3600, abs=1e-6)}
    assert use.verdicts_by_state == {"confirmed": 1, "watching": 1}
    assert (use.cases.opened, use.cases.closed, use.cases.approvals) == (1, 1, {"approved": 1})
    assert use.actions == {"cancel": {"done": 1}}
    assert [one.sha256 for one in use.models] == ["ab" * 32]
    assert use.policies == ("d" * 64,)
    assert (use.agent.nodes, use.agent.starts, use.records_without_tenant) == (("node7",), 1, 0)
    assert use.audit_log.checkpoint.statement.seq >= use.audit_log.last_seq


def test_another_tenant_sees_nothing_of_the_first(attested, signer):
    path = attested("lab")
    use = verified(path, signer.public).predicate
    assert use.verdicts_by_state == {"clear": 1}
    assert (use.cases.opened, use.actions) == (0, {})
    assert b"physics" not in base64.b64decode(json.loads(path.read_text())["payload"])
    whole = verified(attested(None), signer.public).predicate
    assert sum(whole.verdicts_by_state.values()) == 3


def test_openssl_and_a_few_lines_verify_it(attested, signer, tmp_path):
    envelope = json.loads(attested().read_text())
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    (tmp_path / "signed").write_bytes(
        b" ".join([b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload])
    )
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "key.pub").write_text(signer.public.pem)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin", "-in", "signed"]
    done = subprocess.run(
        [*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Signature Verified Successfully" in done.stdout
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "urn:hashwarden:attestation:gpu-use:1"
    assert statement["subject"][0]["digest"]["sha256"] == statement["predicate"]["audit_log"]["hash_last"]
    schema = json.loads((ROOT / "docs" / "gpu-use-attestation.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(statement)


def test_a_second_implementation_of_the_signature_agrees(attested, signer):
    """A second implementation of Ed25519, which shares nothing with the one that signs."""
    from Crypto.PublicKey import ECC
    from Crypto.Signature import eddsa

    envelope = json.loads(attested().read_text())
    payload = base64.b64decode(envelope["payload"])
    encoded = b"DSSEv1 %d %s %d %s" % (28, b"application/vnd.in-toto+json", len(payload), payload)
    key = eddsa.new(ECC.import_key(signer.public.pem), "rfc8032")
    key.verify(encoded, base64.b64decode(envelope["signatures"][0]["sig"]))
    with pytest.raises(ValueError, match="not authentic"):
        key.verify(encoded + b" ", base64.b64decode(envelope["signatures"][0]["sig"]))


def test_it_agrees_with_its_log_and_with_no_other(attested, signer, tmp_path, story):
    statement = verified(attested(), signer.public)
    assert compare(statement, tmp_path / "log", Wanted(keys=(signer.public,))) == []
    other = story(tmp_path / "other", lambda log: log.append(EventKind.VERDICT, {"job": "slurm:1", "verdict": {}}))
    differ = compare(statement, other, Wanted(keys=(signer.public,)))
    assert set(differ) == {"verdicts_by_state", "audit_log"}


@pytest.mark.parametrize("field", ["payload", "payloadType", "signatures"])
def test_a_changed_envelope_is_refused(attested, signer, field):
    path = attested()
    envelope = json.loads(path.read_text())
    if field == "payload":
        changed = base64.b64decode(envelope["payload"]).replace(b'"mining":0.13', b'"mining":0.03')
        envelope["payload"] = base64.b64encode(changed).decode()
    elif field == "payloadType":
        envelope["payloadType"] = "application/json"
    else:
        envelope["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    path.write_text(json.dumps(envelope))
    with pytest.raises(CheckError, match="signature"):
        verified(path, signer.public)


def test_another_key_is_refused(attested):
    with pytest.raises(CheckError, match="not of this key"):
        verified(attested(), Signer.generate().public)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"payload":"!","payloadType":1,"signatures":[]}', "\x00", "[" * 99999]
)
def test_what_is_no_envelope_is_said(tmp_path, signer, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises((DataError, CheckError)):
        verified(tmp_path / "x", signer.public)
    with pytest.raises(DataError, match="cannot be read"):
        verified(tmp_path / "nowhere", signer.public)


def test_a_signed_checkpoint_is_no_attestation(tmp_path, signer):
    """The same key signs both; what it signs says which it is."""
    from hashwarden.serve.audit.attestation import sealed

    with AuditLog(tmp_path / "log", signer) as log:
        log.append(EventKind.STOP, {})
        statement = log.checkpoint().statement
    envelope = {
        "payload": base64.b64encode(statement.model_dump_json().encode()).decode(),
        "payloadType": "application/vnd.hashwarden.audit-checkpoint+json",
        "signatures": [{"keyid": signer.public.id, "sig": base64.b64encode(signer.sign(statement.message())).decode()}],
    }
    (tmp_path / "x").write_text(json.dumps(envelope))
    with pytest.raises(CheckError):
        verified(tmp_path / "x", signer.public)
    other = {"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "a", "digest": {"sha256": "00"}}],
             "predicateType": "https://slsa.dev/provenance/v1", "predicate": {"a": 1}}  # fmt: skip
    (tmp_path / "y").write_bytes(sealed(json.dumps(other).encode(), signer))
    with pytest.raises(CheckError, match="predicateType"):
        verified(tmp_path / "y", signer.public)


def test_nothing_is_attested_of_a_log_that_was_tampered_with(attested, signer, tmp_path):
    attested()
    path = log_files(tmp_path / "log")[0].path
    path.write_bytes(path.read_bytes().replace(b'"confirmed"', b'"watching!"', 1))
    with pytest.raises(CheckError, match="problems in the log"):
        attest(tmp_path / "log", signer, "physics", SPAN, Wanted())


def test_a_period_needs_ends_and_records(attested, tmp_path):
    attested()
    for span in (Span(), Span(0), Span(to_unix_s=DAY)):
        with pytest.raises(UsageError, match="without beginning or end"):
            attest(tmp_path / "log", Signer.generate(), "physics", span, Wanted())
    with pytest.raises(DataError, match="no record of this period"):
        attest(tmp_path / "log", Signer.generate(), "physics", Span(0, 10), Wanted())


def test_a_crash_in_between_and_a_new_policy_are_told(tmp_path, story, signer):
    def crash(log):
        log.append(EventKind.POLICY, {"before": "d" * 64, "after": "e" * 64, "mode": "act"})
        log.append(EventKind.START, {"version": "0.6", "node": "node7", "policy": {"sha256": "f" * 64}})

    folder = story(tmp_path / "log", crash)
    path = tmp_path / "x"
    path.write_bytes(attest(folder, signer, None, SPAN, Wanted()))
    use = verified(path, signer.public).predicate
    assert (use.agent.starts, use.agent.unclean_ends, use.agent.versions) == (2, 1, ("0.5", "0.6"))
    assert use.policies == ("d" * 64, "e" * 64, "f" * 64)


@pytest.mark.parametrize("package", ["securesystemslib", "in_toto_attestation"])
def test_a_missing_library_names_the_extra(attested, signer, tmp_path, monkeypatch, package):
    attested()
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match="hashwarden\\[attest\\]"):
        attest(tmp_path / "log", signer, "physics", SPAN, Wanted())
