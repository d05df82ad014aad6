"""What NVML calls MIG instances that others name by their GPU and a number.

DCGM knows a GPU instance as its GPU's UUID and ``GPU_I_ID``, which is NVML's GPU instance id; NVML, schedulers and CUDA
call it by a UUID of its own. Without one name for both, counters of the one never meet processes of the other.
"""

from __future__ import annotations

from contextlib import closing

from hashwarden.errors import HashwardenError
from hashwarden.serve.sources.nvml import found_devices
from hashwarden.serve.sources.nvml_calls import DeviceLost, Nvml
from hashwarden.serve.sources.source import SourceLost

__all__ = ["instance_names"]


def instance_names() -> dict[str, str]:
    """The UUID of each MIG instance by its alias (``GPU-…/7``), as NVML tells now; NVML is let go again.

    Returns
    -------
    dict of str to str
        Empty where there is no NVML. Left out is an instance that is cut into several compute instances: each of them
        has a UUID, and what is counted for the whole is none of theirs.
    """
    names: dict[str, list[str]] = {}
    try:
        with closing(Nvml()) as nvml:
            for device, _, _ in found_devices(nvml):
                if device.alias:
                    names.setdefault(device.alias, []).append(device.gpu)
    except (HashwardenError, DeviceLost, SourceLost):
        return {}
    return {alias: found[0] for alias, found in names.items() if len(found) == 1}
