"""From a report to one exit code that CI and registries can act on."""

from __future__ import annotations

from collections.abc import Iterable

from hashwarden.errors import TargetError
from hashwarden.serve.scan.levels import FailOn
from hashwarden.serve.scan.result import Problem, ScanReport

__all__ = ["exit_code", "findings"]

FOUND = 1


def findings(report: ScanReport, level: FailOn) -> int:
    """Count the targets that are findings at ``level``."""
    return sum(level.covers(target.verdict) for target in report.targets)


def exit_code(report: ScanReport, level: FailOn) -> int:
    """1 for a finding, else the code of the errors that were met, else 0.

    Errors of several kinds give the code of `hashwarden.errors.TargetError`.
    """
    return FOUND if findings(report, level) else problem_code(report.problems)


def problem_code(problems: Iterable[Problem]) -> int:
    """0 without problems, their code if they share one, else that of `TargetError`."""
    codes = {problem.exit_code for problem in problems}
    if len(codes) > 1:
        return TargetError.exit_code
    return codes.pop() if codes else 0
