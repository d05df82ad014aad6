"""Whether the static loop weighting of the kernel mix agrees with the instructions that are executed; without a GPU.

    python benchmarks/executed.py [--size trace] [--only NAME ...] [--out benchmarks/results]

Every workload with kernels of our own (CUDA C and Numba) is compiled for sm_90, and its machine code is carried out by
the interpreter of benchmarks/interpreter: set-up and one step, checked against the workload's oracle. What was executed
of every instruction, by warps, is compared with what rules guess from the same machine code, as
benchmarks/gpu/questions/executed.py does with Nsight Compute on a GPU. Writes executed.json and executed.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hashwarden.errors import HashwardenError
from hashwarden.kernels.sass.opcodes import MNEMONICS
from hashwarden.kernels.workloads.engines.base import Results
from hashwarden.kernels.workloads.registry import find, workloads
from hashwarden.training.synthesise.pipes import TURNS, UNITS

sys.path.insert(0, str(Path(__file__).parent / "interpreter"))
sys.path.insert(0, str(Path(__file__).parent / "gpu" / "questions"))
import executed_rules as rules
from sm_driver import ARCH, Driver, engine
from sm_module import Module
from sm_numba import NumbaEngine

Row = dict[str, Any]
EACH_TURNS = (1.0, 2.0, 4.0, 8.0, 16.0, TURNS)
SHOWN = ("every instruction once", "the present constants", "trip counts where the code shows them, else 6")


def ran(name: str, size: str) -> Row:
    """Carry a workload out, and say of each of its kernels what was executed; or why it was not carried out."""
    workload = find(name)
    row: Row = {"workload": name, "label": workload.label, "family": workload.family, "size": size}
    try:
        modules = _native(workload, size) if workload.build is None else _numba(workload, size)
    except HashwardenError as error:
        return row | {"failed": f"{type(error).__name__}: {error}"[:300]}
    kernels = [
        {"kernel": short(kernel), "variant": variant, "words": loaded.words,
         "executed": loaded.counts[0, : len(loaded.words)].astype(float)}
        for variant, module in modules for kernel, loaded in module.kernels.items()
        if loaded.counts[0].any()
    ]  # fmt: skip
    return row | {"kernels": kernels}


def short(kernel: str) -> str:
    """A name to print: Numba's mangled names are all alike at first."""
    return kernel if len(kernel) < 60 else "numba"


def _native(workload: Any, size: str) -> list[tuple[str, Module]]:
    plan, driver = workload.native(workload.settings(size), 0), Driver()
    with engine(plan, driver) as made:
        _step(made, plan)
    return [(" ".join(filter(None, key)), module) for key, module in driver.modules.items()]


def _numba(workload: Any, size: str) -> list[tuple[str, Module]]:
    plan = workload.build(workload.settings(size), 0)
    made = NumbaEngine(plan)
    _step(made, plan)
    return [(body.__name__, module) for (body, _), module in made.modules.items()]


def _step(made: Any, plan: Any) -> None:
    made.setup()
    for launch in plan.step(0):
        made.launch(launch)
    plan.check(Results(made))


def measured(size: str, names: list[str]) -> Iterator[Row]:
    """All workloads, two at a time."""
    with ProcessPoolExecutor(2) as pool:
        for row in pool.map(ran, names, [size] * len(names)):
            print(
                f"{row['workload']:28} {row.get('failed', str(len(row.get('kernels', ()))) + ' kernels')}", flush=True
            )
            yield row


def of_rows(rows: list[Row]) -> list[rules.Kernel]:
    """The kernels of all workloads, as the rules want them."""
    arch = int(ARCH.removeprefix("sm_"))
    return [
        rules.Kernel(f"{it['variant']}: {it['kernel']}", row["workload"], row["label"], row["family"], it["words"],
                     arch, it["executed"])
        for row in rows for it in row.get("kernels", ())
    ]  # fmt: skip


