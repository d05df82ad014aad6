"""``hashwarden audit`` as people call it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hashwarden.cli.audit import audit_app
from hashwarden.errors import CheckError, UsageError
from hashwarden.serve.audit.bundle import write_bundle
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import load_or_make, public_path
from hashwarden.serve.audit.log import AuditLog, Limits
from hashwarden.serve.audit.retention import Retention
from hashwarden.serve.jobs.job import Job


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a log, its key and the public half."""
    signer = load_or_make(tmp_path / "audit.pem")
    with AuditLog(tmp_path / "audit", signer, node="node7") as log:
        log.append(EventKind.START, {"version": "0.5", "node": "node7", "policy": {"sha256": "d" * 64}})
        for number in range(3):
            rows = [{"tenant": "=physics", "user": "ada", "class": "training", "gpu_seconds": 1800.0}]
            log.append(EventKind.COVERAGE, {"from_unix_s": 1000.0 + number, "to_unix_s": 1001.0 + number,
                                            "watched": rows, "blind": []})  # fmt: skip
        verdict = {"state": "confirmed", "family": "ethash", "reasons": ["why"]}
        log.append(EventKind.VERDICT, {"job": {"key": "slurm:1", "account": "=physics", "name": "a\x1bb"}, "gpu": "G",
                                       "verdict": verdict})  # fmt: skip
        log.append(EventKind.CASE, {"case": "HW-1", "job": "slurm:1", "change": "opened", "standing": "confirmed"})
    return tmp_path


