"""The reference set, recorded at 10 Hz: as much as the time allows of what is not recorded yet.

One command; the same one goes on with the rest the next time::

    python benchmarks/gpu/recordings.py --out results [--set counters] [--limit 500] [--seconds 30] [--have FOLDER]

Writes ``recordings-SET.parquet`` (one trace, a run for each recording), ``recordings-SET.json`` (how many by label and
family, what failed, what the time did not suffice for, how long each took and when it began) and
``raw-gpm-SET.parquet`` (every metric of GPM that the GPU answers, all the time, warm-up and idle moments included).
Ends with 1 if nothing was recorded, or if something failed.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hashwarden.errors import HashwardenError
from hashwarden.model.trace import Run
from hashwarden.model.trace_read import iter_runs, read_runs
from hashwarden.model.trace_write import write_runs

sys.path.insert(0, str(Path(__file__).parent))
from reference_plan import SETS, plan

ROOT = Path(__file__).resolve().parents[2]
HAVE = ROOT / "data" / "job" / "recorded"
PROGRAM = [sys.executable, "-c", "from hashwarden.cli import main; main()", "record"]
RAW = [sys.executable, str(Path(__file__).parent / "raw_log.py")]
CUT_S = 2.0
END_S = 10.0
SAVE_S = 60.0


def stem(entry: dict[str, Any]) -> str:
    """Name of the run of an entry of the plan."""
    hidden = "+".join(word for word in (entry["workload"], entry.get("evasion", "")) if word)
    return "@".join(word for word in (hidden, entry.get("variant", "")) if word)


def recorded_before(folder: Path, name: str) -> set[str]:
    """Names of the runs of a set in all traces below a folder; one that cannot be read counts as none."""
    found: set[str] = set()
    for path in sorted(folder.rglob(f"recordings-{name}*.parquet")):
        try:
            found |= {run.name for run in iter_runs(path)}
        except HashwardenError as error:
            print(f"left out of account: {error}", file=sys.stderr)
    return found


def record(folder: Path, wanted: Path, options: argparse.Namespace) -> tuple[int, str]:
    """Record what fits, on GPU 0; what is there by then is in the trace every `SAVE_S`.

    Returns
    -------
    int, str
        Exit code, and what the recorder said.
    """
    words = ["--all", "--plan", str(wanted), "--output", str(folder), "--gpu", "0", "--period", "0.1"]
    words += [word for source in SETS[options.set] for word in ("--source", source)]
    words += ["--within", f"{options.limit:.0f}s", "--seconds", f"{options.seconds + CUT_S:g}", "--cut", f"{CUT_S:g}"]
    words += ["--start-limit", "60", *(f"--{word}" for word in options.more)]
    with (folder.parent / "said.txt").open("w+") as said:
        process = subprocess.Popen([*PROGRAM, *words], stdout=said, stderr=said)
        while True:
            try:
                code = process.wait(SAVE_S)
                break
            except subprocess.TimeoutExpired:
                gather(folder, options.out / f"recordings-{options.set}.parquet")
        said.seek(0)
        return code, said.read()


def gather(folder: Path, path: Path) -> int:
    """Put all traces of a folder into one, which is whole at any moment; returns how many runs that are."""
    found: list[Run] = []
    for one in sorted(folder.glob("*.parquet")):
        try:
            found += read_runs(one)
        except HashwardenError as error:  # it is being written
            print(f"not in the trace yet: {error}", file=sys.stderr)
    if found:
        part = path.with_suffix(".part")
        write_runs(part, found)
        part.replace(path)
    return len(found)


@contextmanager
def raw_log(path: Path) -> Iterator[dict[str, Any]]:
    """Every metric of GPM meanwhile, by a process of its own; why not, where it cannot."""
    process = subprocess.Popen([*RAW, "--out", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: dict[str, Any] = {"process": process}
    try:
        yield said
    finally:
        process.send_signal(signal.SIGINT)
        try:
            words, _ = process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            words, _ = process.communicate()
        del said["process"]
        said |= {"exit_code": process.returncode, "said": words[-1000:]}


def summary(folder: Path, before: int) -> dict[str, Any]:
    """What the plan says, counted."""
    path = folder / "plan.json"
    entries = json.loads(path.read_text()) if path.exists() else []
    there = [entry for entry in entries if entry["status"] == "recorded"]
    families = Counter(f"{entry['item']['label']} {entry['item']['family']}" for entry in there)
    return {
        "recorded": len(there),
        "recorded_before": before,
        "samples": sum(entry["samples"] for entry in there),
        "seconds": round(sum(entry["seconds"] for entry in there), 1),
        "by_family": dict(sorted(families.items())),
        "unlabelled": [_name(entry) for entry in there if entry["reason"]],
        "failed": {_name(entry): entry["reason"] for entry in entries if entry["status"] == "failed"},
        "cannot": {_name(entry): entry["reason"] for entry in entries if _cannot(entry)},
        "left_out_for_time": sum(_no_time(entry) for entry in entries),
        "began_unix_s": {_name(entry): entry["began_unix_s"] for entry in there},
        "took_s": {_name(entry): round(entry["seconds"], 1) for entry in there},
    }


def _no_time(entry: dict[str, Any]) -> bool:
    return entry["status"] == "skipped" and entry["reason"].startswith("no time")


def _cannot(entry: dict[str, Any]) -> bool:
    return entry["status"] == "skipped" and not entry["reason"].startswith(("no time", "interrupted"))


def _name(entry: dict[str, Any]) -> str:
    return stem({**entry["item"], "workload": entry["item"]["name"]})


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--set", choices=SETS, default="counters")
    parser.add_argument("--limit", type=float, default=500, help="seconds for all of it")
    parser.add_argument("--seconds", type=float, default=30, help="of each run, what is cut off not counted")
    parser.add_argument("--have", type=Path, default=HAVE, help="folder of what was recorded before")
    parser.add_argument("--again", action="store_true", help="record that again: another day, another machine")
    parser.add_argument("--more", nargs="*", default=[], help="further flags of hashwarden record, without the dashes")
    return parser.parse_args()


def main() -> int:
    """Run from the command line."""
    options = arguments()
    signal.signal(signal.SIGINT, lambda *_: None)  # the recorder and the log hear it too, and end in order
    options.out.mkdir(parents=True, exist_ok=True)
    name, before = options.set, set() if options.again else recorded_before(options.have, options.set)
    left = [entry for entry in plan(name) if stem(entry) not in before]
    with tempfile.TemporaryDirectory(prefix="hashwarden-") as temporary:
        folder, wanted = Path(temporary) / "recordings", Path(temporary) / "wanted.json"
        wanted.write_text(json.dumps(left))
        with raw_log(options.out / f"raw-gpm-{name}.parquet") as raw:
            code, said = record(folder, wanted, options)
        found = summary(folder, len(before)) | {"set": name, "said": said[-4000:], "exit_code": code}
        if found["recorded"]:
            found["in_trace"] = gather(folder, options.out / f"recordings-{name}.parquet")
    (options.out / f"recordings-{name}.json").write_text(json.dumps(found | {"raw_gpm": raw}, indent=1) + "\n")
    print(said, file=sys.stderr)
    print(f"{found['recorded']} ran, {len(found['failed'])} failed, {found['left_out_for_time']} left out")
    return 0 if found["recorded"] and not found["failed"] and not code else 1


if __name__ == "__main__":
    raise SystemExit(main())
