"""A reference set: workloads and evasions recorded at 10 Hz, as many as the time allows.

One command::

    python benchmarks/gpu/recordings.py --out results [--limit 100] [--seconds 4]

Writes ``recordings.parquet`` (one trace, a run for each recording) and ``recordings.json`` (how many by label and
family, what failed, what the time did not suffice for). Ends with 1 if nothing was recorded, or if something failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hashwarden.model.trace import Run
from hashwarden.model.trace_read import read_runs
from hashwarden.model.trace_write import write_runs

PROGRAM = [sys.executable, "-c", "from hashwarden.cli import main; main()", "record"]
CUT_S = 2.0


def record(folder: Path, limit: float, seconds: float, more: list[str]) -> subprocess.CompletedProcess[str]:
    """Record what fits, on GPU 0."""
    words = ["--all", "--output", str(folder), "--gpu", "0", "--within", f"{limit:.0f}s", "--period", "0.1"]
    words += ["--seconds", f"{seconds + CUT_S:g}", "--cut", f"{CUT_S:g}", "--start-limit", "20", *more]
    return subprocess.run([*PROGRAM, *words], capture_output=True, text=True, check=False)


def runs_in(folder: Path) -> Iterator[Run]:
    """All runs of a folder of traces."""
    for path in sorted(folder.glob("*.parquet")):
        yield from read_runs(path)


def summary(folder: Path) -> dict[str, Any]:
    """What the plan says, counted."""
    path = folder / "plan.json"
    plan = json.loads(path.read_text()) if path.exists() else []
    there = [entry for entry in plan if entry["status"] == "recorded" or entry["reason"] == "recorded already"]
    families = Counter(f"{entry['item']['label']} {entry['item']['family']}" for entry in there)
    failed = {_stem(entry): entry["reason"] for entry in plan if entry["status"] == "failed"}
    return {
        "recorded": len(there),
        "samples": sum(entry["samples"] for entry in there),
        "seconds": round(sum(entry["seconds"] for entry in there), 1),
        "by_family": dict(sorted(families.items())),
        "unlabelled": [_stem(entry) for entry in there if entry["status"] == "recorded" and entry["reason"]],
        "failed": failed,
        "left_out_for_time": sum(entry["reason"].startswith("no time") for entry in plan),
    }


def _stem(entry: dict[str, Any]) -> str:
    item = entry["item"]
    return f"{item['name']}+{item['evasion']}" if item["evasion"] else str(item["name"])


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--limit", type=float, default=100, help="seconds for all of it")
    parser.add_argument("--seconds", type=float, default=4, help="of each run, what is cut off not counted")
    parser.add_argument("--more", nargs="*", default=[], help="further flags of hashwarden record, without the dashes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hashwarden-") as name:
        folder = Path(name) / "recordings"
        done = record(folder, options.limit, options.seconds, [f"--{word}" for word in options.more])
        found = summary(folder) | {"said": done.stderr[-4000:], "exit_code": done.returncode}
        if found["recorded"]:
            write_runs(options.out / "recordings.parquet", list(runs_in(folder)))
    (options.out / "recordings.json").write_text(json.dumps(found, indent=1) + "\n")
    print(done.stderr, file=sys.stderr)
    print(f"{found['recorded']} ran, {len(found['failed'])} failed, {found['left_out_for_time']} left out")
    return 0 if found["recorded"] and not found["failed"] and not done.returncode else 1


if __name__ == "__main__":
    raise SystemExit(main())
