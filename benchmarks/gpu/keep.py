"""Keeps what a run on a GPU found: results and recordings go into the repository, each with its provenance.

    python benchmarks/gpu/keep.py gpu-results [MORE ...] [--day 2026-11-24]

From each folder that ``make gpu`` wrote: JSON, Markdown and packed text into benchmarks/results/gpu/DAY-GPU/, traces
and logs of GPM into data/job/recorded/DAY-GPU/. Several folders of one day and GPU go into one; what is there already
is never overwritten, the newcomer gets a number. Then the questions that recordings answer are asked, and the list in
data/job/recorded/README.md and the page docs/gpu-findings.md are made anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hashwarden.errors import DataError, HashwardenError
from hashwarden.model.trace_read import iter_runs

sys.path.insert(0, str(Path(__file__).parent))
import findings

ROOT = Path(__file__).resolve().parents[2]
RESULTS, RECORDED = "benchmarks/results/gpu", "data/job/recorded"
MOST_BYTES = 20_000_000
KINDS = {".json": RESULTS, ".md": RESULTS, ".gz": RESULTS, ".png": RESULTS, ".parquet": RECORDED}
HEAD = """# Recorded on real GPUs

Traces ([trace-format.md](../../../docs/trace-format.md)) of this project's own workloads, labelled by construction, and
logs of every metric of GPM meanwhile. Made by `make gpu` and `python benchmarks/gpu/keep.py`, which makes this list.

"""
NOTHING = "**Nothing yet: no GPU was at hand so far.**\n"


def machine_of(folder: Path) -> dict[str, Any]:
    """What the run says of its machine.

    Raises
    ------
    DataError
        If the folder holds no report of ``make gpu``.
    """
    try:
        machine: dict[str, Any] = json.loads((folder / "report.json").read_text())["machine"]
        if not {"gpu", "driver", "date"} <= set(machine):
            raise KeyError("gpu, driver, date")
    except (OSError, ValueError, KeyError, TypeError) as error:
        got = f"no report of a machine ({error})"
        raise DataError(got, "report.json", "Name a folder that make gpu wrote.", where=str(folder)) from error
    return machine


def named(machine: dict[str, Any], day: str) -> str:
    """Name of the folder in the repository: day and GPU."""
    words = re.sub(r"[^a-z0-9]+", "-", machine["gpu"].lower().replace("nvidia", "")).strip("-")
    return f"{day or machine['date'][:10]}-{words}"


def kept(folder: Path, root: Path, day: str) -> Iterator[Path]:
    """Copy all that is worth it.

    Raises
    ------
    DataError
        If a trace cannot be read: then not a file of the folder is copied.
    """
    name = named(machine_of(folder), day)
    wanted = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in KINDS]
    for path in wanted:
        if path.suffix == ".parquet":
            _check(path)
    for path in wanted:
        target = _free(root / KINDS[path.suffix] / name / "-".join(path.relative_to(folder).parts), path)
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            yield target


def _check(path: Path) -> None:
    if path.name.startswith("recordings-"):
        if not sum(1 for _ in iter_runs(path)):
            raise DataError("a trace without runs", "one at least", "Leave it out.", where=str(path))
        return
    try:
        pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"no Parquet file ({error})", "one that was closed", "Leave it out.", where=str(path)
        ) from error


def _free(target: Path, source: Path) -> Path | None:
    """The path, or one with a number where another file is there; None if the same file is."""
    path, number = target, 1
    while path.exists():
        if path.read_bytes() == source.read_bytes():
            return None
        number += 1
        path = target.with_name(f"{target.stem}-{number}{target.suffix}")
    return path


def listing(recorded: Path) -> str:
    """The README of the recordings: what there is, of which GPU, with its hash.

    Raises
    ------
    DataError
        If they have become too large for the repository.
    """
    paths = sorted(recorded.rglob("*.parquet"))
    if not paths:
        return HEAD + NOTHING
    total = sum(path.stat().st_size for path in paths)
    if total > MOST_BYTES:
        got = f"{total:,} bytes of recordings"
        raise DataError(
            got, f"{MOST_BYTES:,} at most", "Publish them as a release file with its hash.", where=str(recorded)
        )
    lines = [
        "| file | GPU | runs | samples | labelled | bytes | SHA-256 |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for path in paths:
        place, digest = path.relative_to(recorded), hashlib.sha256(path.read_bytes()).hexdigest()
        size = path.stat().st_size
        lines.append(f"| `{place}` | {_told(path)} | {size:,} | `{digest}` |")
    return HEAD + "\n".join(lines) + "\n"


def _told(path: Path) -> str:
    if not path.name.startswith("recordings-"):
        return f"as above | | {pq.read_metadata(path).num_rows:,} | "
    runs = list(iter_runs(path))
    gpus = ", ".join(sorted({f"{run.info.gpu}, driver {run.info.driver}" for run in runs}))
    labelled = sum(bool(run.info.labelled_by) for run in runs)
    return f"{gpus} | {len(runs)} | {sum(map(len, runs)):,} | {labelled}"


def ask(root: Path) -> None:
    """Ask the questions that recordings answer."""
    for name in ("duty", "separation"):
        script = Path(__file__).parent / "questions" / f"{name}.py"
        words = ["--out", str(root / RESULTS / "recordings"), "--recorded", str(root / RECORDED)]
        subprocess.run([sys.executable, str(script), *words], check=True)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--day", default="", help="instead of that of the report")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        for folder in options.folders:
            for target in kept(folder, options.root, options.day):
                print(target.relative_to(options.root))
        (options.root / RECORDED).mkdir(parents=True, exist_ok=True)
        (options.root / RECORDED / "README.md").write_text(listing(options.root / RECORDED))
        ask(options.root)
        (options.root / "docs").mkdir(exist_ok=True)
        (options.root / "docs" / "gpu-findings.md").write_text(findings.page(options.root / RESULTS))
    except HashwardenError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
