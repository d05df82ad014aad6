from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_read import iter_runs
from hashwarden.serve.audit import bundle
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


JOB = Job("slurm:1", "slurm", "1", gpus=("GPU-1",), user="ursula", account="physics", labels={"password": "hunter2"})


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
    packed = pack(tmp_path / "evidence")
    assert packed.path == tmp_path / "evidence" / "HW-2345678.tar"
    assert stat.S_IMODE(packed.path.stat().st_mode) == 0o600
    assert packed.sha256 == hashlib.sha256(packed.path.read_bytes()).hexdigest()
    assert [one.name for one in packed.path.parent.iterdir()] == ["HW-2345678.tar"]
    found = members(packed.path)
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
    packed = pack(tmp_path, runs=[], launches=[], code={})
    assert "trace.parquet" not in members(packed.path)
    assert verify_bundle(packed.path).ok


def test_it_is_bounded_and_says_what_was_left_out(tmp_path):
    many = [run(1, f"GPU-{number}") for number in range(2, 72)]
    packed = pack(tmp_path, runs=[run(40_000), *many], launches=[profile(300)] * 300)
    manifest = json.loads(members(packed.path)[MANIFEST])
    assert manifest["left_out"] == {"runs": 7, "samples": 4007, "launches": 44, "kernels": 30_000}
    assert packed.size < 64 << 20


@pytest.mark.parametrize("case", ["../../etc/passwd", "", ".", "a/b", "x" * 300, "n\x00l", "HW 1", ".hidden"])
def test_odd_cases_stay_in_the_folder(tmp_path, case):
    packed = pack(tmp_path / "evidence", case={"id": case})
    assert packed.path.parent == tmp_path / "evidence"
    assert [one.name for one in (tmp_path / "evidence").iterdir()] == [packed.path.name]
    assert not packed.path.name.startswith(".")


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


def test_a_full_disk_leaves_what_was_there(small_disk):
    disk = small_disk("128k")
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


@pytest.mark.parametrize(("width", "kept"), [(60, 256), (1000, 30)])
def test_long_names_leave_the_oldest_launches_out_and_not_all(tmp_path, width, kept):
    """Names of templated kernels have some hundreds of characters; a miner may choose any."""
    launches = [
        LaunchProfile(ProcessKey(pid, 1), 0.0, 1.0, tuple(KernelLaunches(f"{n}".ljust(width, "x"), 1, 32)
                                                         for n in range(200)))
        for pid in range(256)
    ]  # fmt: skip
    found = members(pack(tmp_path, launches=launches).path)
    profiles = json.loads(found["launches.json"])["profiles"]
    assert kept <= len(profiles) <= 256
    assert profiles[-1]["pid"] == 255
    assert json.loads(found[MANIFEST])["left_out"].get("launches", 0) == 256 - len(profiles)
    longest = pack(tmp_path, launches=[profile(), *launches, LaunchProfile(
        ProcessKey(999, 1), 0.0, 1.0, tuple(KernelLaunches("\x01" * 100_000, 1, 32) for _ in range(200)))])  # fmt: skip
    assert json.loads(members(longest.path)["launches.json"])["profiles"][-1]["pid"] == 999


def test_a_header_that_says_it_is_large_costs_no_memory(tmp_path):
    path = tmp_path / "x.tar"
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1 << 28
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        file.truncate((1 << 28) + 2048)
    tracemalloc.start()
    with pytest.raises(DataError, match="no manifest"):
        verify_bundle(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


@pytest.mark.parametrize("size", [1 << 60, -5])
def test_impossible_sizes_are_said(tmp_path, size):
    whole = pack(tmp_path).path.read_bytes()
    header = tarfile.TarInfo("case.json")
    header.size = size
    (tmp_path / "x.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + whole)
    with pytest.raises(DataError, match="no evidence bundle"):
        verify_bundle(tmp_path / "x.tar")


def test_a_bundle_that_is_cut_off_anywhere_is_found(tmp_path):
    path = pack(tmp_path).path
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))
    for size in range(0, end, 997):
        (tmp_path / "x.tar").write_bytes(whole[:size])
        try:
            assert not verify_bundle(tmp_path / "x.tar").ok, size
        except DataError:
            continue


def test_what_a_crash_leaves_is_called_as_what_is_tidied_away(tmp_path, monkeypatch):
    """The agent removes ``*.tar*.part`` files of other days; a name of its own for each crash would fill the disk."""
    seen = []
    real = bundle.write_runs
    monkeypatch.setattr(bundle, "write_runs", lambda path, runs: (seen.append(path), real(path, runs)))
    pack(tmp_path / "evidence")
    [path] = seen
    assert path.match("*.tar*")
    assert path.suffix == ".part"
