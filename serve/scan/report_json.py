"""The report for programs: one JSON document, written piece by piece (docs/scan-json.md).

``targets`` stand first and are small; ``kernels``, which may be a million, come last and are copied
from the spool line by line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

from hashwarden.serve.scan.records import file_record, problem_record, stats_record
from hashwarden.serve.scan.result import ScanReport, TargetReport
from hashwarden.version import __version__

__all__ = ["SCHEMA", "write_json"]

SCHEMA = "hashwarden.scan/1"
"""Name and version of the format; the number changes when a field changes its meaning or goes."""


def write_json(report: ScanReport, kernels: Iterable[str], out: TextIO, exit_code: int) -> None:
    """Write the document.

    Parameters
    ----------
    report : ScanReport
    kernels : iterable of str
        The JSON text of each kernel, in order (`hashwarden.serve.scan.spool.KernelSpool.lines`).
    out : text file
    exit_code : int
        What the command ends with; a reader of the document alone should know it too.
    """
    head = {
        "schema": SCHEMA,
        "hashwarden": __version__,
        "model": report.model,
        "limits": report.limits,
        "exit_code": exit_code,
        "seconds": round(report.seconds, 3),
    }
    out.write("{\n")
    for name, value in head.items():
        out.write(f" {json.dumps(name)}: {json.dumps(value)},\n")
    _write_list(out, "targets", (json.dumps(_target_record(target)) for target in report.targets))
    out.write(",\n")
    _write_list(out, "kernels", kernels)
    out.write("\n}\n")


def _write_list(out: TextIO, name: str, items: Iterable[str]) -> None:
    out.write(f" {json.dumps(name)}: [")
    separator = "\n  "
    for item in items:
        out.write(separator + item)
        separator = ",\n  "
    out.write("]" if separator == "\n  " else "\n ]")


def _target_record(target: TargetReport) -> dict[str, Any]:
    return {
        "target": target.target,
        "verdict": target.verdict.value,
        "sha256": target.sha256,
        "cached": target.cached,
        "first_kernel": target.first_kernel,
        "n_kernels": target.n_kernels,
        "files": [file_record(file) for file in target.files],
        "problems": [problem_record(problem) for problem in target.problems],
        "notes": list(target.notes),
        "stats": stats_record(target.stats),
    }
