"""What a cheap decoy hides: miners whose runs are as they were, but for one counter that costs nothing to fill.

One command::

    python benchmarks/decoys.py [--out benchmarks/results]

A video decoder kept at 5 %, a copy over PCIe beside the work, memory that is held and not used: none of it takes hash
rate. Each run of mining in the two shipped traces is judged as it is and with one channel set, by the shipped model
along the agent's path, at alpha 0.001. All of these runs are synthesised, and some of their kind were learned from.
Writes decoys.json and decoys.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from turns import machine

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.trace import Run
from hashwarden.model.trace_read import read_runs
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.replay import replay

ROOT = Path(__file__).parents[1]
TRACES = ("data/job/demo.parquet", "model/artifacts/job_reference.parquet")
DECOYS = (
    ("", 0.0, "as it was"),
    ("decoder_util_ratio", 0.05, "video decoder at 5 %"),
    ("encoder_util_ratio", 0.05, "video encoder at 5 %"),
    ("pcie_rx_mib_per_s", 500.0, "500 MiB/s over PCIe into the GPU"),
    ("fb_used_ratio", 0.9, "90 % of the memory held"),
    ("process_count", 8.0, "8 processes on the GPU"),
)
GROUPS = (("nvml", "gpm"), ("nvml", "gpm", "launch", "code"))


def changed(runs: list[Run], groups: tuple[str, ...], channel: str, value: float) -> Iterator[Run]:
    """The runs with the counters of some groups, and one of them set wherever it is known."""
    kept = np.array([c.group in groups for c in CHANNELS])
    for number, run in enumerate(runs):
        values = run.values.copy()
        values[:, ~kept] = np.nan
        if channel:
            place = INDEX[channel]
            values[:, place] = np.where(np.isnan(run.values[:, place]), np.nan, value)
        yield Run(str(number), run.times, values, run.label, run.family, run.strategy, run.info)


def main() -> None:
    """Judge, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    order = parser.parse_args()
    runs = [run for name in TRACES for run in read_runs(ROOT / name) if run.label == "mining"]
    scorer, rows = JobScorer(), []
    for channel, value, words in DECOYS:
        row: dict[str, Any] = {"decoy": words, "channel": channel, "value": value}
        for groups in GROUPS:
            judged = replay(changed(runs, groups, channel, value), scorer)
            row["+".join(groups)] = sum(one.worst.word == "confirmed" for one in judged)
        rows.append(row)
    found = {"machine": machine(("numpy", "onnxruntime")), "model": dict(scorer.identity), "runs": len(runs),
             "rows": rows}  # fmt: skip
    order.out.mkdir(parents=True, exist_ok=True)
    (order.out / "decoys.json").write_text(json.dumps(found, indent=1) + "\n")
    text = [
        "# What a cheap decoy hides", "",
        f"{len(runs)} synthesised runs of mining ({', '.join(TRACES)}),",
        f"the model {scorer.identity['sha256'][:12]},",
        f"alpha 0.001, {found['machine']['date']}. Confirmed, of {len(runs)}:", "",
        "| decoy | GPM | GPM and code |", "| --- | ---: | ---: |",
        *(f"| {row['decoy']} | {row['nvml+gpm']} | {row['nvml+gpm+launch+code']} |" for row in rows), "",
    ]  # fmt: skip
    (order.out / "decoys.md").write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
