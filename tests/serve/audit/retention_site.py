"""A log on clocks that stand still until they are told, with its files copied away as a site does."""

from __future__ import annotations

import shutil
from pathlib import Path

from hashwarden.serve.audit.anchor import FileAnchor
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.log import AuditLog, Limits
from hashwarden.serve.audit.read import Reader
from hashwarden.serve.audit.retention import EVERY_S, Retention
from hashwarden.serve.audit.verify import Wanted, verify_log

DAY = 86400.0
NOW = 1_795_305_600.0
TEN_DAYS = Retention(keep_days=10)
SMALL = Limits(rotate_bytes=2500, every=4, reserve_bytes=0)


class Site:
    """A log on clocks that stand still, and a copy of all that it ever held."""

    def __init__(self, folder: Path, signer: Signer | None) -> None:
        self.folder, self.signer, self.archive = folder / "log", signer, folder / "archive"
        self.anchor = folder / "anchor"
        self.time_s, self.unix_s = 1000.0, NOW
        self.log: AuditLog | None = None

    def open(self, rule: Retention = TEN_DAYS, limits: Limits = SMALL) -> AuditLog:
        self.close()
        self.log = AuditLog(
            self.folder, self.signer, limits=limits, clock=lambda: self.unix_s, monotonic=lambda: self.time_s,
            retention=rule, anchors=(FileAnchor(self.anchor),),
        )  # fmt: skip
        return self.log

    def close(self) -> None:
        if self.log is not None:
            self.log.close()

    def write(self, records: int) -> None:
        for number in range(records):
            self.log.append(EventKind.BLIND, {"kind": "stale", "subject": f"gpu {number}"}, sync=False)

    def days(self, days: float) -> None:
        self.pass_s(days * DAY)

    def pass_s(self, seconds: float) -> None:
        self.time_s, self.unix_s = self.time_s + seconds, self.unix_s + seconds

    def keep(self) -> None:
        """Copy the files away, as a site does."""
        shutil.copytree(self.folder, self.archive, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lock"))

    def look(self, times: int = 1) -> None:
        """What the agent does every few minutes."""
        for _ in range(times):
            self.pass_s(EVERY_S)
            self.log.checkpoint()

    @property
    def files(self) -> list[Path]:
        return [file.path for file in log_files(self.folder)]

    def verify(self, **more):
        keys = () if self.signer is None else (self.signer.public,)
        return verify_log(self.folder, Wanted(**{"keys": keys, **more}))

    def removed(self) -> list[dict]:
        """Bodies of the records that tell of removals."""
        reader = Reader(self.folder)
        found = [record.body() for record in reader if record.kind == EventKind.LOG]
        reader.close()
        return [body for body in found if body["event"] == "pruned"]
