"""What benchmarks/probes.py measures on a GPU: cost, slowdown of a neighbour, and what rounds tell.

The training step and the workloads run in processes of their own, as jobs do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashwarden.errors import HashwardenError
from hashwarden.kernels.probes.cupy_device import CupyDevice
from hashwarden.kernels.probes.features import FEATURES
from hashwarden.kernels.probes.probe import PROBES
from hashwarden.kernels.probes.session import ProbeSession

__all__ = ["OPEN", "auroc", "auroc_left_out", "compare_windows", "on_gpu", "run_workload", "train"]

SCRIPT = Path(__file__).with_name("probes.py")
LABELS = ("training", "mining")
RUN_S = 5.0
OPEN = (
    "GPU time of a round (aim: under 200 us)",
    "slowdown of a training step at one round a second (aim: under 0.5 %)",
    "AUROC of mining against training while both share the GPU with the probes",
)


def cost(session: ProbeSession, seconds: float) -> dict[str, Any]:
    """GPU time of rounds at the highest rate, after the plan has settled."""
    until = time.monotonic() + seconds
    for _ in range(4):
        session.round()
    taken = []
    while time.monotonic() < until or len(taken) < 8:
        taken.append(session.round())
    gpu, wait = np.array([t.gpu_us for t in taken]), np.array([t.wait_us for t in taken])
    names = ("p10", "p50", "p90", "p99")
    return {
        "rounds": len(taken),
        "gpu_us": dict(zip(names, np.percentile(gpu, (10, 50, 90, 99)).tolist(), strict=True)),
        "wait_us": dict(zip(names, np.percentile(wait, (10, 50, 90, 99)).tolist(), strict=True)),
        "over_budget": sum(t.over_budget for t in taken),
        "cycles_p50": {p.name: float(np.nanmedian([t.quantiles[p.name][2] for t in taken])) for p in PROBES},
        "clock_mhz": float(np.median([t.clock_mhz for t in taken])),
    }


def train() -> None:
    """Train a small transformer for ever, and print when each step ended; runs in a process of its own."""
    import torch

    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 6, enable_nested_tensor=False).cuda()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    data = torch.randn(16, 256, 512, device="cuda")
    while True:
        with torch.autocast("cuda", torch.bfloat16):
            loss = (model(data) - data).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        sys.stdout.write(f"{time.monotonic()}\n")
        sys.stdout.flush()


def slowdown(session: ProbeSession, seconds: float, window: float = 3.0) -> dict[str, Any]:
    """Training steps a second with one round a second against none, in windows that take turns."""
    command = [sys.executable, str(SCRIPT), "--train"]
    # Files, not pipes: a full pipe would stop the training.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, stdout=out, stderr=said)
        try:
            while child.poll() is None and os.fstat(out.fileno()).st_size == 0:
                time.sleep(0.1)
            time.sleep(2)
            marks = [] if child.poll() is not None else _windows(session, seconds, window)
        finally:
            child.kill()
            child.wait()
        out.seek(0)
        said.seek(0)
        if not marks:
            return {"open": f"the training process ended: {said.read()[-300:]}"}
        return compare_windows(np.array([float(line) for line in out.read().splitlines()[:-1]]), marks)


def _windows(session: ProbeSession, seconds: float, window: float) -> list[tuple[bool, float, float]]:
    """Whether probes ran, start and end of each window; four at least."""
    marks, until = [], time.monotonic() + max(seconds, 4 * window)
    while time.monotonic() < until:
        for probing in (False, True):
            start = time.monotonic()
            while (now := time.monotonic()) < start + window:
                if probing:
                    session.round()
                time.sleep(max(min(1.0, start + window - now), 0))
            marks.append((probing, start, time.monotonic()))
    return marks


def compare_windows(steps: np.ndarray, marks: Sequence[tuple[bool, float, float]]) -> dict[str, Any]:
    """Slowdown of neighbouring windows, with a bootstrap interval; ``steps`` are the times at which steps ended."""
    rates = {False: [], True: []}
    for probing, start, end in marks:
        inside = steps[(steps >= start) & (steps < end)]
        if len(inside) > 1:
            rates[probing].append((len(inside) - 1) / (inside[-1] - inside[0]))
    pairs = min(len(rates[False]), len(rates[True]))
    if pairs < 2:
        return {"open": f"{pairs} pairs of windows only: give more seconds"}
    loss = 1 - np.array(rates[True][:pairs]) / np.array(rates[False][:pairs])
    drawn = np.random.default_rng(1).choice(loss, (2_000, pairs)).mean(axis=1)
    return {
        "pairs": pairs,
        "steps_per_second": float(np.mean(rates[False])),
        "slowdown_percent": 100 * float(loss.mean()),
        "interval_95_percent": (100 * np.percentile(drawn, (2.5, 97.5))).tolist(),
    }


def watched(session: ProbeSession, name: str) -> list[dict[str, float]]:
    """Features of the rounds while a workload ran in another process; its start and its end are left out."""
    rows = []
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(
            [sys.executable, str(SCRIPT), "--workload", name], stdout=subprocess.DEVNULL, stderr=said
        )
        try:
            while child.poll() is None:
                rows.append((time.monotonic(), session.round().features()))
        finally:
            child.kill()
            child.wait()
        ended = time.monotonic()
        said.seek(0)
        if child.returncode:
            raise HashwardenError(said.read()[-200:], "a workload that runs", "Run it by itself.", where=name)
    return [row for at, row in rows if ended - RUN_S + 0.5 < at < ended - 1.5]


def separation(session: ProbeSession, seconds: float) -> dict[str, Any]:
    """Watch workloads of both kinds in turn while time is left, and see whether rounds tell them apart."""
    from hashwarden.kernels.workloads.registry import workloads

    names = {label: [w.name for w in workloads() if str(w.label) == label] for label in LABELS}
    turns = [
        (label, row[i]) for i in range(max(map(len, names.values()))) for label, row in names.items() if i < len(row)
    ]
    until, rows, labels, groups, failed = time.monotonic() + seconds, [], [], [], {}
    for label, name in turns:
        if time.monotonic() > until:
            break
        try:
            found = watched(session, name)
        except HashwardenError as error:
            failed[name] = error.got
            continue
        rows += [[row[feature.name] for feature in FEATURES] for row in found]
        labels += [label == "mining"] * len(found)
        groups += [name] * len(found)
    seen = {
        label: sorted({g for g, mining in zip(groups, labels, strict=True) if mining == (label == "mining")})
        for label in LABELS
    }
    if min(map(len, seen.values())) < 2:
        return {
            "open": "fewer than two workloads of each kind were watched: give more seconds",
            "watched": seen,
            "failed": failed,
        }
    return {"watched": seen, "failed": failed, **auroc_left_out(np.array(rows), np.array(labels), np.array(groups))}


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Chance that a positive scores higher than a negative, ties counted half (Mann and Whitney's U)."""
    above = scores[labels][:, None] - scores[~labels][None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0)))


