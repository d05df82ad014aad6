"""Opens the two graphs of the job model: the right provider, the right inputs and outputs, one record in both."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Final

from hashwarden.errors import ModelError, NoDeviceError, UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.job.metadata import KEY, JobMetadata, read_metadata
from hashwarden.model.runtime import onnxruntime
from hashwarden.serve.onnx_session import CPU, Ends, Opened, Provider, check_ends, open_session

__all__ = ["CUDA", "OUTPUTS", "PROVIDERS", "open_sequence", "open_step", "sequence_path"]

CUDA: Final = "CUDAExecutionProvider"
PROVIDERS: Final = ("cpu", "cuda")
OUTPUTS: Final = ("logits", "families", "novelty", "next_state")


def sequence_path(step: Path) -> Path:
    """Where the sequence graph of a step graph lies."""
    return step.with_name(f"{step.stem}_sequence.onnx")


def open_step(path: Path, provider: str, memory_mib: int) -> tuple[Opened, JobMetadata]:
    """Open the step graph.

    Raises
    ------
    ModelError
        If it cannot be used as it is.
    NoDeviceError
        If CUDA was asked for and cannot be used.
    UsageError
        If there is no such provider.
    """
    providers = _providers(provider, memory_mib)
    opened = open_session(path, "job.onnx", providers) if provider == "cpu" else _open_on_gpu(path, providers)
    record = read_metadata(opened.properties, str(path))
    inputs: Ends = {"sample": ["N", len(CHANNELS)], "mask": ["N", len(CHANNELS)], "dt": ["N", 1]}
    _check(opened, inputs, ["N"], record, path)
    return opened, record


def open_sequence(path: Path, step: Opened, record: JobMetadata) -> Opened:
    """Open the sequence graph that belongs to a step graph, on the CPU.

    Raises
    ------
    ModelError
        If it cannot be used as it is, or its record is not that of the step graph.
    """
    opened = open_session(path, "job_sequence.onnx")
    if opened.properties.get(KEY) != step.properties.get(KEY):
        got = "a sequence graph with another record than the step graph"
        raise ModelError(got, "the two of one export", "Export the model again.", where=str(path))
    width = len(CHANNELS)
    inputs: Ends = {"samples": ["N", "T", width], "masks": ["N", "T", width], "dts": ["N", "T"]}
    _check(opened, inputs, ["N", "T"], record, path)
    return opened


def _providers(provider: str, memory_mib: int) -> Sequence[Provider]:
    if provider not in PROVIDERS:
        raise UsageError(f"the provider {provider!r}", " or ".join(PROVIDERS), "Choose one of them.")
    if provider == "cpu":
        return (CPU,)
    if CUDA not in onnxruntime().get_available_providers():
        raise _no_cuda("this onnxruntime has no CUDA provider")
    _find_cuda()
    options = {
        "device_id": "0",
        "gpu_mem_limit": str(memory_mib * 2**20),
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",  # 10 bits of a mantissa are not what was proved equal
    }
    return ((CUDA, options),)


def _open_on_gpu(path: Path, providers: Sequence[Provider]) -> Opened:
    """All of the graph on the GPU, or an error: never a part of it on the CPU."""
    try:
        opened = open_session(path, "job.onnx", providers, {"session.disable_cpu_ep_fallback": "1"})
    except ModelError as error:
        open_session(path, "job.onnx")  # a file that is no model is not the GPU's fault
        raise _no_cuda(f"onnxruntime could not start its CUDA provider: {error.got}") from error
    if opened.session.get_providers()[:1] != [CUDA]:
        raise _no_cuda("onnxruntime could not start its CUDA provider")
    return opened


def _find_cuda() -> None:
    """Load CUDA's libraries from NVIDIA's Python packages, where no loader looks; from elsewhere where there are none.

    onnxruntime does so only when it is asked to, and prints what it does not find: opening the session tells that.
    """
    preload = getattr(onnxruntime(), "preload_dlls", None)
    if preload is not None:  # from 1.21 on
        with redirect_stdout(io.StringIO()), suppress(Exception):
            preload()


def _no_cuda(got: str) -> NoDeviceError:
    return NoDeviceError(
        got,
        "onnxruntime-gpu 1.21 or newer, its CUDA libraries, and an NVIDIA GPU",
        "Install onnxruntime-gpu[cuda,cudnn] in place of onnxruntime, or use the CPU.",
    )


def _check(opened: Opened, inputs: Ends, lead: Sequence[str], record: JobMetadata, path: Path) -> None:
    state: Ends = {"state": ["N", record.state_size]}
    outputs: Ends = {
        "logits": [*lead, len(record.classes)],
        "families": [*lead, len(record.families)],
        "novelty": lead,
        "next_state": state["state"],
    }
    check_ends(opened.session, {**inputs, **state}, outputs, str(path))
