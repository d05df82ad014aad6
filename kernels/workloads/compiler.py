"""From a workload's CUDA C to machine code, without a GPU (NVRTC through cuda.core)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hashwarden.errors import HashwardenError, MissingExtraError, UsageError
from hashwarden.kernels.workloads.catalogue import CudaSource, Variant

__all__ = ["ARCHES", "FLAGS", "CompileError", "compile_cubin", "headers", "source_text"]

ARCHES: Final = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_103", "sm_120")
FLAGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "-use_fast_math": {"use_fast_math": True},
    "-lineinfo": {"lineinfo": True},
    "-fmad=false": {"fma": False},
    "-restrict": {"restrict": True},
    "-extra-device-vectorization": {"extra_device_vectorization": True},
    **{f"-O{level}": {"ptxas_options": f"-O{level}"} for level in range(4)},
}
_REGISTERS: Final = "-maxrregcount="
_LOG_LINES: Final = 6


class CompileError(HashwardenError):
    """The compiler refused a workload."""


def source_text(workload: CudaSource) -> str:
    """Read the CUDA C of a workload."""
    folder = resources.files(f"hashwarden.kernels.workloads.{workload.package}")
    return folder.joinpath(workload.source).read_text(encoding="utf-8")


def headers(workload: CudaSource, variant: Variant) -> dict[str, str]:
    """Headers that the source may include: the package's `.cuh` files and what the workload generates."""
    folder = resources.files(f"hashwarden.kernels.workloads.{workload.package}")
    found = {item.name: item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith(".cuh")}
    if workload.generate is not None:
        found.update(workload.generate(dict(variant.defines)))
    return found


def compile_cubin(workload: CudaSource, variant: Variant, arch: str) -> bytes:
    """Compile one variant of a workload to a cubin.

    Parameters
    ----------
    workload, variant
        What to compile; the variant is one of ``workload.all_variants()`` or any other.
    arch : str
        One of `ARCHES`.

    Returns
    -------
    bytes
        The cubin, an ELF file.

    Raises
    ------
    MissingExtraError
        If cuda-core or NVRTC is not installed.
    UsageError
        If the architecture or a flag is unknown.
    CompileError
        If the compiler refuses the source; its first lines are in the message.
    """
    if arch not in ARCHES:
        raise UsageError(f"the architecture {arch!r}", "one of " + ", ".join(ARCHES), "Choose one of them.")
    options = _options(variant)
    core = _cuda_core()
    with TemporaryDirectory(prefix="hashwarden-") as folder:
        for name, text in headers(workload, variant).items():
            Path(folder, name).write_text(text, encoding="utf-8")
        settings = core.ProgramOptions(name=workload.source, arch=arch, include_path=folder, **options)
        return _compile(core, source_text(workload), settings, f"{workload.name} [{variant.name}] {arch}")


def _options(variant: Variant) -> dict[str, Any]:
    options: dict[str, Any] = {"define_macro": list(variant.defines)} if variant.defines else {}
    for flag in variant.flags:
        if flag.startswith(_REGISTERS) and flag.removeprefix(_REGISTERS).isdigit():
            options["max_register_count"] = int(flag.removeprefix(_REGISTERS))
        elif flag in FLAGS:
            options.update(FLAGS[flag])
        else:
            known = ", ".join((*FLAGS, _REGISTERS + "N"))
            raise UsageError(f"the compile flag {flag!r}", f"one of {known}", "Correct the variant.")
    return options


def _cuda_core() -> Any:  # noqa: ANN401  cuda.core ships no types
    try:
        from cuda import core
        from cuda.bindings import nvrtc  # noqa: F401
    except ImportError as error:
        raise MissingExtraError.of("cuda-core", "cuda13") from error
    return core


def _compile(core: Any, text: str, settings: Any, where: str) -> bytes:  # noqa: ANN401
    program = None
    try:
        program = core.Program(text, "c++", settings)
        return bytes(program.compile("cubin").code)
    except Exception as error:
        if type(error).__name__ != "NVRTCError":
            raise
        raise CompileError(_log(str(error)), "source that compiles", "Correct the source.", where=where) from error
    finally:
        if program is not None:
            program.close()


def _log(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return " | ".join(lines[:_LOG_LINES])
