"""Speed of scoring: the ONNX model against XGBoost, scikit-learn and torch, and against a graph that does nothing.

One command, no arguments needed; the train extra must be installed: ``python benchmarks/score.py``.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import torch
import typer
import xgboost
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from hashwarden.kernels.sass.table import MixTable
from hashwarden.model.kernel.counts import counts_of
from hashwarden.model.kernel.features import FEATURE_NAMES, features_of_counts
from hashwarden.model.kernel.network import KernelNet
from hashwarden.serve.scorer import KernelScorer, shipped_model
from hashwarden.training.kernel.dataset import load
from hashwarden.training.kernel.fold import folded

sys.path.insert(0, str(Path(__file__).parent))
from turns import interleaved, machine, session

ROOT = Path(__file__).resolve().parent.parent
WIDTH = len(FEATURE_NAMES)
BATCHES = {1: (40, 50), 64: (20, 8), 4096: (7, 1)}
"""Kernels a call: rounds, and calls of each contender in a round."""
FLOOR, OURS, XGB = "ONNX graph that does nothing", "ONNX kernel model", "XGBoost, inplace_predict"
IDENTITY = "ONNX identity (one output)"
PACKAGES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "torch", "xgboost")

Call = Callable[[np.ndarray], Any]


def nothing(families: int) -> bytes:
    """A graph with the model's input and outputs that only cuts pieces out of its input."""
    constants = {"zero": [0], "three": [3], "families_": [families], "axis": [1]}
    nodes = [
        helper.make_node("Slice", ["features", "zero", "three", "axis"], ["groups"]),
        helper.make_node("Slice", ["features", "zero", "families_", "axis"], ["families"]),
        helper.make_node("Gather", ["features", "first"], ["novelty"], axis=1),
    ]
    tensors = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()]
    tensors.append(numpy_helper.from_array(np.array(0, np.int64), "first"))
    shapes = {"groups": ["n", 3], "families": ["n", families], "novelty": ["n"]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    into = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", WIDTH])
    return whole(helper.make_graph(nodes, "nothing", [into], outputs, tensors))


def identity() -> bytes:
    """The smallest graph of all: one output, the input itself."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH]) for name in ("features", "same")]
    return whole(helper.make_graph([helper.make_node("Identity", ["features"], ["same"])], "same", ends[:1], ends[1:]))


def whole(graph: onnx.GraphProto) -> bytes:
    """A model file of a graph."""
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


def eager(scorer: KernelScorer) -> KernelNet:
    """The network in torch, as large as the shipped one; the values of its weights do not matter here."""
    groups = torch.tensor(scorer.metadata.group_of_family)
    hidden = json.loads(shipped_model().with_suffix(".json").read_text())["recipe"]["hidden"]
    return KernelNet(torch.zeros(WIDTH), torch.ones(WIDTH), groups, hidden).eval()


def folded_graph(network: KernelNet) -> bytes:
    """The network in the form of `hashwarden.training.kernel.fold`, as ONNX."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    program = torch.onnx.export(
        folded(network),
        (torch.zeros(2, WIDTH),),
        dynamo=True,
        opset_version=20,
        input_names=["features"],
        dynamic_shapes=({0: torch.export.Dim("kernels", min=1)},),
        verbose=False,
    )
    return program.model_proto.SerializeToString()


def contenders(features: np.ndarray, group: np.ndarray) -> dict[str, Call]:
    """Everything that is timed, fitted on the same features; three classes each."""
    scorer, network = KernelScorer(), eager(KernelScorer())
    parameters = {"objective": "multi:softprob", "num_class": 3, "max_depth": 5, "nthread": 1, "eta": 0.1}
    booster = xgboost.train(parameters, xgboost.DMatrix(features, group), 100)
    # 100 rounds of three trees: the baseline of the data page has 300 to 400 trees
    logistic = LogisticRegression(max_iter=30, tol=1e-2).fit(features, group)
    boosting = HistGradientBoostingClassifier(max_iter=100, max_depth=5).fit(features, group)
    floor, same = session(nothing(len(scorer.metadata.families))), session(identity())
    fold = session(folded_graph(network))

    def in_torch(x: np.ndarray) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(x))

    return {
        FLOOR: lambda x: floor.run(None, {"features": x}),
        IDENTITY: lambda x: same.run(None, {"features": x}),
        OURS: scorer.run,
        "ONNX of the folded network": lambda x: fold.run(None, {"features": x}),
        "torch eager, the same network": in_torch,
        XGB: booster.inplace_predict,
        "XGBoost, DMatrix and predict": lambda x: booster.predict(xgboost.DMatrix(x, nthread=1)),
        "scikit-learn LogisticRegression": logistic.predict_proba,
        "scikit-learn HistGradientBoosting": boosting.predict_proba,
    }


