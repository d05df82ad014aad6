"""The report for code scanning: SARIF 2.1.0 (OASIS), one result per finding.

A file that looks like hash work gives one result per kernel that weighs in its verdict, or one for
itself if no single kernel does; a file or target without a clear verdict gives one result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from hashwarden.model.kernel.verdict import FileVerdict, KernelVerdict, Verdict
from hashwarden.serve.scan.result import Problem, ScanReport, TargetReport
from hashwarden.serve.scan.text import printable
from hashwarden.version import __version__

__all__ = ["RULES", "sarif_log", "write_sarif"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_RULES: dict[Verdict, tuple[str, str, str, str, str]] = {
    Verdict.MINING: (
        "HW001",
        "MiningLikeHash",
        "error",
        "GPU machine code that hashes as miners do",
        "The kernel's instruction mix is that of proof-of-work hashing. Find out who ships the file and whether "
        "it is meant to run here; `hashwarden scan --explain` names the kernels and the features that decided.",
    ),
    Verdict.OTHER_HASH: (
        "HW002",
        "OtherHash",
        "warning",
        "GPU machine code that hashes, unlike a miner",
        "Hash work of another kind: password audit, zero-knowledge proofs, checksums, hash tables or encryption. "
        "Harmless in most places; check that the place expects it.",
    ),
    Verdict.ABSTAIN: (
        "HW003",
        "Abstain",
        "note",
        "GPU machine code that the model does not know",
        "The model has seen nothing like it and gives no verdict. Let a person look at the kernels.",
    ),
    Verdict.NOT_JUDGED: (
        "HW004",
        "NotJudged",
        "note",
        "Nothing, or not all, could be judged",
        "Unread code is not innocent code: the notes and the tool's notifications say what stood in the way.",
    ),
}
RULES = tuple(rule[0] for rule in _RULES.values())
"""Rule ids, in the order of the log."""


def write_sarif(report: ScanReport, out: TextIO, exit_code: int) -> None:
    """Write the log of `sarif_log`."""
    json.dump(sarif_log(report, exit_code), out, indent=1)
    out.write("\n")


def sarif_log(report: ScanReport, exit_code: int) -> dict[str, Any]:
    """Build the SARIF log of a report."""
    run = {
        "tool": {"driver": _driver(report)},
        "invocations": [
            {
                "executionSuccessful": not report.problems,
                "exitCode": exit_code,
                "toolExecutionNotifications": [_notification(problem) for problem in report.problems],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [_result(target.target, finding) for target in report.targets for finding in _findings(target)],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _driver(report: ScanReport) -> dict[str, Any]:
    return {
        "name": "hashwarden",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(verdict) for verdict in _RULES],
        "properties": {"model": report.model},
    }


def _rule(verdict: Verdict) -> dict[str, Any]:
    ident, name, level, short, text = _RULES[verdict]
    return {
        "id": ident,
        "name": name,
        "shortDescription": {"text": short},
        "fullDescription": {"text": text},
        "help": {"text": text},
        "defaultConfiguration": {"level": level},
        "properties": {"tags": ["security", "gpu"]},
    }


def _notification(problem: Problem) -> dict[str, Any]:
    outer = problem.where.split("!", 1)[0]
    notification: dict[str, Any] = {
        "level": "error",
        "message": {"text": printable(problem.line())},
        "descriptor": {"id": problem.error},
    }
    if outer:
        notification["locations"] = [{"physicalLocation": _artifact(outer)}]
    return notification


@dataclass(frozen=True, slots=True)
class _Finding:
    """What becomes one result."""

    verdict: Verdict
    where: str
    text: str
    kernel: str = ""
    codes: tuple[str, ...] = ()


def _findings(target: TargetReport) -> Iterator[_Finding]:
    for file in target.files:
        yield from _file_findings(file)
    told = any(file.verdict is Verdict.NOT_JUDGED for file in target.files)
    if target.verdict is Verdict.NOT_JUDGED and not told:
        reasons = "; ".join(problem.got for problem in target.problems) or "no GPU machine code found"
        yield _Finding(Verdict.NOT_JUDGED, target.target, f"{target.target}: not judged: {reasons}")


def _file_findings(file: FileVerdict) -> Iterator[_Finding]:
    if file.verdict is Verdict.NOT_HASH:
        return
    hashing = (Verdict.MINING, Verdict.OTHER_HASH)
    weighty = [kernel for kernel in file.top if kernel.verdict in hashing]
    if file.verdict in hashing and weighty:
        yield from (_kernel_finding(file, kernel) for kernel in _distinct(weighty))
        return
    words = "; ".join((*file.reasons, *file.notes)) or "no reason given"
    codes = tuple(kernel.code_sha1 for kernel in file.top if kernel.code_sha1)
    yield _Finding(file.verdict, file.where, f"{file.where}: {file.verdict}: {words}", codes=codes)


def _distinct(kernels: list[KernelVerdict]) -> list[KernelVerdict]:
    """Keep one kernel of each code; those without a hash of their code all stay."""
    seen: dict[str, KernelVerdict] = {}
    for kernel in kernels:
        seen.setdefault(kernel.code_sha1 or f"index {kernel.index}", kernel)
    return list(seen.values())


def _kernel_finding(file: FileVerdict, kernel: KernelVerdict) -> _Finding:
    """Speak with the file's verdict: a lone kernel is never worse than what the file rule made of it."""
    words = "; ".join(kernel.reasons or file.reasons) or "no reason given"
    name = kernel.kernel or "a kernel without a name"
    family = f", family {kernel.family}" if kernel.family else ""
    text = (
        f"{name} (sm_{kernel.arch}) in {file.where}: {kernel.verdict}, P(mining) {kernel.p_mining:.3f}{family}: {words}"
    )
    codes = (kernel.code_sha1,) if kernel.code_sha1 else ()
    return _Finding(file.verdict, kernel.where or file.where, text, kernel.kernel, codes)


def _result(target: str, finding: _Finding) -> dict[str, Any]:
    ident, _, level, _, _ = _RULES[finding.verdict]
    where = printable(finding.where)
    logical = [{"fullyQualifiedName": where, "kind": "module"}]
    if finding.kernel:
        name = printable(finding.kernel)
        logical.append({"name": name, "fullyQualifiedName": f"{where}::{name}", "kind": "function"})
    result: dict[str, Any] = {
        "ruleId": ident,
        "ruleIndex": RULES.index(ident),
        "level": level,
        "message": {"text": printable(finding.text)},
        "locations": [{"physicalLocation": _artifact(target), "logicalLocations": logical}],
    }
    if finding.codes:
        result["partialFingerprints"] = {"code/v1": _fingerprint(finding.codes)}
    return result


def _fingerprint(codes: tuple[str, ...]) -> str:
    """Give the hash of one kernel's code, or a hash over those of several, whatever their order."""
    if len(codes) == 1:
        return codes[0]
    return hashlib.sha256("\n".join(sorted(set(codes))).encode()).hexdigest()[:16]


def _artifact(path: str) -> dict[str, Any]:
    """Refer to a file: absolute paths become ``file:`` addresses, others stay relative and quoted."""
    raw = path.encode("utf-8", "surrogateescape")
    address = "file://" + quote(raw) if Path(path).is_absolute() else quote(raw)
    return {"artifactLocation": {"uri": address}}
