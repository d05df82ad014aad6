"""Speed of the job model: a step of N jobs against a graph that does nothing, and against trees on rolling statistics.

One command, no arguments needed; the train extra must be installed: ``python benchmarks/score_job.py``. The shipped
model is timed if there is one, else a network of the same size with random weights, which takes as long.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import onnxruntime as ort
import typer
import xgboost
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import RandomForestClassifier
from threadpoolctl import threadpool_limits

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.job_scorer import JobScorer, shipped_job_model
from hashwarden.training.job.baselines import NINE
from hashwarden.training.job.export import export
from hashwarden.training.job.rolling import STATISTICS, rolling
from hashwarden.training.job.trials import random_runs
from hashwarden.training.job.untrained import untrained, untrained_record

sys.path.insert(0, str(Path(__file__).parent))
from turns import interleaved, machine, session

ROOT = Path(__file__).resolve().parent.parent
WIDTH = len(CHANNELS)
BATCHES = {1: (60, 50), 64: (30, 10), 4096: (9, 1), 100_000: (3, 1)}
"""Jobs a step: rounds, and calls of each contender in a round."""
FLOOR, GRAPH, STEP = "ONNX graph that does nothing", "job model, the step graph", "job model, JobScorer.step"
XGB, FOREST = "XGBoost, nine counters", "random forest, nine counters"
CLOCK = time.process_time
"""Processor time, because the machine is shared; all contenders have one thread, so on an idle one it is wall time."""
FLOOR_AIM, RATE_AIM = 3.0, 500_000
PACKAGES = ("numpy", "onnxruntime", "scikit-learn", "xgboost")

Call = Callable[[], Any]


def nothing(state: int) -> bytes:
    """A graph with the inputs and outputs of a step that only cuts pieces out of them."""
    numbers = {"zero": [0], "six": [6], "twelve": [12], "axis": [1], "first": 0}
    tensors = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in numbers.items()]
    nodes = [
        helper.make_node("Slice", ["sample", "zero", "six", "axis"], ["logits"]),
        helper.make_node("Slice", ["sample", "zero", "twelve", "axis"], ["families"]),
        helper.make_node("Gather", ["sample", "first"], ["novelty"], axis=1),
        helper.make_node("Identity", ["state"], ["next_state"]),
    ]
    inputs = {"sample": ["N", WIDTH], "mask": ["N", WIDTH], "dt": ["N", 1], "state": ["N", state]}
    outputs = {"logits": ["N", 6], "families": ["N", 12], "novelty": ["N"], "next_state": ["N", state]}
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in each.items()]
        for each in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "nothing", ends[0], ends[1], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def peers() -> dict[str, Callable[[np.ndarray], Any]]:
    """The two trees over rolling statistics, as the baselines set them, fitted to made-up features of two kinds."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12_000, len(NINE) * len(STATISTICS))).astype(np.float32)
    y = (x[:, :9].sum(1) + 2 * np.abs(x[:, 9:18]).sum(1) + rng.normal(size=len(x)) > 14.5).astype(int)
    forest = RandomForestClassifier(n_estimators=100, min_samples_leaf=3, max_features="sqrt", n_jobs=1, random_state=0)
    settings = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.15, "max_bin": 64, "nthread": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(x, y), 150)
    return {XGB: booster.inplace_predict, FOREST: forest.fit(x, y).predict_proba}