def auroc_left_out(rows: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """AUROC of a ridge regression on log features, each workload judged by one that has not seen it.

    Parameters
    ----------
    rows : float array, shape (rounds, features)
        NaN where missing; columns that are never there are left out.
    labels : bool array, shape (rounds,)
        Mining or not.
    groups : str array, shape (rounds,)
        Workload of each round.
    """
    logs = np.log1p(np.maximum(rows[:, ~np.isnan(rows).all(axis=0)], 0))
    scores = np.full(len(rows), np.nan)
    for group in np.unique(groups):
        inside = groups == group
        scores[inside] = _ridge(logs[~inside], labels[~inside], logs[inside])
    names = np.unique(groups)
    means = np.array([scores[groups == name].mean() for name in names])
    kinds = np.array([labels[groups == name][0] for name in names])
    return {
        "auroc_rounds": auroc(scores, labels),
        "auroc_workloads": auroc(means, kinds),
        "rounds": len(rows),
        "workloads": len(names),
    }


def _ridge(seen: np.ndarray, labels: np.ndarray, unseen: np.ndarray, penalty: float = 0.1) -> np.ndarray:
    """Scores of unseen rows; scaling and missing values are learned from the seen ones."""
    middle = np.array([np.median(c[~np.isnan(c)]) if (~np.isnan(c)).any() else 0.0 for c in seen.T])
    seen, unseen = (np.where(np.isnan(part), middle, part) for part in (seen, unseen))
    mean, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    a, b = (seen - mean) / spread, (unseen - mean) / spread
    weight = np.where(labels, 0.5 / labels.mean(), 0.5 / (~labels).mean())
    weighted = a.T * weight
    solved = np.linalg.solve(
        weighted @ a + penalty * len(a) * np.eye(a.shape[1]), weighted @ np.where(labels, 1.0, -1.0)
    )
    return np.asarray(b @ solved)


def run_workload(name: str) -> None:
    """Run a workload as ``hashwarden workloads run`` does, which asks for packages that a GPU machine may lack."""
    from hashwarden.kernels.workloads.runner import Order, run_order

    run_order(Order(name, size="gpu", seconds=RUN_S, check=False))


def on_gpu(seconds: float) -> Iterator[tuple[str, Any]]:
    """What needs a GPU, part by part; one that cannot be measured says why."""
    begun = time.monotonic()
    with ProbeSession(CupyDevice(0), rounds_per_second=4) as session:
        yield "gpu", session.facts.name
        yield "cost", cost(session, 5)
        yield "slowdown", slowdown(session, seconds * 0.2)
        yield "separation", separation(session, seconds - (time.monotonic() - begun) - 3 * RUN_S)
