"""Whether the static loop weighting of the kernel mix agrees with the instructions that are executed.

    python benchmarks/gpu/questions/executed.py --out results [--limit 110]

Runs this project's CUDA C workloads under Nsight Compute, each kernel's first launch of one step, and compares what
was executed of every instruction with what rules guess from the same machine code. Writes executed.json, and what
Nsight Compute printed as executed.csv.gz, for reading it once more without a GPU. Needs ncu, CuPy and cuda-core.
With less time fewer workloads are run. Exit code 6 without a GPU.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import executed_rules as rules
from answer import Answer, options
from executed_join import by_opcode, executed, tables

from hashwarden.errors import HashwardenError
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.workloads.catalogue import find as find_source
from hashwarden.kernels.workloads.catalogue import parse_variant
from hashwarden.kernels.workloads.compiler import compile_cubin
from hashwarden.kernels.workloads.registry import find, workloads

QUESTION = "Does the static loop weighting of the kernel mix agree with executed instructions?"
CHILD = Path(__file__).with_name("executed_child.py")
BATCH, BATCH_S, START_S, PRINT_S = 6, 40.0, 8.0, 20.0
MOST_BYTES = 2_200_000_000
METRICS = ("inst_executed", "thread_inst_executed_true", "sass__inst_executed_per_opcode")
COLLECT = (
    ("--section", "SourceCounters", "--metrics", ",".join(METRICS)),
    ("--section", "SourceCounters"),
    ("--metrics", METRICS[-1]),
)
"""What is asked for, best first: a name that a version does not know refuses all of it. The last gives no counts for
instructions, so that nothing is answered: its sums by opcode are kept to be read later."""
PRINT = {
    "source": (("--page", "source", "--print-source", "sass"), ("--page", "source")),
    "raw": (("--page", "raw", "--print-units", "base", "--print-metric-instances", "details"),
            ("--page", "raw", "--print-metric-instances", "details"),
            ("--page", "raw", "--print-metric-instances", "values"), ("--page", "raw")),
}  # fmt: skip
"""How each page is asked for, best first."""
Row = dict[str, Any]


def chosen() -> list[str]:
    """Workloads with a program in CUDA C, one of each family first, the smallest before the larger ones."""
    rows = []
    for workload in workloads():
        if "cupy" in workload.engines() and workload.native is not None:
            size = workload.native(workload.settings("gpu"), 0).nbytes
            if size <= MOST_BYTES:
                rows.append((size, workload.family, workload.name))
    seen: set[str] = set()
    first, later = [], []
    for _, family, name in sorted(rows):
        (later if family in seen else first).append(name)
        seen.add(family)
    return first + later


def profiled(ncu: str, folder: Path, names: list[str], limit_s: float, collect: tuple[str, ...]) -> Row:
    """Run one batch under Nsight Compute; what it says, and its report if there is one."""
    report, order = folder / "report.ncu-rep", folder / f"order-{names[0]}"  # an old child may still add to its own
    report.unlink(missing_ok=True)
    order.write_text("")
    command = [
        ncu, *collect, "--profile-from-start", "off", "--target-processes", "all", "--clock-control", "none",
        "--cache-control", "none", "--force-overwrite", "--export", str(report),
        sys.executable, str(CHILD), str(order), f"{max(1.0, limit_s - START_S):.0f}", *names,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit_s, check=False,
            env=os.environ | {"TMPDIR": str(folder)},
        )  # fmt: skip
        said, code = done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired:
        said, code = f"no end within {limit_s:.0f} s", 124
    rows = [json.loads(line) for line in order.read_text().splitlines()]
    return {"code": code, "said": said[-600:], "order": rows, "report": report if report.exists() else None}


def printed(ncu: str, report: Path, page: str) -> str:
    """One page of a report, as CSV; what it said of an error if no version of the command pleases it."""
    said = ""
    for words in PRINT[page]:
        command = [ncu, "--import", str(report), "--csv", *words]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PRINT_S, check=False,
                env=os.environ | {"LC_ALL": "C"},  # elsewhere it prints 1.234 for 1,234
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"no end within {PRINT_S:.0f} s"
        if done.returncode == 0:
            return done.stdout
        said += done.stdout + done.stderr
    return said


def joined(order: list[Row], source: str, raw: str, arch: str) -> tuple[list[rules.Kernel], list[str]]:
    """Kernels with what was executed of them; and what could not be joined, and why."""
    launched, found, open_ = [row for row in order if "kernel" in row], [], []
    open_ += [f"{row['workload']}: {row['failed']}" for row in order if "failed" in row]
    given, sums = tables(source), list(by_opcode(raw))
    if len(given) != len(launched):
        open_.append(f"{len(given)} tables of instructions of {len(launched)} launches, {len(sums)} sums by opcode")
    for row, table in zip(launched, given, strict=False):
        try:
            words, number = code_of(row, arch)
            counts = executed(table, words)
        except HashwardenError as error:
            open_.append(f"{row['workload']}: {row['kernel']}: {error}")
            continue
        if not counts.any():
            open_.append(f"{row['workload']}: {row['kernel']}: nothing of it was executed")
            continue
        workload = find(row["workload"])
        found.append(rules.Kernel(row["kernel"], workload.name, workload.label, workload.family, words, number, counts))
    return found, open_


def code_of(row: Row, arch: str) -> tuple[np.ndarray, int]:
    """Machine code of a kernel that was launched, compiled once more as it was for the launch.

    Raises
    ------
    HashwardenError
        If it has no such kernel.
    """
    cubin = read_cubin(compile_cubin(find_source(row["source"]), parse_variant(row["variant"]), arch), row["source"])
    places = [n for n, name in enumerate(cubin.names) if name == row["kernel"] or f"{len(row['kernel'])}{row['kernel']}"
              in name]  # fmt: skip
    if not places:
        raise HashwardenError(f"kernels {', '.join(cubin.names)}", row["kernel"], "Name one of them.")
    return np.frombuffer(cubin.code(places[0]), np.uint32).reshape(-1, 4), cubin.arch


def tell(answer: Answer, kernels: list[rules.Kernel]) -> Row:
    """Sentences on every rule; gives the numbers behind them."""
    found = rules.compared(kernels)
    many = f"{len(kernels)} kernels of {len({kernel.family for kernel in kernels})} families"
    for name, row in found.items():
        labels = ", ".join(f"{label} {value:.3f}" for label, value in row["mean_by_label"].items())
        answer.say(f"weighting: {name}: off by {row['mean']:.3f} in the mean of {many} ({labels}), "
                   f"by {row['worst']:.3f} at worst ({row['worst_kernel']}).")  # fmt: skip
    now, best = found["the present constants"]["mean"], min(found, key=lambda name: found[name]["mean"])
    if best == "the present constants":
        answer.say("weighting: no other rule that was tried is nearer in the mean.")
    else:
        answer.say(f"weighting: nearest in the mean is: {best}; it is off by {found[best]['mean']:.3f} instead of "
                   f"{now:.3f}.")  # fmt: skip
    ratios = rules.depth_ratios(kernels)
    for name, row in ratios.items():
        answer.say(f"weighting: executions of an instruction at loop depth {name}: {row['p50']:.3g} times as many in "
                   f"the median of {row['kernels']} kernels (p10 {row['p10']:.3g}, p90 {row['p90']:.3g}).")  # fmt: skip
    return {
        "rules": {name: {k: v for k, v in row.items() if k != "distances"} for name, row in found.items()},
        "depth_ratios": ratios,
        "kernels": [
            {"kernel": k.name, "workload": k.workload, "label": k.label, "family": k.family, "loops": len(k.trips),
             "loops_with_trip_count": sum(turns is not None for turns in k.trips.values()),
             "executed": float(k.executed.sum()), "off": {name: row["distances"][n] for name, row in found.items()}}
            for n, k in enumerate(kernels)
        ],
    }  # fmt: skip


def ask(answer: Answer, out: Path, ncu: str, arch: str) -> None:
    """Batch after batch, as long as there is time."""
    names, kernels, collect = chosen(), [], list(COLLECT)
    (out / "executed.csv.gz").unlink(missing_ok=True)
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    with tempfile.TemporaryDirectory(prefix="hashwarden-") as folder:
        for number, batch in enumerate(batches):
            limit_s = min(BATCH_S, answer.left_s - PRINT_S)
            texts: Row = {"order": [], "source": "", "raw": ""}
            row = answer.part(f"batch {number}", lambda b=batch, s=limit_s, t=texts: one(
                ncu, Path(folder), b, s, collect, out / "executed.csv.gz", t), START_S + PRINT_S + 4)  # fmt: skip
            if row is None:
                continue
            got, missing = joined(texts["order"], texts["source"], texts["raw"], arch)
            row |= {"workloads": batch, "kernels": len(got)}
            kernels += got
            for why in missing:
                answer.leave(f"weighting: {why}"[:400])
            if not got:
                answer.leave(f"weighting: {', '.join(batch)}: Nsight Compute ended with {row['code']}: {row['said']}")
    if kernels:
        answer.part("weighting", lambda: tell(answer, kernels))
        answer.leave("weighting: training, whose kernels are libraries', is not among the workloads in CUDA C")


def one(  # noqa: PLR0913, PLR0917
    ncu: str, folder: Path, names: list[str], limit_s: float, collect: list[tuple[str, ...]], keep: Path, texts: Row
) -> Row:
    """One batch, printed into ``texts`` and kept; what a version refuses to collect is not asked for again."""
    while True:
        row = profiled(ncu, folder, names, limit_s, collect[0])
        if row["order"] or len(collect) == 1:
            break
        collect.pop(0)  # it refused before anything ran
    report = row.pop("report")
    texts |= {"order": row.pop("order")} | {page: printed(ncu, report, page) if report else "" for page in PRINT}
    with gzip.open(keep, "at") as file:
        file.write("".join(f"{text}\f\n" for text in (json.dumps(texts["order"]), texts["source"], texts["raw"])))
    return row | {"launches": len(texts["order"]), "collected": " ".join(collect[0])}


def main() -> int:
    """Run from the command line."""
    given = options(__doc__, 110)
    answer = Answer("executed", QUESTION, given.out, given.limit)
    if "machine" not in answer.found:
        answer.leave("everything: no NVIDIA GPU, or no driver")
        return answer.end()
    ncu = shutil.which("ncu")
    if ncu is None:
        answer.leave("everything: ncu (Nsight Compute) is not installed")
        return answer.end()
    ask(answer, given.out, ncu, "sm_" + answer.found["machine"]["compute_capability"].replace(".", ""))
    return answer.end()


if __name__ == "__main__":
    raise SystemExit(main())