def call(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(audit_app, [str(word) for word in words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout


def test_verify_says_all_is_well_and_finds_what_is_not(place):
    key = ["--public-key", public_path(place / "audit.pem")]
    out = call("verify", place / "audit", *key)
    assert "all as it was written" in out
    assert "note: no checkpoint kept elsewhere" in out
    assert json.loads(call("verify", place / "audit", *key, "--json"))["ok"] is True
    path = log_files(place / "audit")[0].path
    path.write_bytes(path.read_bytes().replace(b"ethash", b"kawpow"))
    assert "1 problems" in call("verify", place / "audit", *key, code=1)
    found = json.loads(call("verify", place / "audit", *key, "--json", code=1))
    assert found["problems"][0]["what"].endswith("is not what was written here")


def test_show_filters_and_is_printable(place):
    lines = call("show", place / "audit").splitlines()
    assert len(lines) == 9
    assert all(line.isprintable() for line in lines)
    (case,) = call("show", place / "audit", "--case", "HW-1").splitlines()
    assert "case=HW-1 change=opened standing=confirmed job=slurm:1" in case
    assert len(call("show", place / "audit", "--job", "slurm:1").splitlines()) == 2
    assert len(call("show", place / "audit", "--kind", "coverage", "--last", "2").splitlines()) == 2
    record = json.loads(call("show", place / "audit", "--kind", "verdict", "--json"))
    assert record["body"]["verdict"]["state"] == "confirmed"
    with pytest.raises(UsageError, match="no records of kind"):
        call("show", place / "audit", "--kind", "gossip")


def test_show_follows(place):
    code = "from hashwarden.cli import main; main()"
    command = [sys.executable, "-c", code, "audit", "show", str(place / "audit"), "--follow", "--kind", "stop"]
    command = ["env", "--default-signal=INT", *command]  # what starts the tests may ignore it
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as run:
        try:
            time.sleep(0.5)
            with AuditLog(place / "audit", load_or_make(place / "audit.pem")) as log:
                log.append(EventKind.STOP, {"reason": "asked to"})
            assert "reason=asked to" in run.stdout.readline()
            run.send_signal(signal.SIGINT)
            run.communicate(timeout=20)
        finally:
            run.kill()
    assert run.returncode == 0


@pytest.mark.parametrize("what", ["show", "export"])
def test_a_reader_that_goes_away_is_no_fault(place, what):
    with AuditLog(place / "audit", load_or_make(place / "audit.pem")) as log:
        log.append_many([(EventKind.CASE, {"case": "HW-1", "words": "x" * 100})] * 2000)
    code = "from hashwarden.cli import main; main()"
    command = [sys.executable, "-c", code, "audit", what, str(place / "audit")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.read(10)
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 141


def test_meter_in_three_forms(place):
    rows = list(csv.DictReader(io.StringIO(call("meter", place / "audit", "--format", "csv"))))
    assert rows == [{"tenant": "'=physics", "class": "training", "watched_gpu_hours": "1.5", "blind_gpu_hours": "0.0",
                     "share_watched": "1.0"}]  # fmt: skip
    found = json.loads(call("meter", place / "audit", "--by", "tenant", "--to", "1001", "--format", "json"))
    assert found["rows"][0]["watched_gpu_hours"] == 0.5
    assert "1.500" in call("meter", place / "audit", "--from", "1970-01-01", "--to", "1970-01-02T00:00+01:00")
    with pytest.raises(UsageError, match="the time"):
        call("meter", place / "audit", "--from", "yesterday")
    with pytest.raises(UsageError, match="a period"):
        call("meter", place / "audit", "--from", "2026-11-02", "--to", "2026-11-01")
    path = log_files(place / "audit")[0].path
    path.write_bytes(path.read_bytes().replace(b'"gpu_seconds":1800.0', b'"gpu_seconds":9999.0', 1))
    call("meter", place / "audit", code=1)


def test_export_gives_one_finding_a_line(place):
    lines = [json.loads(line) for line in call("export", place / "audit", "--format", "ocsf").splitlines()]
    assert [line["class_uid"] for line in lines] == [2004, 2004]
    after = lines[0]["metadata"]["sequence"]
    assert len(call("export", place / "audit", "--after", after).splitlines()) == 1


def test_attest_and_verify(place):
    key, out = public_path(place / "audit.pem"), place / "out.json"
    period = ["--from", "2020-01-01", "--to", "2100-01-01"]
    call("attest", place / "audit", "--tenant", "=physics", *period, "--output", out)
    words = call("attest-verify", out, "--public-key", key, "--log", place / "audit")
    assert "confirmed 1" in words
    found = json.loads(call("attest-verify", out, "--public-key", key, "--json"))
    assert found["statement"]["predicate"]["tenant"] == "=physics"
    assert json.loads(call("attest", place / "audit", "--all-tenants", *period))["payloadType"]
    load_or_make(place / "other.pem")
    with pytest.raises(CheckError, match="not of this key"):
        call("attest-verify", out, "--public-key", public_path(place / "other.pem"))
    with pytest.raises(UsageError, match="--tenant"):
        call("attest", place / "audit", *period)


def test_the_key_is_changed_once_whatever_cuts_it_off(place):
    key, old = place / "audit.pem", load_or_make(place / "audit.pem").public
    first = place / "first.pub"
    first.write_text(old.pem)
    kept = key.read_bytes()
    assert old.id in call("rotate-key", place / "audit")
    new = load_or_make(key).public
    assert new != old
    names = {"audit", "audit.pem", "audit.pub", f"audit.{old.id[:16]}.pub", "first.pub"}
    assert {one.name for one in place.iterdir()} == names
    (place / "audit.pem.next").write_bytes(key.read_bytes())  # as if it had ended before the file took its name
    (place / "audit.pem.next").chmod(0o600)
    key.write_bytes(kept)
    call("rotate-key", place / "audit")
    assert load_or_make(key).public == new
    with AuditLog(place / "audit", load_or_make(key)) as log:
        log.append(EventKind.STOP, {})
        with pytest.raises(UsageError, match="another process writes"):
            call("rotate-key", place / "audit")
    for public in (first, public_path(key)):
        assert "all as it was written" in call("verify", place / "audit", "--public-key", public)


def test_schemas_are_printed():
    assert json.loads(call("schema", "record"))["title"] == "hashwarden.audit/1"
    assert "predicateType" in json.loads(call("schema", "attestation"))["properties"]


def test_bundle_verify(place):
    from hashwarden.serve.audit.bundle import write_bundle
    from hashwarden.serve.jobs.job import Job

    with AuditLog(place / "audit", load_or_make(place / "audit.pem")) as log:
        bundle = write_bundle(
            place, case={"id": "HW-1"}, job=Job("slurm:1", "slurm", "1"), verdicts=[], runs=[], launches=[], code={},
            model={}, policy={}, audit=log,
        )  # fmt: skip
    assert "as it was packed" in call("bundle", "verify", bundle.path, "--log", place / "audit")
    data = bytearray(bundle.path.read_bytes())
    data[-3] = 1  # after the last member, where tar looks at nothing
    bundle.path.write_bytes(data)
    call("bundle", "verify", bundle.path)
    call("bundle", "verify", bundle.path, "--log", place / "audit", code=1)
    found = json.loads(call("bundle", "verify", bundle.path, "--log", place / "audit", "--json", code=1))
    assert found["problems"] == ["the audit log knows no bundle of case HW-1 with this hash"]


def test_files_that_the_rule_removed_are_told_and_verified_from_an_archive(tmp_path):
    signer, now = load_or_make(tmp_path / "audit.pem"), [1000.0]
    with AuditLog(tmp_path / "audit", signer, limits=Limits(rotate_bytes=2000, reserve_bytes=0), clock=lambda: now[0],
                  monotonic=lambda: now[0], retention=Retention(keep_days=1)) as log:  # fmt: skip
        for number in range(20):
            log.append(EventKind.BLIND, {"subject": f"gpu {number}"})
        shutil.copytree(tmp_path / "audit", tmp_path / "archive", ignore=shutil.ignore_patterns("lock", "reserve"))
        now[0] += 200_000
        log.checkpoint()
    key = ["--public-key", public_path(tmp_path / "audit.pem")]
    out = call("verify", tmp_path / "audit", *key)
    assert "the records before were removed under the retention rule on 1970-01-03" in out
    assert json.loads(call("verify", tmp_path / "audit", *key, "--json"))["removed"]["before"] > 0
    out = call("verify", tmp_path / "audit", *key, "--archive", tmp_path / "archive")
    assert "(0 to " in out
    for archive, words in (([], "are not here, and not in these sums"), (["--archive", tmp_path / "archive"], "")):
        done = CliRunner().invoke(audit_app, ["meter", *map(str, [tmp_path / "audit", *key, *archive])])
        assert done.exit_code == 0
        assert (words in done.stderr) if words else (done.stderr == "")
    written = write_bundle(tmp_path, case={"id": "HW-1"}, job=Job("a:1", "a", "1"), verdicts=[], runs=[], launches=[],
                           code={}, model={}, policy={})  # fmt: skip
    done = CliRunner().invoke(audit_app, ["bundle", "verify", str(written), "--log", str(tmp_path / "audit")])
    assert "with this hash since record " in done.stderr
    (tmp_path / "archive" / "audit-000000000000.jsonl").write_bytes(b"")
    call("verify", tmp_path / "audit", *key, "--archive", tmp_path / "archive", code=1)
