"""What ``hashwarden policy`` does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, final

import typer
from rich.console import Console
from rich.text import Text

from hashwarden.errors import UsageError
from hashwarden.serve.policy.lint import remarks
from hashwarden.serve.policy.load import load_policy
from hashwarden.serve.policy.schema import Quota, Rule, policy_schema

__all__ = ["SCHEMA", "Order", "run_check", "run_schema", "run_test"]

SCHEMA: Final = "hashwarden.policy-test/1"
PLAIN_WIDTH: Final = 160
_NAME: Final = 34
_COLOURS: Final = {"warn": "yellow", "asked": "bold red", "told": "red", "waiting": "magenta", "opened": "cyan"}


@final
@dataclass(frozen=True, slots=True)
class Order:
    """The flags of ``policy test``."""

    policy: Path
    traces: tuple[Path, ...]
    speed: float
    alpha: float
    approve: bool
    at: str
    attributes: Mapping[str, str]
    model: Path | None
    as_json: bool
    strict: bool


def run_check(path: Path, *, strict: bool) -> int:
    """Read a policy and say what it means; gives the exit code."""
    policy = load_policy(path)
    ladders: list[Rule | Quota] = [*policy.rules, *policy.quotas]
    acting = [one.name for one in ladders if one.action != "none"]
    typer.echo(f"{path}: {policy.mode}; {len(policy.rules)} rules, {len(policy.quotas)} quotas, "
               f"{len(policy.exemptions)} exemptions; acting: {', '.join(acting) or 'none'}")  # fmt: skip
    typer.echo(f"sha256 {policy.sha256}")
    found = list(remarks(policy, time.time()))
    for remark in found:
        typer.echo(f"remark: {remark}")
    return int(strict and bool(found))


def run_schema() -> None:
    """Print the JSON schema."""
    typer.echo(json.dumps(policy_schema(), indent=1))


def run_test(order: Order) -> int:
    """Rehearse a policy; gives the exit code."""
    from hashwarden.model.trace import Run
    from hashwarden.model.trace_read import iter_runs
    from hashwarden.serve.job_scorer import JobScorer
    from hashwarden.serve.policy.rehearsal import Rehearsal, rehearse

    policy, scorer = load_policy(order.policy), JobScorer(order.model)
    how = Rehearsal(policy, order.alpha, order.speed, _begin(order.at), order.approve, order.attributes)

    def runs() -> Iterator[Run]:
        for trace in order.traces:
            yield from iter_runs(trace)

    console = Console(highlight=False, width=None if Console().is_terminal else PLAIN_WIDTH)
    if not order.as_json:
        mode = f"rehearsed as if in force; its mode is {policy.mode}"
        console.print(f"policy {policy.sha256[:12]} ({mode}), model {scorer.identity['sha256'][:12]}, learned from: "
                      f"{scorer.metadata.measured_on}\n")  # fmt: skip
    records = []
    for one in rehearse(runs(), scorer, how):
        record = _record(one)
        records.append(record)
        if not order.as_json:
            _render(record, console)
    wrong = [r for r in records if r["label"] not in {"", "mining"} and r["acts"]]
    code = int(order.strict and bool(wrong))
    if order.as_json:
        head = {"schema": SCHEMA, "policy": policy.sha256, "mode": policy.mode, "model": dict(scorer.identity)}
        typer.echo(json.dumps({**head, "alpha": order.alpha, "speed": order.speed, "exit_code": code,
                               "runs": records}, indent=1))  # fmt: skip
    else:
        acted = sum(bool(r["acts"]) for r in records)
        warned = sum(any(d["kind"] == "warn" for d in r["decisions"]) for r in records)
        console.print(f"\n{len(records)} runs: {warned} would have been warned about, {acted} acted on"
                      + (f", {len(wrong)} of them labelled and not as mining" if wrong else ""))  # fmt: skip
    return code


def _begin(text: str) -> float:
    if not text:
        return time.time()
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--at {text}", "a date as 2026-05-01T00:00Z", "Write it so.") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _record(one: Any) -> dict[str, Any]:  # noqa: ANN401  a Rehearsed; its module imports pyarrow
    end = float(one.run.times[-1]) if len(one.run) else 0.0
    return {
        "run": one.run.name, "label": one.run.label, "family": one.run.family, "job": one.job.key,
        "user": one.job.user, "samples": len(one.run), "end_s": round(end, 3), "worst": one.worst.word,
        "acts": len(one.acts), "ended_s": None if one.ended_s is None else round(one.ended_s, 3),
        "spared_s": 0.0 if one.ended_s is None else round(end - one.ended_s, 3),
        "blind": sorted({alert.subject for _, alert in one.alerts}),
        "decisions": [
            {
                "time_s": round(at, 3), "case": d.case, "change": d.change, "words": d.words,
                "kind": str(d.action.kind) if d.action else "", "reasons": list(d.reasons),
                "to_owner": d.action.reason if d.action else "",
            }
            for at, d in one.decisions
        ],
    }  # fmt: skip


def _render(record: Mapping[str, Any], console: Console) -> None:
    from hashwarden.serve.replay_text import clock
    from hashwarden.serve.scan.text import printable, shorten

    line = Text()
    line.append(f"{record['worst']:<10}", "bold red" if record["acts"] else "green")
    line.append(f"{shorten(printable(record['run']), _NAME):<{_NAME}} ")
    line.append(f"{clock(record['end_s']):>8}")
    line.append(f"  labelled {printable(record['label'])}" if record["label"] else "", "dim")
    if record["ended_s"] is not None:
        line.append(f"  ended at {clock(record['ended_s'])}, {clock(record['spared_s'])} spared", "bold")
    elif not record["decisions"]:
        line.append("  left alone", "dim")
    if record["blind"]:
        line.append(f"  blind: {', '.join(record['blind'])}", "magenta")
    console.print(line, no_wrap=True, crop=False, overflow="ignore")
    for one in record["decisions"]:
        if one["change"] == "done":
            continue
        part = Text(f"    {clock(one['time_s'])} ", "dim")
        part.append(f"{one['case']} ", "dim")
        said = f"waits for: {one['words']}" if one["change"] == "waiting" else one["words"]
        part.append(said, _COLOURS.get("warn" if one["kind"] == "warn" else one["change"], ""))
        why = "; ".join(one["reasons"][:2]) if one["change"] in {"opened", "standing"} else ""
        part.append(f"  {printable(why)}" if why else "", "dim")
        console.print(part, soft_wrap=True)
