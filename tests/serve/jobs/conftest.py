"""Stored /proc trees, for what real processes cannot be made to do."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from hashwarden.serve.jobs.proc import Proc

sys.path.insert(0, str(Path(__file__).parent))
from slurm_printed import Cluster


class ProcTree:
    """A folder like /proc."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 10_000
        boot = folder / "sys/kernel/random"
        boot.mkdir(parents=True)
        (boot / "boot_id").write_text("74948668-14e9-4855-90fe-847067817a81\n")

    @property
    def proc(self) -> Proc:
        """It reads the tree; its clock is `now`."""
        return Proc(self.folder, lambda: self.now)

    def put(
        self,
        pid: int,
        started: int,
        *,
        ppid: int = 1,
        session: int | None = None,
        uid: int = 1000,
        comm: bytes = b"python",
        cgroup: str = "0::/\n",
        environ: Mapping[str, str] | None = None,
        state: bytes = b"S",
    ) -> None:
        """A process, or another in its place."""
        folder = self.folder / str(pid)
        folder.mkdir(exist_ok=True)
        session = pid if session is None else session
        fields = [state, *(b"%d" % n for n in (ppid, session, session, 0, -1, *[0] * 13, started, *[0] * 30))]
        (folder / "stat").write_bytes(b"%d (%s) " % (pid, comm) + b" ".join(fields) + b"\n")
        (folder / "status").write_text(f"Name:\tx\nUmask:\t0022\nUid:\t{uid}\t0\t0\t0\nGid:\t0\t0\t0\t0\n")
        (folder / "cgroup").write_text(cgroup)
        (folder / "environ").write_bytes(b"".join(f"{k}={v}\0".encode() for k, v in (environ or {}).items()))

    def end(self, pid: int) -> None:
        """A process ends."""
        shutil.rmtree(self.folder / str(pid))


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    return ProcTree(tmp_path / "proc")


@pytest.fixture
def cluster(tmp_path: Path, tree: ProcTree, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(tmp_path, tree, monkeypatch)
