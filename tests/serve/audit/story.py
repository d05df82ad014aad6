"""One day of a node, as the agent writes it: two tenants, one of whom mines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hashwarden.model.job.verdict import EvidenceRecord, JobVerdict
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.log import AuditLog, Limits

DAY = 1_795_305_600.0
"""2026-11-22T00:00:00Z."""

MODEL = {"name": "job", "version": "0.2", "sha256": "ab" * 32}


def verdict(job: str, state: str, strength: float = 0.5, family: str = "") -> JobVerdict:
    steps = {"watching": 1.0, "suspect": 2.0, "confirmed": 3.0}
    evidence = EvidenceRecord(
        evidence=steps, thresholds=steps, strength=strength, blocks=3, watched_s=60.0, blind_s=0.0, confirmed_s=None,
        beyond_calibration=False, attainable=True,
    )  # fmt: skip
    return JobVerdict(
        job=job, time_s=60.0, state=state, abstains_for="", probabilities={"mining": 0.9, "training": 0.1},
        family=family, family_probability=0.8, evidence=evidence, alpha=1e-3, reasons=("integer pipes are full",),
        deciding=(), tier="gpm", novelty=1.0, model=MODEL,
    )  # fmt: skip


def job(key: str, account: str, user: str) -> dict[str, Any]:
    return {"key": key, "kind": "slurm", "id": key.partition(":")[2], "gpus": ["GPU-1"], "user": user,
            "account": account, "name": "train\x1b[2J", "labels": {"password": "hunter2"}}  # fmt: skip


def coverage(start: float, rows: list[tuple[str, str, float]], blind: list[tuple[str, str, float]]) -> dict[str, Any]:
    return {
        "from_unix_s": start, "to_unix_s": start + 600,
        "watched": [{"tenant": t, "user": "u", "class": c, "gpu_seconds": s} for t, c, s in rows],
        "blind": [{"tenant": t, "user": "u", "reason": r, "gpu_seconds": s} for t, r, s in blind],
    }  # fmt: skip


def write_story(folder: Path, signer: Signer | None, step: Callable[[AuditLog], None] | None = None) -> Path:
    """Write it and close the log."""
    now = [DAY]
    with AuditLog(folder, signer, node="node7", limits=Limits(every=8), clock=lambda: now[0]) as log:
        log.append(EventKind.START, {"version": "0.5", "node": "node7", "config": "c" * 64, "model": MODEL,
                                     "policy": {"sha256": "d" * 64, "mode": "act"}, "self_test": "passed"})  # fmt: skip
        physics, lab = job("slurm:1", "physics", "ursula"), job("slurm:2", "lab", "bob")
        for one, gpu, *said in (
            (physics, "GPU-1", "watching"), (physics, "GPU-1", "confirmed", 1.0, "ethash"),
            (lab, "GPU-2", "clear", 0.0),
        ):  # fmt: skip
            found = verdict(f"{one['key']}/{gpu}", *said).model_dump(mode="json")
            log.append(EventKind.VERDICT, {"job": one, "gpu": gpu, "verdict": found, "unix_s": DAY})
        now[0] += 600
        log.append(EventKind.COVERAGE, coverage(DAY, [("physics", "mining", 500.0), ("lab", "training", 600.0)],
                                                [("physics", "shared", 100.0)]))  # fmt: skip
        case = {"case": "HW-2345678", "job": "slurm:1", "user": "ursula", "rule": "all", "standing": "confirmed"}
        why = {"reasons": ["integer pipes are full"], "evidence": {"state": "confirmed"}}
        log.append(EventKind.CASE, {**case, **why, "change": "opened", "words": "evidence of mining"})
        action = {"action": "HW-2345678/act", "kind": "cancel", "case": "HW-2345678", "job": "slurm:1", "reason": "x"}
        log.append(EventKind.APPROVAL, {"case": "HW-2345678", "job": "slurm:1", "what": "approved", "by": "root"})
        log.append(EventKind.INTENT, action)
        log.append(EventKind.ACTION, {**action, "result": "done", "detail": "", "tries": 1})
        log.append(EventKind.CASE, {**case, "change": "closed", "words": "the job ended", "standing": "none"})
        now[0] += 600
        log.append(EventKind.COVERAGE, coverage(DAY + 600, [("lab", "training", 300.0)], [("lab", "stale", 300.0)]))
        if step is not None:
            step(log)
        now[0] += 86400
        log.append(EventKind.COVERAGE, coverage(DAY + 87000, [("physics", "training", 36.0)], []))
        log.append(EventKind.STOP, {"reason": "asked to"})
    return folder
