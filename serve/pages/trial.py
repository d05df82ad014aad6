"""What the process does that tries a policy on runs, for a page: one question, one answer, then it ends."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from hashwarden.errors import HashwardenError, UsageError

if TYPE_CHECKING:
    from hashwarden.model.trace import Run
    from hashwarden.serve.policy.rehearsal import Rehearsed

__all__ = ["answer", "tried"]

_CPU_S: Final = 60
_MEMORY_BYTES: Final = 4 << 30
_MOST_RUNS: Final = 64
_MOST_DECISIONS: Final = 500
_MOST_SAMPLES: Final = 200_000


def answer(asked: IO[bytes], said: IO[bytes]) -> None:
    """Read a question, write an answer: objects in JSON; ``error`` in the answer says what is wrong."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    with suppress(OSError):
        os.nice(10)
    question = json.loads(asked.read())
    try:
        found = _listed(question) if question.get("what") == "list" else tried(question)
    except (HashwardenError, OSError, MemoryError) as error:
        found = {"error": str(error) or "not enough memory"}
    except Exception as error:  # a fault of ours is told, too
        found = {"error": f"a fault of the rehearsal: {error!r}"}
    said.write(json.dumps(found).encode())


def _listed(question: Mapping[str, Any]) -> dict[str, Any]:
    return {"runs": [{"run": run.name, "label": run.label, "seconds": _end(run), "samples": len(run)}
                     for run in _runs(question["traces"])]}  # fmt: skip


def _runs(traces: list[str]) -> Iterator[Run]:
    from hashwarden.model.trace_read import iter_runs

    count = samples = 0
    for trace in traces:
        for run in iter_runs(Path(trace)):
            count, samples = count + 1, samples + len(run)
            if count > _MOST_RUNS or samples > _MOST_SAMPLES:
                raise UsageError(f"more than {_MOST_RUNS} runs or {_MOST_SAMPLES:,} samples", "fewer",
                                 "'hashwarden policy test' has no such bound.", where=trace)  # fmt: skip
            yield run


def tried(question: Mapping[str, Any]) -> dict[str, Any]:
    """Rehearse.

    Parameters
    ----------
    question : mapping
        ``policy`` (TOML), ``run`` (a name, empty for all), ``speed``, ``approve``, ``traces``, or ``window``: the
        page ``/v1/job/channels`` of a job with its ``attributes``, in place of traces.
    """
    from hashwarden.serve.job_scorer import JobScorer
    from hashwarden.serve.policy.load import read_policy
    from hashwarden.serve.policy.rehearsal import Rehearsal, rehearse

    policy = read_policy(question["policy"].encode())
    window = question.get("window")
    chosen = [_window(window)] if window else [run for run in _runs(question["traces"])
                                               if question["run"] in ("", run.name)]  # fmt: skip
    if not chosen:
        raise UsageError("no such run", "a run of the traces, or a live job", "Choose one.")
    attributes = question.get("attributes") or {}
    how = Rehearsal(policy, speed=question["speed"], unix_s=time.time(), approve=question["approve"],
                    attributes=attributes)  # fmt: skip
    done = rehearse(chosen, JobScorer(None), how)
    return {"mode": policy.mode, "sha256": policy.sha256, "speed": how.speed, "runs": [_told(one) for one in done]}


def _window(page: Mapping[str, Any]) -> Run:
    """The raw samples of a live job as a run."""
    import numpy as np

    from hashwarden.model.channels import CHANNELS, INDEX
    from hashwarden.model.trace import Run

    times = np.asarray(page["unix_s"], np.float64)
    if len(times) < 2:
        raise UsageError("no samples of this job yet", "some minutes of them", "Wait, or choose a trace.")
    values = np.full((len(times), len(CHANNELS)), np.nan, np.float32)
    for name, column in page["channels"].items():
        values[:, INDEX[name]] = np.asarray(column, np.float32)  # None becomes NaN
    return Run(str(page["job"]), times - times[0], values)


def _end(run: Run) -> float:
    return round(float(run.times[-1]), 3) if len(run) else 0.0


def _told(one: Rehearsed) -> dict[str, Any]:
    end = _end(one.run)
    return {
        "run": one.run.name, "label": one.run.label, "job": one.job.key, "user": one.job.user, "end_s": end,
        "worst": one.worst.word, "ended_s": None if one.ended_s is None else round(one.ended_s, 3),
        "blind": sorted({alert.subject for _, alert in one.alerts}), "left_out": len(one.decisions[_MOST_DECISIONS:]),
        "decisions": [
            {
                "time_s": round(at, 3), "case": d.case, "change": d.change, "words": d.words,
                "kind": str(d.action.kind) if d.action else "", "reasons": list(d.reasons[:3]),
                "to_owner": d.action.reason if d.action else "",
            }
            for at, d in one.decisions[:_MOST_DECISIONS]
        ],
    }  # fmt: skip
