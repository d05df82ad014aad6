"""From a workload, settings and the name of an engine to a run that is ready to take steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hashwarden.errors import HashwardenError, MissingExtraError, UsageError
from hashwarden.kernels.workloads.evasions.evasion import Run
from hashwarden.kernels.workloads.workload import Settings, Workload

if TYPE_CHECKING:
    from hashwarden.kernels.workloads.engines.base import Engine

__all__ = ["ENGINES", "Prepared", "choose_engine", "gpu_name", "prepare"]

ENGINES: Final = ("cpu", "numba", "cupy", "torch")
"""Numba on the CPU; Numba for CUDA; CUDA C through CuPy; torch on a GPU, or on the CPU where there is none."""

_ON_GPU: Final = ("cupy", "torch", "numba")
_ELSEWHERE: Final = ("cpu", "torch")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run, and what belongs to it.

    Attributes
    ----------
    run : Run
        Takes steps.
    start : callable
        Does what is done once (a DAG, a table); to be called before the first step, unless ``check`` is.
    check : callable
        Does the same and step 0, and compares with the oracle; raises CheckError.
    close : callable
        Gives the memory back.
    memory_bytes : int or None
        Memory of the arrays; None where torch decides.
    launched : callable
        Launches of its steps so far, and their threads, by kernel; None where torch launches.
    """

    run: Run
    start: Callable[[], None]
    check: Callable[[], None]
    close: Callable[[], None]
    memory_bytes: int | None
    launched: Callable[[], Mapping[str, Sequence[int]] | None]


def gpu_name() -> str | None:
    """Name of the GPU that would be used, or None if there is none."""
    try:
        import numba.cuda

        from hashwarden.kernels.workloads.engines.numba_cuda import require_gpu

        require_gpu()
        name = numba.cuda.get_current_device().name  # type: ignore[no-untyped-call]
    except (HashwardenError, ImportError):
        return None
    return name.decode() if isinstance(name, bytes) else str(name)


def choose_engine(workload: Workload, wanted: str = "auto") -> str:
    """Choose the engine for a workload: on a GPU where there is one, else on the CPU.

    Raises
    ------
    UsageError
        If the workload has no program for the engine that is wanted, or for this machine.
    """
    able = workload.engines()
    if wanted == "auto":
        preferred = _ON_GPU if gpu_name() is not None else _ELSEWHERE
        wanted = next((name for name in preferred if name in able), "")
        if not wanted:
            found = f"{workload.name} runs on {', '.join(able)} only, and there is no GPU"
            raise UsageError(found, "a GPU", "Run it on a machine with one, or choose another workload.")
    if wanted not in able:
        raise UsageError(f"the engine {wanted!r} for {workload.name}", f"one of {', '.join(able)}", "Choose one.")
    return wanted


def prepare(workload: Workload, settings: Settings, engine: str, seed: int, most_blocks: int | None = None) -> Prepared:
    """Take memory and compile.

    Parameters
    ----------
    workload : Workload
        What to run.
    settings : mapping
        All of its parameters (see `Workload.settings`).
    engine : str
        One of `ENGINES` that the workload can run on.
    seed : int
        Of everything random.
    most_blocks : int, optional
        Blocks of a launch at most (engine numba).

    Raises
    ------
    UsageError, MissingExtraError, NoDeviceError, MemoryShortError
        If it cannot be run so; nothing stays allocated then.
    """
    if most_blocks is not None and engine != "numba":
        raise UsageError(f"a limit on blocks with the engine {engine!r}", "the engine numba", "Choose --engine numba.")
    if engine == "torch":
        return _prepare_torch(workload, settings, seed)
    built = _engine(workload, settings, engine, seed, most_blocks)
    return Prepared(built, built.setup, built.check, built.close, built.plan.nbytes, lambda: built.tally.kernels)


def _engine(workload: Workload, settings: Settings, engine: str, seed: int, most_blocks: int | None) -> Engine:
    build = workload.native if engine == "cupy" else workload.build
    if build is None:
        raise UsageError(f"the engine {engine!r} for {workload.name}", ", ".join(workload.engines()), "Choose one.")
    if engine == "cupy":
        from hashwarden.kernels.workloads.engines.cupy import CupyEngine

        return CupyEngine(build(settings, seed))
    if engine == "numba":
        from hashwarden.kernels.workloads.engines.numba_cuda import MOST_BLOCKS, NumbaEngine

        return NumbaEngine(build(settings, seed), most_blocks=most_blocks or MOST_BLOCKS)
    from hashwarden.kernels.workloads.engines.cpu import CpuEngine

    return CpuEngine(build(settings, seed))


def _prepare_torch(workload: Workload, settings: Settings, seed: int) -> Prepared:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError.of("torch", "train") from error
    if workload.torch is None:
        raise UsageError(f"the engine 'torch' for {workload.name}", ", ".join(workload.engines()), "Choose one.")
    run = workload.torch(settings, seed, "cuda" if torch.cuda.is_available() else "cpu")
    return Prepared(run, lambda: None, run.check, lambda: None, None, lambda: None)
