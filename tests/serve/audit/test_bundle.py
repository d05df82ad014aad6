from __future__ import annotations

import hashlib
import io
import json
import stat
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_read import iter_runs
from hashwarden.serve.audit.bundle import MANIFEST, write_bundle
from hashwarden.serve.audit.bundle_verify import recorded_hashes, verify_bundle
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.jobs.job import Job, ProcessKey
from hashwarden.serve.journal import StorageError
from hashwarden.serve.launch_board import KernelLaunches, LaunchProfile


def run(samples: int = 50, name: str = "GPU-1") -> Run:
    values = np.full((samples, len(CHANNELS)), np.nan, np.float32)
    values[:, 0] = 0.5
    info = RunInfo(origin="recorded", gpu="H100", period_s=1.0)
    return Run(name, np.arange(samples, dtype=np.float64), values, info=info)


def profile(kernels: int = 2) -> LaunchProfile:
    found = tuple(KernelLaunches(f"_Z{number}\x1b[2J", 10, 2560) for number in range(kernels))
    return LaunchProfile(ProcessKey(7, 8), 1.0, 2.0, found)


JOB = Job("slurm:1", "slurm", "1", gpus=("GPU-1",), user="ada", account="physics", labels={"password": "hunter2"})


def pack(folder: Path, **other: object):
    given = {
        "case": {"id": "HW-2345678", "standing": "confirmed"}, "job": JOB, "verdicts": [], "runs": [run()],
        "launches": [profile()], "code": {"_Z0": "ab" * 20}, "model": {"sha256": "cd" * 32}, "policy": {"mode": "act"},
    }  # fmt: skip
    return write_bundle(folder, **{**given, **other})


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}


def test_everything_is_in_it_and_only_its_owner_reads_it(tmp_path):
    bundle = pack(tmp_path / "evidence")
    assert bundle.path == tmp_path / "evidence" / "HW-2345678.tar"
    assert stat.S_IMODE(bundle.path.stat().st_mode) == 0o600
    assert bundle.sha256 == hashlib.sha256(bundle.path.read_bytes()).hexdigest()
    assert [one.name for one in bundle.path.parent.iterdir()] == ["HW-2345678.tar"]
    found = members(bundle.path)
    assert next(iter(found)) == MANIFEST
    assert set(found) == {MANIFEST, "case.json", "job.json", "code.json", "verdicts.json", "launches.json",
                          "channels.json", "trace.parquet"}  # fmt: skip
    manifest = json.loads(found[MANIFEST])
    assert manifest["files"] == {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in found.items() if name != MANIFEST
    }  # fmt: skip
    assert (manifest["model"], manifest["left_out"]) == ({"sha256": "cd" * 32}, {})
    assert json.loads(found["job.json"])["tenant"] == "physics"
    assert json.loads(found["launches.json"])["profiles"][0]["kernels"][0]["name"] == "_Z0\\x1b[2J"
    assert b"hunter2" not in b"".join(found.values())


def test_the_trace_reads_as_any_other(tmp_path):
    (tmp_path / "t.parquet").write_bytes(members(pack(tmp_path).path)["trace.parquet"])
    (found,) = iter_runs(tmp_path / "t.parquet")
    assert (found.name, len(found), float(found.values[3, 0])) == ("GPU-1", 50, 0.5)


def test_the_same_evidence_gives_the_same_bytes(tmp_path):
    assert pack(tmp_path / "a").sha256 == pack(tmp_path / "b").sha256
    assert pack(tmp_path / "a").sha256 != pack(tmp_path / "a", policy={"mode": "warn"}).sha256


def test_without_samples_it_is_still_a_bundle(tmp_path):
    bundle = pack(tmp_path, runs=[], launches=[], code={})
    assert "trace.parquet" not in members(bundle.path)
    assert verify_bundle(bundle.path).ok


def test_it_is_bounded_and_says_what_was_left_out(tmp_path):
    many = [run(1, f"GPU-{number}") for number in range(2, 72)]
    bundle = pack(tmp_path, runs=[run(40_000), *many], launches=[profile(300)] * 300)
    manifest = json.loads(members(bundle.path)[MANIFEST])
    assert manifest["left_out"] == {"runs": 7, "samples": 4007, "launches": 44, "kernels": 30_000}
    assert bundle.size < 64 << 20


@pytest.mark.parametrize("case", ["../../etc/passwd", "", ".", "a/b", "x" * 300, "n\x00l", "HW 1", ".hidden"])
def test_odd_cases_stay_in_the_folder(tmp_path, case):
    bundle = pack(tmp_path / "evidence", case={"id": case})
    assert bundle.path.parent == tmp_path / "evidence"
    assert [one.name for one in (tmp_path / "evidence").iterdir()] == [bundle.path.name]
    assert not bundle.path.name.startswith(".")


def test_the_log_knows_its_hash(tmp_path, signer):
    with AuditLog(tmp_path / "log", signer) as log:
        first = pack(tmp_path, audit=log)
        second = pack(tmp_path, audit=log, policy={"mode": "warn"})
    assert recorded_hashes(tmp_path / "log", "HW-2345678") == [first.sha256, second.sha256]
    assert recorded_hashes(tmp_path / "log", "HW-X") == []


def _repacked(path: Path, changed: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in changed.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_every_changed_member_is_found(tmp_path):
    path = pack(tmp_path).path
    whole = members(path)
    assert verify_bundle(path).ok
    for name in whole:
        if name == MANIFEST:
            continue
        data = bytearray(whole[name])
        data[len(data) // 2] ^= 1
        _repacked(path, {**whole, name: bytes(data)})
        assert verify_bundle(path).problems == (f"{name}: not what was packed",)
        _repacked(path, {other: data for other, data in whole.items() if other != name})
        assert verify_bundle(path).problems == (f"{name}: missing",)
    _repacked(path, {**whole, "extra": b"x"})
    assert verify_bundle(path).problems == ("extra: not in the manifest",)


def test_links_and_second_members_are_found(tmp_path):
    path = pack(tmp_path).path
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("case.json"), io.BytesIO(b""))
    assert verify_bundle(path).problems == (
        "link: twice, or no plain file", "case.json: twice, or no plain file",
    )  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"no tar", bytes(10240), b"\x1f\x8b" + bytes(100)])
def test_what_is_no_bundle_is_said(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError):
        verify_bundle(tmp_path / "x")
    with pytest.raises(DataError):
        verify_bundle(tmp_path / "nowhere")


def test_a_full_disk_leaves_what_was_there(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], check=True)
    try:
        first = pack(disk, runs=[])
        noise = run(30_000)
        noise.values[:, 0] = np.random.default_rng(1).random(30_000)
        with pytest.raises(StorageError):
            pack(disk, runs=[noise])
        (disk / "ballast").write_bytes(bytes(60_000))
        with pytest.raises(StorageError):
            pack(disk, runs=[], code={str(number): "ab" * 32 for number in range(2000)})
        assert sorted(one.name for one in disk.iterdir()) == ["HW-2345678.tar", "ballast"]
        assert verify_bundle(first.path).sha256 == first.sha256
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
