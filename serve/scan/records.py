"""The JSON forms of verdicts, problems and numbers, and the way back.

The reports write them (docs/scan-json.md), the cache reads them again.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from hashwarden.model.kernel.verdict import FileVerdict, KernelVerdict, Verdict
from hashwarden.serve.scan.events import ReadStats
from hashwarden.serve.scan.result import Problem

__all__ = [
    "file_from_record",
    "file_record",
    "kernel_from_record",
    "kernel_record",
    "problem_from_record",
    "problem_record",
    "stats_from_record",
    "stats_record",
]


def kernel_record(verdict: KernelVerdict) -> dict[str, Any]:
    """Give the JSON form of one verdict; probabilities are always numbers from 0 to 1."""
    return {
        "index": verdict.index,
        "kernel": verdict.kernel,
        "arch": verdict.arch,
        "p_hash": _probability(verdict.p_hash),
        "p_mining": _probability(verdict.p_mining),
        "family": verdict.family,
        "verdict": verdict.verdict.value,
        "where": verdict.where,
        "n_instr": verdict.n_instr,
        "code_sha1": verdict.code_sha1,
        "reasons": list(verdict.reasons),
    }


def _probability(value: float) -> float:
    number = float(value)
    return round(min(max(number, 0.0), 1.0), 6) if math.isfinite(number) else 0.0


def kernel_from_record(record: dict[str, Any]) -> KernelVerdict:
    """Undo `kernel_record`.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the record is not one.
    """
    return KernelVerdict(
        int(record["index"]),
        str(record["where"]),
        str(record["kernel"]),
        int(record["arch"]),
        float(record["p_hash"]),
        float(record["p_mining"]),
        str(record["family"]),
        Verdict(record["verdict"]),
        tuple(str(reason) for reason in record["reasons"]),
        str(record["code_sha1"]),
        int(record["n_instr"]),
    )


def stats_record(stats: ReadStats) -> dict[str, Any]:
    """Give the JSON form of the numbers of the reading; architectures are written ``sm_60``."""
    archs = {f"sm_{arch}": number for arch, number in sorted(stats.unsupported_archs.items())}
    return asdict(stats) | {"unsupported_archs": archs, "seconds": round(stats.seconds, 3)}


def stats_from_record(record: dict[str, Any]) -> ReadStats:
    """Undo `stats_record`.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        If the record is not one.
    """
    archs = {int(name.removeprefix("sm_")): int(n) for name, n in record["unsupported_archs"].items()}
    return ReadStats(**record | {"unsupported_archs": archs})


def file_record(file: FileVerdict) -> dict[str, Any]:
    """Give the JSON form of a file's verdict; ``kernels`` are those that weigh most."""
    return {
        "where": file.where,
        "verdict": file.verdict.value,
        "p_mining": round(float(file.p_mining), 6),
        "chance": min(max(float(file.chance), 0.0), 1.0),
        "n_kernels": file.n_kernels,
        "n_distinct": file.n_distinct,
        "counts": {verdict.value: number for verdict, number in file.counts.items()},
        "reasons": list(file.reasons),
        "notes": list(file.notes),
        "kernels": [kernel_record(kernel) for kernel in file.top],
    }


def file_from_record(record: dict[str, Any]) -> FileVerdict:
    """Undo `file_record`.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        If the record is not one.
    """
    return FileVerdict(
        str(record["where"]),
        Verdict(record["verdict"]),
        float(record["p_mining"]),
        int(record["n_kernels"]),
        int(record["n_distinct"]),
        {Verdict(name): int(number) for name, number in record["counts"].items()},
        tuple(str(reason) for reason in record["reasons"]),
        tuple(kernel_from_record(kernel) for kernel in record["kernels"]),
        tuple(str(note) for note in record["notes"]),
        float(record["chance"]),
    )


def problem_record(problem: Problem) -> dict[str, Any]:
    """Give the JSON form of a problem."""
    return {
        "error": problem.error,
        "exit_code": problem.exit_code,
        "where": problem.where,
        "got": problem.got,
        "expected": problem.expected,
        "remedy": problem.remedy,
    }


def problem_from_record(record: dict[str, Any]) -> Problem:
    """Undo `problem_record`.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the record is not one.
    """
    texts = (str(record[name]) for name in ("where", "got", "expected", "remedy"))
    return Problem(str(record["error"]), int(record["exit_code"]), *texts)