def by_unit(kernels: list[rules.Kernel]) -> Row:
    """How far the synthesis of counters is off, which takes each level of loops to run `pipes.TURNS` times.

    Only its rule for kernels without a core is tried.
    By constant: the part of the instructions that would have to change its unit, and what miners do too much logic.
    """
    units = {name: place for place, words in enumerate(UNITS.values()) for name in words.split()}
    of_opcode = np.array([units.get(MNEMONICS.get(code, ("", ""))[1], len(units)) for code in range(512)])
    alu, found = list(UNITS).index("alu"), {}
    shares = [
        [np.bincount(of_opcode[k.words[:, 0] & 511], weights, len(units) + 1) / weights.sum()
         for weights in (k.executed, *(turns ** np.minimum(k.depth, 3).astype(float) for turns in EACH_TURNS))]
        for k in kernels
    ]  # fmt: skip
    table, mining = np.array(shares), np.array([k.label == "mining" for k in kernels])
    for place, turns in enumerate(EACH_TURNS, 1):
        off = np.abs(table[:, place] - table[:, 0]).sum(axis=1) / 2
        more = (table[:, place] - table[:, 0])[mining, alu]
        found[f"{turns:g}"] = {"mean": round(float(off.mean()), 4)}
        if mining.any():
            found[f"{turns:g}"] |= {"mining": round(float(off[mining].mean()), 4),
                                    "more_logic": round(float(more.mean()), 4)}  # fmt: skip
    return found


def table(found: Row) -> str:
    """The page executed.md."""
    labels = list(next(iter(found["rules"].values()))["mean_by_label"])
    lines = [
        "# Executed instructions against the static loop weighting", "",
        f"Machine code for {ARCH} of {found['workloads']} workloads of our own at size {found['size']} "
        f"({found['kernels']} kernels of {found['families']} families, {found['executed'] / 1e6:,.1f} million "
        "instructions of warps), carried out by the interpreter, not by a GPU; each workload's results agreed with "
        "its oracle. A rule says from the code alone how often its instructions run; it is off by the part of a "
        "kernel's executed instructions that would have to change its group of opcodes; means are of kernels. "
        "Constants are fitted on the kernels of all other families.", "",
        "| rule | mean | median | worst | " + " | ".join(labels) + " |",
        "| --- |" + " ---: |" * (3 + len(labels)),
    ]  # fmt: skip
    for name, row in found["rules"].items():
        cells = [row["mean"], row["median"], row["worst"], *(row["mean_by_label"][label] for label in labels)]
        lines.append(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    lines += ["", "How many times as often an instruction runs as one a level of loops further out:", "",
              "| level | kernels | p10 | median | p90 |", "| --- | ---: | ---: | ---: | ---: |"]  # fmt: skip
    lines += [
        f"| {name} | {row['kernels']} | {row['p10']:.2g} | {row['p50']:.2g} | {row['p90']:.2g} |"
        for name, row in found["depth_ratios"].items()
    ]
    lines += ["", "Units of an SM, as the synthesis of counters guesses them: each level of loops runs that often.", "",
              "| turns | mean | mining | too much logic, mining |", "| ---: | ---: | ---: | ---: |"]  # fmt: skip
    lines += [
        f"| {turns} | {row['mean']:.3f} | {row['mining']:.3f} | {row['more_logic']:+.3f} |"
        for turns, row in found["units"].items()
        if "mining" in row
    ]
    lines += [f"\nNot carried out: {name}: {why}" for name, why in found["failed"].items()]
    return "\n".join(lines) + "\n"


def summed_up(size: str, rows: list[Row]) -> Row:
    """What executed.json holds."""
    kernels = of_rows(rows)
    compared = rules.compared(kernels)
    distances = {name: row.pop("distances") for name, row in compared.items()}
    return {
        "date": datetime.now(UTC).date().isoformat(), "machine": platform.processor() or platform.machine(),
        "arch": ARCH, "size": size, "workloads": sum("kernels" in row for row in rows),
        "failed": {row["workload"]: row["failed"] for row in rows if "failed" in row},
        "kernels": len(kernels), "families": len({kernel.family for kernel in kernels}),
        "executed": float(sum(kernel.executed.sum() for kernel in kernels)),
        "rules": compared, "depth_ratios": rules.depth_ratios(kernels),
        "units": by_unit(kernels),
        "by_kernel": [
            {"workload": kernel.workload, "kernel": kernel.name, "executed": int(kernel.executed.sum()),
             "off": {name: round(distances[name][n], 4) for name in SHOWN}}
            for n, kernel in enumerate(kernels)
        ],
    }  # fmt: skip


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="trace", choices=("small", "trace"))
    parser.add_argument("--only", nargs="*", help="workloads, by name")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    names = [it.name for it in workloads() if it.build is not None or it.native is not None]
    chosen = [name for name in names if not given.only or name in given.only]
    found = summed_up(given.size, list(measured(given.size, chosen)))
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "executed.json").write_text(json.dumps(found, indent=1) + "\n")
    (given.out / "executed.md").write_text(table(found))
    print(table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