def inputs_of(batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random samples of so many jobs."""
    samples, masks, dts = random_runs(64, 40)
    return tuple(np.resize(each, (batch, each.shape[-1])) for each in (samples[:, 20], masks[:, 20], dts[:, 20:21]))


def stepping(model: Path) -> list[dict[str, Any]]:
    """One row for each contender and batch."""
    scorer, trees, rows = JobScorer(model), peers(), []
    floor = session(nothing(scorer.metadata.state_size))
    rng = np.random.default_rng(1)
    for batch, (rounds, times) in BATCHES.items():
        given, state = inputs_of(batch), scorer.initial(batch)
        feed = dict(zip(("sample", "mask", "dt", "state"), (*given, state), strict=True))
        features = rng.normal(size=(batch, len(NINE) * len(STATISTICS))).astype(np.float32)
        calls: dict[str, Call] = {
            FLOOR: lambda feed=feed: floor.run(None, feed),
            GRAPH: lambda feed=feed: scorer.session.run(None, feed),
            STEP: lambda given=given, state=state: scorer.step(*given, state),
        }
        calls |= {name: lambda call=call, features=features: call(features) for name, call in trees.items()}
        medians = interleaved(calls, rounds, times, CLOCK)
        for name, seconds in medians.items():
            rows.append({
                "what": name,
                "batch": batch,
                "us_per_call": seconds * 1e6,
                "samples_per_s": batch / seconds,
                "times_floor": seconds / medians[FLOOR],
                "times_faster_than_xgboost": medians[XGB] / seconds,
                "times_faster_than_forest": medians[FOREST] / seconds,
            })  # fmt: skip
    return rows


def others(model: Path) -> dict[str, float]:
    """What the peers need besides, and the sequence graph."""
    scorer, rng = JobScorer(model), np.random.default_rng(0)
    times, window = np.arange(60.0), rng.random((60, len(NINE))).astype(np.float32)
    runs = {"one run of 8,192": random_runs(1, 8192), "64 runs of 128": random_runs(64, 128)}
    calls: dict[str, Call] = {"statistics": lambda: rolling(times, window, np.array([59]))}
    calls |= {name: lambda run=run: scorer.sequence(*run) for name, run in runs.items()}
    medians = interleaved(calls, 7, 1, CLOCK)
    result = {"rolling_statistics_us_per_sample": medians["statistics"] * 1e6}
    return result | {f"sequence_samples_per_s, {name}": run[2].size / medians[name] for name, run in runs.items()}


def optimised_nodes(model: Path) -> int:
    """Nodes that onnxruntime runs."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(Path(folder) / "o.onnx")
        ort.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
        return len(onnx.load(options.optimized_model_filepath).graph.node)


def memory(model: Path) -> dict[str, float]:
    """Resident memory after each stage, measured in a process of its own."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import score_job_memory as m; "
        "from pathlib import Path; print(json.dumps(m.stages(Path(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def goals(rows: list[dict[str, Any]]) -> list[str]:
    """Whether the aims were met, in words."""
    at = {(row["what"], row["batch"]): row for row in rows}
    one, checked, many = at[GRAPH, 1], at[STEP, 1], at[STEP, 4096]
    near = "met" if one["times_floor"] <= FLOOR_AIM else "MISSED"
    fast = "met" if many["samples_per_s"] >= RATE_AIM else "MISSED"
    return [
        f"A step of one job takes {one['times_floor']:.2f} times the floor; the aim, within {FLOOR_AIM:g}, is {near}. "
        f"With the checks of its input it takes {checked['times_floor']:.2f} times.",
        f"At 4,096 jobs a step, one core scores {many['samples_per_s']:,.0f} samples a second, checks included; "
        f"the aim, {RATE_AIM:,}, is {fast}.",
        f"Of one job it is {checked['times_faster_than_xgboost']:.1f} times as fast as XGBoost and "
        f"{checked['times_faster_than_forest']:.0f} times as fast as the random forest, whose rolling statistics are "
        f"not counted; of 4,096, {many['times_faster_than_xgboost']:.2f} and "
        f"{many['times_faster_than_forest']:.1f} times.",
        "On a GPU, from samples that lie there to scores that stay there: open. benchmarks/gpu/job.py measures it; "
        "no GPU was at hand.",
    ]


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    at = result["machine"]
    lines = [
        "# Scoring speed of the job model",
        "",
        f"{at['date']}, {at['cpu']}, {at['cores']} cores (load {at['load']:.1f}), one thread; Python {at['python']}, "
        + ", ".join(f"{name} {version}" for name, version in at["versions"].items())
        + f". Model: {result['model']}; {result['nodes']} nodes after onnxruntime's own optimisation.",
        "",
        "Medians of rounds in which all take turns. Times are processor time, of one thread each. The floor is an ONNX "
        "graph with the inputs and outputs of a step that only cuts pieces out of them: what a call costs in any case. "
        "The trees are of the baselines' size, fitted to made-up features; the rolling statistics that they need are "
        "not in their times.",
        "",
        *(f"- {goal}" for goal in result["goals"]),
        "",
        "| what | jobs a step | us a step | samples/s | times the floor | times as fast as XGBoost | as the forest |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in result["stepping"]:
        lines.append(
            f"| {row['what']} | {row['batch']:,} | {row['us_per_call']:,.1f} | {row['samples_per_s']:,.0f} "
            f"| {row['times_floor']:.2f} | {row['times_faster_than_xgboost']:.2f} "
            f"| {row['times_faster_than_forest']:.1f} |"
        )
    lines += ["", "## Besides", "", "| what | |", "| --- | ---: |"]
    lines += [f"| {name.replace('_', ' ')} | {value:,.0f} |" for name, value in result["others"].items()]
    lines += ["", "## Resident memory, MiB", "", "| after | |", "| --- | ---: |"]
    lines += [f"| {name} | {value:,.0f} |" for name, value in result["memory_mib"].items()]
    return "\n".join(lines) + "\n"


def model_of(folder: Path) -> tuple[Path, str]:
    """The model to time, and what it is."""
    shipped = shipped_job_model()
    if shipped.exists():
        return shipped, f"the shipped one, `{JobScorer(shipped).identity['sha256'][:16]}`"
    network = untrained()
    done = export(network, untrained_record(network), random_runs(8, 60), folder)
    return done.step, "random weights of the final shape, to be run again with the trained model"


def main(
    out: Annotated[Path, typer.Option(help="Folder of score_job.json and score_job.md.")] = ROOT / "benchmarks/results",
) -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        model, words = model_of(Path(folder))
        rows = stepping(model)
        result = {
            "what": "microseconds of processor time a call, medians; one thread",
            "model": words,
            "nodes": optimised_nodes(model),
            "goals": goals(rows),
            "stepping": rows,
            "others": others(model),
            "memory_mib": memory(model),
            "machine": machine(PACKAGES),
        }
    out.mkdir(parents=True, exist_ok=True)
    (out / "score_job.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "score_job.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    typer.run(main)
