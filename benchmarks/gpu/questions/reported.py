"""What is known of the questions without a GPU of our own: what NVIDIA, its library, others and an interpreter say.

None of it was measured on a GPU here, and none of it answers a question: it says what to expect, and where opinions
differ. What the library says is asked of it by the tests; the rest is linked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["KNOWN", "TENSOR_COUNTERS", "Known"]


@dataclass(frozen=True)
class Known:
    """Something that somebody says.

    Attributes
    ----------
    who : str
        ``NVIDIA's library``, ``NVIDIA``, ``others``, or ``the interpreter``.
    says : str
        In our words.
    links : tuple of (str, str)
        Names and addresses of where it is said.
    """

    who: Literal["NVIDIA's library", "NVIDIA", "others", "the interpreter"]
    says: str
    links: tuple[tuple[str, str], ...] = ()


TENSOR_COUNTERS: Final[Mapping[str, Mapping[str, str]]] = {
    "GA100": {
        "sm__pipe_tensor_op_hmma_cycles_active": "HMMA/HFMA2.MMA",
        "sm__pipe_tensor_op_imma_cycles_active": "IMMA/BMMA",
    },
    "AD102": {
        "sm__pipe_tensor_op_hmma_cycles_active_v2": "HMMA/QMMA",
        "sm__pipe_tensor_op_imma_cycles_active_v2": "IMMA/BMMA",
    },
    "GH100": {
        "sm__pipe_tensor_op_hmma_cycles_active": "HMMA/HFMA2.MMA/HGMMA/QGMMA",
        "sm__pipe_tensor_op_imma_cycles_active": "IMMA/IGMMA/BMMA/BGMMA",
    },
    "GB100": {
        "sm__pipe_tensor_subpipe_hmma_cycles_active": "HMMA/UTCHMMA/UTCQMMA/UTCOMMA",
        "sm__pipe_tensor_subpipe_imma_cycles_active": "IMMA/UTCIMMA",
    },
    "GB202": {
        "sm__pipe_tensor_subpipe_hmma_cycles_active": "HMMA/QMMA/OMMA",
        "sm__pipe_tensor_subpipe_imma_cycles_active": "IMMA",
    },
}
"""By chip and counter, the instructions that Perfworks says it counts; QMMA and QGMMA are fp8, OMMA is fp4."""


def _issue(repository: str, number: int, kind: str = "issues") -> tuple[str, str]:
    return f"{repository}#{number}", f"https://github.com/{repository}/{kind}/{number}"


def _pull(repository: str, number: int) -> tuple[str, str]:
    return _issue(repository, number, "pull")


def _forum(name: str, path: str) -> tuple[str, str]:
    return name, f"https://forums.developer.nvidia.com/t/{path}"


_COUNTED: Final = "; ".join(f"{chip}: {' and '.join(counters.values())}" for chip, counters in TENSOR_COUNTERS.items())

KNOWN: Final[Mapping[str, tuple[Known, ...]]] = {
    "Does the static loop weighting of the kernel mix agree with executed instructions?": (
        Known(
            "the interpreter",
            "It carried out the machine code for sm_90 of 83 of our workloads, 348 kernels. In their mean 13.3 % "
            "of what was executed would have to change its group to have the shares that the constants give, 15.8 % "
            "if every instruction counted once. Constants fitted on other families do hardly better (12.6 %), trip "
            "counts that the code shows do a little (12.5 %; of miners 8.1 % in place of 10.6 %). Training and "
            "inference, at the small sizes tried, come out further off with constants (15.5 and 16.1 %) than without "
            "(12.9 and 12.5 %).",
            (("the table", "../benchmarks/results/executed.md"), ("the interpreter", "interpreter.md")),
        ),
    ),
    "Does GPM answer without root?": (
        Known(
            "others",
            "Weights & Biases' monitor, which runs in users' own processes, reads twelve metrics of GPM; shown on "
            "H200.",
            (_pull("wandb/wandb", 11622),),
        ),
    ),
    "What do the integer and tensor counters count?": (
        Known(
            "NVIDIA's library",
            "Perfworks describes two counters of the tensor pipe, named after half precision and after int8, by what "
            f"they count. {_COUNTED}. So fp8 (QMMA, QGMMA, UTCQMMA) counts as half precision, and wgmma's int8 (IGMMA) "
            "as int8. That GPM takes these counters is said nowhere.",
        ),
        Known(
            "NVIDIA",
            "On GH100 the pipe that does IMAD and IDP also does FP32; the ALU does logic, and integers but IMAD. So "
            "dp4a and IMAD should show as FP32 rather than with LOP3 and SHF.",
            (
                _forum("on GH100's pipes", "separate-cuda-core-pipeline-for-fp16-and-fp32/302018/7"),
                _forum("on the ALU", "int-32-and-fp64-can-be-used-concurrently-in-the-volta-architecture/108729/4"),
            ),
        ),
        Known(
            "others",
            "A run in fp8 on H100 did not move DCGM's counter of IMMA, though an answer there had said that it would; "
            "NVIDIA's engineer says that fp8 cannot be told apart.",
            (_issue("NVIDIA/DCGM", 86),),
        ),
        Known(
            "others",
            "XLA's table for Hopper has the rates that this question's kernels are held against: 128 FP32, 64 integer "
            "and 64 FP64 results a clock and SM, 2,048 multiply-adds in half precision and 4,096 in int8 and fp8.",
            (
                (
                    "cuda_core_info_table.cc",
                    "https://github.com/openxla/xla/blob/main/xla/stream_executor/cuda/cuda_core_info_table.cc",
                ),
            ),
        ),
    ),
    "Which metrics of GPM answer, and do context switches show a second process?": (
        Known(
            "others",
            "On a Blackwell board GPM's SM and tensor activity agree with dcgmi's to three decimals beside cuBLAS.",
            (_pull("Syllo/nvtop", 483),),
        ),
    ),
    "What does sampling cost at 1, 5 and 10 Hz?": (
        Known(
            "NVIDIA",
            "DCGM's engineer calls what its profiling metrics cost very low; he gives no number.",
            (_issue("NVIDIA/dcgm-exporter", 400),),
        ),
    ),
    "Does CUPTI's PM sampling see other processes, how fast, at what cost, and with whom does it get on?": (
        Known(
            "NVIDIA",
            "GPM does not use the counters that Nsight, CUPTI and DCGM lock one another out of.",
            (_issue("NVIDIA/DCGM", 62),),
        ),
        Known(
            "others",
            "The author of nvtop's support holds the opposite: GPM and a DCGM exporter can disturb each other.",
            (_pull("Syllo/nvtop", 483),),
        ),
        Known(
            "others",
            "PyTorch's developers, who have GPUs, write in pull requests and their code: next to no cost on the GPU, "
            "but its clocks are locked meanwhile; one session a GPU; who ends CUPTI's profiler twice in a process "
            "crashes it; where a process has no context on a GPU the chip has no name; the first sample of a session "
            "starts at 0; a sample of four counters takes some 10 KiB of the hardware's buffer. `kernels/streams` is "
            "written for all of these.",
            (_pull("pytorch/pytorch", 188844), _pull("pytorch/pytorch", 188849)),
        ),
        Known(
            "NVIDIA",
            "Since CUDA 13.4 CUPTI has calls that lock the clocks, and says that nothing is locked without them; "
            "whether that is so for PM sampling is not said.",
            (
                (
                    "CUPTI's clock control",
                    "https://docs.nvidia.com/cupti/api/group__CUPTI__CLOCK__CONTROL__API.html",
                ),
            ),
        ),
    ),
    "Do launches go through the functions that are traced, and is each counted once?": (
        Known(
            "others",
            "UCX writes hooks for memory calls into the beginnings of what libcuda exports, and so sees what runtimes "
            "linked statically call; with runtime 13 it had to follow cudaGetSymbolAddress from cuModuleGetGlobal to "
            "cuLibraryGetGlobal, and no other. Exported functions began with a comparison from CUDA 11.3, and with "
            "push %rbp in 12.9.",
            (
                _pull("openucx/ucx", 6038),
                _pull("openucx/ucx", 10866),
                _pull("openucx/ucx", 7203),
                _pull("openucx/ucx", 10624),
            ),
        ),
        Known(
            "others",
            "Programs under Datadog's agent call cuLaunchKernel themselves, and in HAMi the runtime asks "
            "cuGetProcAddress for cuLaunchKernel and cuLaunchKernelEx.",
            (_pull("DataDog/datadog-agent", 43813), _pull("Project-HAMi/HAMi-core", 143)),
        ),
    ),
    "What separates matrix-product proof of work from W8A8 inference and from training?": (
        Known(
            "NVIDIA's library",
            "By the counters above, products in int8 are told from those in fp8 and half precision, and from one "
            "another they are not.",
        ),
    ),
}
"""By the title of the question."""
