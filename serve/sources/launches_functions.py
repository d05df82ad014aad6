"""Which functions of libcuda are traced, and by which program of ``launches_probes.c``.

The CUDA runtime gets the addresses of driver functions with cuGetProcAddress; probes lie at addresses, so that it does
not matter how a caller came by them. Names that a library does not have are passed over: old drivers lack some, CUDA 13
dropped some. The variants ``_ptsz`` are those of per-thread default streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

__all__ = ["ALWAYS", "IN_BURSTS", "Function"]


@final
@dataclass(frozen=True, slots=True)
class Function:
    """One probe.

    Attributes
    ----------
    name : str
        Of the exported function.
    program : str
        What runs.
    at_return : bool
        When the function returns rather than when it is called.
    """

    name: str
    program: str
    at_return: bool = False


_LOADS: Final = (
    "cuModuleLoad", "cuModuleLoadData", "cuModuleLoadDataEx", "cuModuleLoadFatBinary", "cuLibraryLoadData",
    "cuLibraryLoadFromFile",
)  # fmt: skip

_LOOK_UPS: Final = {
    "cuModuleGetFunction": "named",
    "cuLibraryGetKernel": "named",
    "cuKernelGetFunction": "alias",
    "cuFuncGetName": "told",
    "cuKernelGetName": "told",
}
"""What tells the name of a handle: it is read when the call has come back, from what the caller passed."""

_LAUNCHES: Final = {
    "launch": ("cuLaunchKernel", "cuLaunchCooperativeKernel"),
    "launch_config": ("cuLaunchKernelEx",),
    "launch_grid": ("cuLaunchGrid", "cuLaunchGridAsync"),
    "launch_one": ("cuLaunch",),
    "graph": ("cuGraphLaunch",),
}

ALWAYS: Final = (
    *(Function(name, "enter") for name in (*_LOADS, *_LOOK_UPS)),
    *(Function(name, "load", at_return=True) for name in _LOADS),
    *(Function(name, program, at_return=True) for name, program in _LOOK_UPS.items()),
)
"""Rare calls: their probes stay, so that names and new code are known whenever launches are counted."""

IN_BURSTS: Final = tuple(
    Function(name + variant, program)
    for program, names in _LAUNCHES.items()
    for name in names
    for variant in ("", "_ptsz")
)
"""Frequent calls: their probes stay for a burst only."""
