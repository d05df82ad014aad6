"""The Numba programs as machine code, without a GPU: Numba to PTX, and PTX to a cubin for each architecture."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

import numba.cuda
import numba.np.numpy_support
import numba.types
import numpy as np

from hashwarden.errors import MissingExtraError, UsageError
from hashwarden.kernels.device import grid_kernels, require_numba_cuda
from hashwarden.kernels.memory.recorder import LogArrays, begin
from hashwarden.kernels.workloads.compiler import ARCHES
from hashwarden.kernels.workloads.plan import Launch, Plan

cuda: Any = numba.cuda
types: Any = numba.types
numpy_support: Any = numba.np.numpy_support

__all__ = ["cubin_of", "ptx_of"]

_OLDEST: Final = (8, 0)
_LOG: Final = types.NamedTuple(
    (types.Array(types.int64, 2, "C"), *(types.Array(types.int64, 1, "C"),) * 3),
    LogArrays,
)


def ptx_of(launch: Launch, plan: Plan, *, logged: bool = False) -> str:
    """Compile one launch of a plan to PTX that every GPU from sm_80 on takes.

    Parameters
    ----------
    launch : Launch
        What to compile; its arguments give the types.
    plan : Plan
        Where the arrays of the launch are described.
    logged : bool
        Compile the kernel that records memory accesses.
    """
    require_numba_cuda()
    kernels = grid_kernels(launch.body, begin)
    arguments = types.Tuple(tuple(_type_of(item, plan) for item in launch.arguments))
    signature = (types.int64, _LOG, arguments) if logged else (types.int64, arguments)
    body = kernels.logged if logged else kernels.plain
    # compile_ptx is told the architecture, yet numba-cuda asks the present GPU about it for device functions.
    nobody = SimpleNamespace(compute_capability=_OLDEST)
    with mock.patch("numba.cuda.dispatcher.get_current_device", return_value=nobody):
        text, _ = cuda.compile_ptx(body, signature, cc=_OLDEST)
    return str(text)


def _type_of(argument: str | np.generic, plan: Plan) -> Any:  # noqa: ANN401  a Numba type
    if isinstance(argument, str):
        array = plan.arrays[argument]
        return types.Array(numpy_support.from_dtype(np.dtype(array.dtype)), len(array.shape), "C")
    return numpy_support.from_dtype(argument.dtype)


def cubin_of(ptx: str, arch: str) -> bytes:
    """Assemble PTX to a cubin, an ELF file.

    Parameters
    ----------
    ptx : str
        From `ptx_of`.
    arch : str
        One of `hashwarden.kernels.workloads.compiler.ARCHES` from sm_80 on.

    Raises
    ------
    UsageError
        If the architecture is unknown, or older than the PTX.
    """
    known = [name for name in ARCHES if int(name.removeprefix("sm_")) >= 80]
    if arch not in known:
        raise UsageError(f"the architecture {arch!r}", "one of " + ", ".join(known), "Choose one of them.")
    try:
        from cuda.core import Program, ProgramOptions
    except ImportError as error:
        raise MissingExtraError.of("cuda-core", "cuda13") from error
    program = Program(ptx, "ptx", ProgramOptions(arch=arch))
    try:
        return bytes(program.compile("cubin").code)
    finally:
        program.close()
