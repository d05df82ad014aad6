"""What the audit log costs, against its peers in the same run: writing, verifying, and the memory of verifying.

One command::

    python benchmarks/audit.py [--folder FOLDER_ON_THE_DISK_TO_MEASURE] [--out benchmarks/results]

Writing, each record on the disk before the next: the log, a line written and synced with fdatasync (the least that
anything can do), and SQLite with a write-ahead log and synchronous=FULL. All write the same verdict; contenders take
turns. Verifying: against SHA-256 over the same bytes at once, which is the least that anything can read.
Writes audit.json and audit.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from turns import interleaved, machine

from hashwarden.serve.audit.clean import clean
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.log import AuditLog, Limits
from hashwarden.serve.audit.verify import Wanted, verify_log

BODY: dict[str, Any] = {
    "job": {"key": "slurm:123456", "kind": "slurm", "id": "123456", "gpus": ["GPU-" + "0" * 32], "user": "ada",
            "account": "physics", "partition": "gpu", "name": "train.sh"},
    "gpu": "GPU-" + "0" * 32,
    "verdict": {"state": "watching", "reasons": ["at most one honest job in 10 ever shows such evidence"] * 3,
                "probabilities": dict.fromkeys(("training", "inference", "mining", "hash-other", "idle"), 0.2),
                "evidence": {"strength": 0.31, "blocks": 12, "watched_s": 712.0, "blind_s": 0.0}},
}  # fmt: skip
MANY = 32
CONTENDERS = (
    ("audit log, each synced", "log", 1),
    ("SQLite, WAL, synchronous=FULL", "sqlite", 1),
    ("a line and fdatasync", "plain", 1),
    (f"audit log, {MANY} records a sync", "log_many", MANY),
    ("audit log, not synced", "log_unsynced", 1),
)

RSS = """
import sys, resource
from pathlib import Path
from hashwarden.serve.audit.verify import verify_log
report = verify_log(Path(sys.argv[1]))
assert report.ok
print(report.records, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def writers(folder: Path) -> dict[str, Any]:
    """Calls that bring one record to the disk, or `MANY`."""
    log = AuditLog(folder / "log", Signer.generate())
    line = clean(BODY) + b"\n"
    plain = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    base = sqlite3.connect(folder / "base", isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE records (seq INTEGER PRIMARY KEY, kind TEXT, body TEXT)")
    text = line.decode()

    def write() -> None:
        os.write(plain, line)
        os.fdatasync(plain)

    return {
        "log": lambda: log.append(EventKind.VERDICT, BODY),
        "plain": write,
        "sqlite": lambda: base.execute("INSERT INTO records (kind, body) VALUES ('verdict', ?)", (text,)),
        "log_many": lambda: log.append_many([(EventKind.VERDICT, BODY)] * MANY),
        "log_unsynced": lambda: log.append(EventKind.VERDICT, BODY, sync=False),
    }


def filled(folder: Path, records: int) -> tuple[Path, Signer]:
    """A log of so many records."""
    signer = Signer.generate()
    with AuditLog(folder, signer, limits=Limits(rotate_bytes=32 << 20)) as log:
        for _ in range(records // 100):
            log.append_many([(EventKind.VERDICT, BODY)] * 100, sync=False)
    return folder, signer


def verifying(folder: Path, records: int, rounds: int) -> dict[str, float]:
    """Seconds by CPU time, and what was read in them."""
    path, signer = filled(folder / "filled", records)
    files = sorted(path.glob("audit-*"))

    def hashed() -> None:
        for file in files:
            with file.open("rb") as stream:
                hashlib.file_digest(stream, "sha256")

    calls = {"verify": lambda: verify_log(path, Wanted(keys=(signer.public,))), "sha256": hashed}
    seconds = interleaved(calls, rounds, 1, time.process_time)
    return {**seconds, "records": verify_log(path).records, "bytes": sum(file.stat().st_size for file in files)}


def memory(folder: Path, sizes: tuple[int, ...]) -> list[dict[str, int]]:
    """Peak resident memory of a process that verifies logs of several lengths."""
    found = []
    for size in sizes:
        path, _ = filled(folder / f"of{size}", size)
        done = subprocess.run([sys.executable, "-c", RSS, str(path)], capture_output=True, text=True, check=True)
        records, kib = map(int, done.stdout.split())
        found.append({"records": records, "bytes": sum(one.stat().st_size for one in path.iterdir()), "peak_kib": kib})
    return found


def markdown(found: dict[str, Any]) -> str:
    """The page."""
    where, write, verify = found["machine"], found["write_s"], found["verify"]
    rows = []
    for name, key, count in CONTENDERS:
        each = write[key] / count
        rows.append(f"| {name} | {1e6 * each:,.0f} | {1 / each:,.0f} | {each / write['sqlite']:.2f} |")
    rate, ratio = verify["records"] / verify["verify"], verify["verify"] / verify["sha256"]
    grew = [
        f"| {one['records']:,} | {one['bytes'] / 1e6:,.1f} | {one['peak_kib'] / 1024:,.1f} |" for one in found["memory"]
    ]
    return "\n".join(
        [
            f"# What the audit log costs: {where['cpu']}, {where['date']}", "",
            f"Records of {found['record_bytes']} bytes; disk: {found['disk']}; load {where['load']:.1f} on "
            f"{where['cores']} cores. Wall time, medians of {found['rounds']} rounds in which all take turns.", "",
            "| writing | µs a record | records/s | against SQLite |", "| --- | ---: | ---: | ---: |", *rows, "",
            f"Verifying with a key, {verify['records']:,} records, {verify['bytes'] / 1e6:,.0f} MB: {rate:,.0f} "
            f"records a second of CPU time, {verify['bytes'] / 1e6 / verify['verify']:,.0f} MB/s; {ratio:.1f} times "
            "as long as SHA-256 over the same bytes at once.", "",
            "| verified records | MB | peak resident MiB |", "| ---: | ---: | ---: |", *grew, "",
        ]
    )  # fmt: skip


def disk_of(folder: Path) -> str:
    """Type of the file system."""
    done = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--records", type=int, default=50_000, help="to verify")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        found = {
            "machine": machine(["cryptography"]), "disk": disk_of(folder), "record_bytes": len(clean(BODY)),
            "rounds": options.rounds, "write_s": interleaved(writers(folder), options.rounds, 10),
            "verify": verifying(folder, options.records, 3),
            "memory": memory(folder, (options.records // 10, options.records, 4 * options.records)),
        }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "audit.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "audit.md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