def scoring(features: np.ndarray, group: np.ndarray) -> list[dict[str, Any]]:
    """One row for each contender and batch."""
    rows, all_of = [], contenders(features, group)
    for batch, (rounds, times) in BATCHES.items():
        x = np.ascontiguousarray(np.resize(features, (batch, WIDTH)))
        medians = interleaved({name: (lambda call=call, x=x: call(x)) for name, call in all_of.items()}, rounds, times)
        for name, seconds in medians.items():
            rows.append(
                {
                    "what": name,
                    "batch": batch,
                    "us_per_call": seconds * 1e6,
                    "kernels_per_s": batch / seconds,
                    "times_floor": seconds / medians[FLOOR],
                    "times_faster_than_xgboost": medians[XGB] / seconds,
                }
            )
    return rows


def transform(table: MixTable) -> list[dict[str, Any]]:
    """Time of the way from a kernel mix to features, by batch."""
    rows = []
    for batch, (rounds, _) in BATCHES.items():
        part = table.take(np.resize(np.arange(len(table)), batch))
        counts = counts_of(part)
        calls = {"counts": lambda part=part: counts_of(part), "features": lambda c=counts: features_of_counts(c)}
        medians = interleaved(calls, rounds, 3)
        rows.append({"batch": batch} | {f"{name}_us_per_kernel": s / batch * 1e6 for name, s in medians.items()})
    return rows


def decoding() -> float | None:
    """Microseconds to decode one kernel, from the committed benchmark of the decoder; None without it."""
    path = ROOT / "benchmarks" / "results" / "decode.json"
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    return float(result["code_mb"] / result["speeds"]["numba, all features"]["median_mb_s"] / result["kernels"] * 1e6)


def goals(rows: list[dict[str, Any]]) -> list[str]:
    """Whether the two aims at one kernel a call were met, in words."""
    at_one = {row["what"]: row for row in rows if row["batch"] == 1}
    ours, identity_time = at_one[OURS], at_one[IDENTITY]["us_per_call"]
    floor, faster = ours["times_floor"], ours["times_faster_than_xgboost"]
    near, fast = ("met" if good else "MISSED" for good in (floor <= 3, faster >= 5))
    many = {row["batch"]: f"{row['times_faster_than_xgboost']:.2f}" for row in rows if row["what"] == OURS}
    return [
        f"One kernel a call takes {floor:.1f} times the floor; the aim, within 3, is {near}. "
        f"Against a bare identity with one output it takes {ours['us_per_call'] / identity_time:.1f} times as long.",
        f"One kernel a call is {faster:.1f} times as fast as XGBoost; the aim, 5, is {fast}. "
        f"At 64 it is {many[64]} times as fast, at 4,096 {many[4096]} times.",
    ]


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    at = result["machine"]
    lines = [
        "# Scoring speed",
        "",
        f"{at['date']}, {at['cpu']}, {at['cores']} cores (load {at['load']:.1f}), one thread; Python {at['python']}, "
        + ", ".join(f"{name} {version}" for name, version in at["versions"].items())
        + f". Model `{result['model']}`.",
        "",
        "Features are computed beforehand. Medians of rounds in which all take turns. The floor is an ONNX graph with "
        "the model's input and three outputs that only cuts pieces out of its input: what a call costs in any case.",
        "",
        *(f"- {goal}" for goal in result["goals"]),
        "",
        "| what | kernels a call | us a call | kernels/s | times the floor | times as fast as XGBoost |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in result["scoring"]:
        lines.append(
            f"| {row['what']} | {row['batch']:,} | {row['us_per_call']:,.1f} | {row['kernels_per_s']:,.0f} "
            f"| {row['times_floor']:.1f} | {row['times_faster_than_xgboost']:.2f} |"
        )
    lines += ["", "## From kernel mix to features", "", "| kernels | counts, us a kernel | features, us a kernel |"]
    lines.append("| --- | --- | --- |")
    for row in result["transform"]:
        lines.append(f"| {row['batch']:,} | {row['counts_us_per_kernel']:.1f} | {row['features_us_per_kernel']:.1f} |")
    if result["decode_us_per_kernel"] is not None:
        lines += ["", f"For comparison: decoding takes {result['decode_us_per_kernel']:.0f} us a kernel (decode.md)."]
    return "\n".join(lines) + "\n"


def main(
    data: Annotated[Path, typer.Option(help="Folder of kernel mix tables.")] = ROOT / "data" / "kernel_mix",
    out: Annotated[Path, typer.Option(help="Folder for score.json and score.md.")] = ROOT / "benchmarks" / "results",
) -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        result = measure(data)
    out.mkdir(parents=True, exist_ok=True)
    (out / "score.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "score.md").write_text(markdown(result))
    print(markdown(result))


def measure(data: Path) -> dict[str, Any]:
    """All measurements of one run."""
    dataset = load(data)
    rows = np.flatnonzero(dataset.usable)[::4]
    features, group = features_of_counts(dataset.counts.take(rows)), dataset.group[rows]
    measured = scoring(features, group)
    return {
        "what": "microseconds of wall time a call, medians; one thread",
        "model": KernelScorer().identity["sha256"][:16],
        "goals": goals(measured),
        "scoring": measured,
        "transform": transform(dataset.table.take(rows)),
        "decode_us_per_kernel": decoding(),
        "machine": machine(PACKAGES),
    }


if __name__ == "__main__":
    typer.run(main)
