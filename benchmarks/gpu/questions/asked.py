"""The questions that only a GPU answers, why they matter, and which result answers each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QUESTIONS", "Question"]


@dataclass(frozen=True)
class Question:
    """One question, and the result that answers it.

    Attributes
    ----------
    title, why : str
    result : str
        Name of the JSON file, without its ending.
    parts : tuple of str
        How its sentences begin, where a file answers several questions; all of them if none.
    """

    title: str
    why: str
    result: str
    parts: tuple[str, ...] = ()


QUESTIONS = (
    Question(
        "Does GPM answer without root?",
        "The agent could then do without privileges on Hopper and newer.", "telemetry", ("privilege",),
    ),
    Question(
        "What do the integer and tensor counters count?",
        "The job model tells hash work from learning by integer, floating-point and tensor utilisation. If LOP3 or SHF "
        "do not count as integer, or fp8 as neither HMMA nor IMMA, its channels mean other than what was synthesised.",
        "instructions",
    ),
    Question(
        "Which metrics of GPM answer, and do context switches show a second process?",
        "The channels `dram_cache_miss_ratio` (164 and 165) and `context_switches_per_s` (170 to 209) rest on them.",
        "telemetry", ("metrics", "processes"),
    ),
    Question(
        "What does sampling cost at 1, 5 and 10 Hz?",
        "In CPU of the node, and in the time of somebody's training step.", "telemetry",
        ("cost", "slowdown", "freshness"),
    ),
    Question(
        "What do the contention probes cost, and what do they tell?",
        "They take time slices of somebody else's GPU.", "probes",
    ),
    Question(
        "Does CUPTI's PM sampling see other processes, how fast, at what cost, and with whom does it get on?",
        "The source `pm` needs the counters for itself.", "sampling",
    ),
    Question(
        "Do launches go through the functions that are traced, and is each counted once?",
        "The sources `launches` and `code` probe what libcuda exports. If CUDA's runtime got other addresses, they "
        "would see nothing; if one such function called another, they would count twice.",
        "launching",
    ),
    Question(
        "Does the mix while active stay put under duty cycling?",
        "If it does, idling on purpose hides nothing but hash rate.", "duty",
    ),
    Question(
        "What separates matrix-product proof of work from W8A8 inference and from training?",
        "The most likely miner on such GPUs runs the same instructions as quantised inference.", "separation",
    ),
    Question(
        "Does the static loop weighting of the kernel mix agree with executed instructions?",
        "Trip counts are not in the code; the kernel model takes a constant for each level of loops.", "executed",
    ),
    Question(
        "How fast is the kernel mix on a GPU?",
        "Bytes of machine code a second, against a copy from device to device in the same run.", "mix",
    ),
    Question(
        "Is scoring through the CUDA provider worth it?",
        "Samples a second with data that stays on the device, against the CPU provider.", "job",
    ),
    Question(
        "Are the workloads right on a GPU, and how near do they come to what bounds them?",
        "Every recording is of these.", "workloads",
    ),
)  # fmt: skip
