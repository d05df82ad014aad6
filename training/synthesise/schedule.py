"""What a job does over time, before any GPU or sensor is thought of.

T = ticks of 0.1 s, K = kernels that the job uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
import numpy.typing as npt

__all__ = ["HOST", "TICK_S", "Schedule"]

F32 = npt.NDArray[np.float32]

TICK_S: Final = 0.1
"""Length of a tick in seconds."""

HOST: Final[Mapping[str, str]] = {
    "fb_mib": "device memory that the job holds, MiB",
    "pcie_rx_mib_per_s": "sent to the GPU over PCIe, MiB/s",
    "pcie_tx_mib_per_s": "sent from the GPU over PCIe, MiB/s",
    "nvlink_mib_per_s": "exchanged with other GPUs, MiB/s each way",
    "decoder_util": "share of the tick in which the video decoder works, 0 to 1",
    "processes": "processes of the job with a context on the GPU",
    "foreign_processes": "processes of others on the GPU",
    "module_loads": "modules loaded in the tick, a count",
    "graph_share": "share of the launches that come by CUDA graphs, 0 to 1",
    "launch_jitter": "deviation over mean of the time between launches of the commonest kernel",
    "clock_share": "clock that the user pinned over the highest, 0 to 1; 1 is not pinned",
    "memory_clock_share": "memory clock that the user pinned over the highest, 0 to 1",
    "power_share": "power limit that the user set over the default, 0 to 1",
}
"""What is neither pipe nor memory of the GPU, by name: one number a tick. A name that a schedule leaves out has the
value of an idle host (0; 1 for processes and the three shares of limits)."""


@final
@dataclass(frozen=True, slots=True)
class Schedule:
    """What a job does.

    Attributes
    ----------
    parts : tuple of str
        Names of the kernels (`hashwarden.training.synthesise.parts.PARTS`), K of them.
    busy : float32 array, shape (T, K)
        Share of the tick in which the kernel runs, 0 to 1; what is left to 1 in a row is idle. Rows sum to 1 at most.
    sm_share : float32 array, shape (T, K), or None
        Share of the SMs that the kernel occupies while it runs, 0 to 1; None is all of them.
    host : mapping of str to float32 array, shape (T,)
        Some of `HOST`.
    share : float
        For mining: part of the full hash rate that is kept, 0 to 1; 0 for what does not mine.
    labels : mapping of str to str
        ``label``, ``family``, ``strategy``.
    parameters : mapping
        Everything that was drawn, for the provenance.
    """

    parts: tuple[str, ...]
    busy: F32
    sm_share: F32 | None = None
    host: Mapping[str, F32] = field(default_factory=dict)
    share: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
