"""The job model on a GPU, end to end: samples that lie there, scores that stay there, no copy to the host.

    python benchmarks/gpu/job.py --out results [--model job.onnx] [--limit 120]

Needs onnxruntime-gpu, and CuPy or torch for arrays on the GPU. Each batch is checked against the CPU first, then steps
are timed to the end of the GPU's work. The ceiling in the same run is a copy on the GPU of what a step must read and
write. Writes job.json. Where CUDA is not to be had for onnxruntime it writes so, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hashwarden.errors import HashwardenError
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.job_device import DeviceSteps
from hashwarden.serve.job_scorer import JobScorer, shipped_job_model

BATCHES = (1, 64, 4096, 100_000, 1_000_000)
WARM, REPEATS = 5, 50
TOLERANCE = 1e-4


class Arrays:
    """Arrays on the GPU by CuPy, or by torch where there is no CuPy."""

    def __init__(self) -> None:
        try:
            self._cupy: Any = import_module("cupy")
        except ImportError:
            self._cupy, self._torch = None, import_module("torch")
        self.name = "cupy" if self._cupy is not None else "torch"

    def put(self, array: np.ndarray) -> Any:
        """Copy there."""
        return self._cupy.asarray(array) if self._cupy is not None else self._torch.from_numpy(array).cuda()

    def copied(self, array: Any) -> Any:
        """Copy from there to there."""
        return array.copy() if self._cupy is not None else array.clone()

    def wait(self) -> None:
        """Until the GPU has done all."""
        if self._cupy is not None:
            self._cupy.cuda.Device().synchronize()
        else:
            self._torch.cuda.synchronize()


def samples_of(batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random samples, some values missing."""
    rng = np.random.default_rng(0)
    mask = (rng.random((batch, len(CHANNELS)), np.float32) > 0.2).astype(np.float32)
    return rng.random((batch, len(CHANNELS)), np.float32) * mask, mask, np.ones((batch, 1), np.float32)


def median_s(call: Callable[[], Any], wait: Callable[[], None]) -> float:
    """Seconds of a call, to the end of the GPU's work."""
    times = []
    for number in range(WARM + REPEATS):
        start = time.perf_counter()
        call()
        wait()
        if number >= WARM:
            times.append(time.perf_counter() - start)
    return float(np.median(times))


def measure(scorer: JobScorer, plain: JobScorer, arrays: Arrays, batch: int) -> dict[str, Any]:
    """One batch: equal to the CPU, then timed."""
    given = samples_of(batch)
    steps, there = DeviceSteps(scorer, batch), [arrays.put(each) for each in given]
    arrays.wait()
    state, worst = plain.initial(batch), 0.0
    for _ in range(3):
        steps.step(*there)
        wanted = plain.step(*given, state)
        state = wanted.state
        worst = max(worst, float(np.abs(np.exp(steps.outputs["logits"].numpy()) - wanted.probabilities).max()))
    if not worst <= TOLERANCE:
        raise SystemExit(f"the GPU differs from the CPU by {worst:.2g} at {batch} jobs a step")
    traffic = arrays.put(np.zeros(sum(each.nbytes for each in given) + 2 * state.nbytes, np.uint8))
    seconds, ceiling = (
        median_s(lambda: steps.step(*there), arrays.wait),
        median_s(lambda: arrays.copied(traffic), arrays.wait),
    )
    on_cpu = median_s(lambda: plain.step(*given, state), lambda: None) if batch <= 4096 else None
    return {
        "batch": batch,
        "us_per_step": seconds * 1e6,
        "samples_per_s": batch / seconds,
        "times_copy_of_its_data": seconds / ceiling,
        "times_faster_than_one_cpu_core": None if on_cpu is None else on_cpu / seconds,
        "largest_difference_to_cpu": worst,
        "outputs_on": {name: value.device_name() for name, value in steps.outputs.items()},
    }


def model_of(given: Path | None, folder: Path) -> tuple[Path, str]:
    """The model to time, and what it is."""
    path = given or shipped_job_model()
    if path.exists():
        return path, str(path.name)
    export, untrained = (import_module(f"hashwarden.training.job.{name}") for name in ("export", "untrained"))
    network, runs = untrained.untrained(), import_module("hashwarden.training.job.trials").random_runs(8, 60)
    done = export.export(network, untrained.untrained_record(network), runs, folder)
    return done.step, "random weights of the final shape"


def run(given: Path | None, limit: float) -> dict[str, Any]:
    """All batches that the time suffices for, or why there are none."""
    until = time.monotonic() + limit
    with suppress(ImportError):
        import_module("torch")  # brings CUDA's libraries, should they lie elsewhere than beside onnxruntime
    with tempfile.TemporaryDirectory() as folder:
        try:
            path, words = model_of(given, Path(folder))
            scorer, arrays = JobScorer(path, provider="cuda", memory_mib=8192), Arrays()
        except (HashwardenError, ImportError) as error:
            return {"open": f"not measured: {error}", "batches": []}
        scorer.self_test()
        plain = JobScorer(path)
        rows, left_out = [], []
        for batch in BATCHES:
            if time.monotonic() > until:
                left_out.append(batch)
            else:
                rows.append(measure(scorer, plain, arrays, batch))
    return {"model": words, "arrays": arrays.name, "batches": rows, "left_out_for_time": left_out}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--limit", type=float, default=120, help="seconds after which no further batch is begun")
    options = parser.parse_args()
    result = run(options.model, options.limit)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "job.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    print(f"{len(result['batches'])} ran")


if __name__ == "__main__":
    main()
