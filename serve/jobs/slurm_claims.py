"""What a process says of itself in its environment: its job of Slurm, and its GPUs. Its owner can write anything there.

slurmd sets SLURM_JOB_GPUS to the numbers of the device files, whatever the job sees; CUDA_VISIBLE_DEVICES counts from 0
again where devices are confined by cgroups, so numbers in it say nothing here, and only UUIDs do.
"""

from __future__ import annotations

from collections.abc import Mapping

from hashwarden.serve.jobs.device_names import DeviceNames

__all__ = ["claimed_gpus", "claimed_job", "claimed_restarts"]


def claimed_job(environment: Mapping[str, str]) -> int | None:
    """The job's own number, of an array's task too; None if there is none."""
    text = environment.get("SLURM_JOB_ID") or environment.get("SLURM_JOBID") or ""
    return int(text) if _is_number(text, 10) else None


def claimed_restarts(environment: Mapping[str, str]) -> int:
    """How often the job was put back into the queue before this process was started; 0 if it does not say."""
    text = environment.get("SLURM_RESTART_COUNT", "")
    return int(text) if _is_number(text) else 0


def claimed_gpus(environment: Mapping[str, str], names: DeviceNames) -> tuple[str, ...]:
    """UUIDs of devices that are watched: of the job where it is said, else of the step, else of the program."""
    for variable in ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):
        words = [word.strip() for word in environment.get(variable, "").split(",")[:64]]
        found = names.all_of(
            names.minor(int(word)) if _is_number(word) and variable.startswith("SLURM") else names.named(word)
            for word in words
        )
        if found:
            return found
    return ()


def _is_number(word: str, longest: int = 4) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= longest
