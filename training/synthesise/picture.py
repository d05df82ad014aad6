"""The picture of docs/synthesis.md: what truly happens and what sensors show of it.

``python -m hashwarden.training.synthesise.picture docs/synthesis.png``
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import INDEX
from hashwarden.training.synthesise.gpus import gpu_named
from hashwarden.training.synthesise.physics import activity
from hashwarden.training.synthesise.run import make_schedule
from hashwarden.training.synthesise.schedule import TICK_S
from hashwarden.training.synthesise.sensors import Sensors, observe
from hashwarden.training.synthesise.site import Site
from hashwarden.training.synthesise.truth import truth
from hashwarden.training.synthesise.windows import sample_times

mpl.use("Agg")
from matplotlib import pyplot as plt

__all__ = ["draw"]

GPU: Final = "H100 SXM"
SECONDS: Final = 60.0
JOBS: Final = (("training", "llm-bf16", "a training job"), ("mining", "ethash", "a miner (ethash)"))
LINES: Final = (
    ("tensor_half", "tensor_active_ratio", "#4c78a8", "tensor"),
    ("alu", "integer_active_ratio", "#c0392b", "integer"),
    ("dram", "dram_active_ratio", "#f2a93b", "device memory"),
)
_STYLE: Final[Any] = {
    "figure.dpi": 110, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "font.size": 9, "legend.frameon": False, "figure.constrained_layout.use": True,
}  # fmt: skip


def draw(path: Path, seed: int = 3) -> None:
    """Draw the true activity and the samples of two synthesised jobs."""
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(2, 2, figsize=(10, 5.2), sharex=True)
        for column, (label, family, title) in enumerate(JOBS):
            _job(axes[:, column], label, family, seed)
            axes[0, column].set_title(title)
        axes[0, 0].set_ylabel("activity")
        axes[1, 0].set_ylabel("over the limit, or of the time")
        axes[0, 0].legend(ncols=3, loc="upper left")
        axes[1, 1].legend(loc="lower right", bbox_to_anchor=(1, 0.55))
        figure.supxlabel(
            "seconds. Lines: the truth, every 0.1 s; dots: samples of GPM and NVML, every second.\n"
            "Synthesised: nothing of this was recorded on a GPU.", fontsize=9,
        )  # fmt: skip
        figure.savefig(path, metadata={"Software": None})
        plt.close(figure)


def _job(axes: npt.NDArray[np.object_], label: str, family: str, seed: int) -> None:
    gpu = gpu_named(GPU)
    schedule = make_schedule(label, family, "plain", gpu, SECONDS, seed)
    kernels = activity(schedule.parts, gpu, np.random.default_rng([seed, 5]))
    sensors = Sensors(faults=0, missed=0, site=Site(integer_counts="logic"))
    rng = np.random.default_rng(seed)  # the same draws in the same order as below: one board
    sample_times(len(schedule.busy) * TICK_S, sensors.period_s, sensors.jitter, sensors.missed, rng)
    true = truth(schedule, kernels, gpu, rng)
    times, values = observe(schedule, gpu, sensors, np.random.default_rng(seed), kernels=kernels)
    ticks = TICK_S * np.arange(1, len(true.busy) + 1)
    for quantity, channel, colour, name in LINES:
        axes[0].plot(ticks, true.rates[quantity], color=colour, linewidth=0.7, alpha=0.6, label=name)
        axes[0].plot(times, values[:, INDEX[channel]], ".", color=colour, markersize=4)
    axes[0].set_ylim(0, 1.12)
    axes[1].plot(ticks, true.watts / gpu.limit_watts, color="#555555", linewidth=0.7, alpha=0.6)
    axes[1].plot(times, values[:, INDEX["power_ratio"]], ".", color="#555555", markersize=4, label="power")
    axes[1].plot(times, values[:, INDEX["gpu_util_ratio"]], ".", color="#59a14f", markersize=4, label="utilisation")
    axes[1].set_ylim(0, 1.12)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
