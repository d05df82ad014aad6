"""What ``hashwarden cases``, ``approve`` and ``reject`` do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hashwarden.cli.approve_client import ask, default_socket
from hashwarden.errors import UsageError
from hashwarden.serve.scan.text import printable, shorten

__all__ = ["run_cases", "run_decision"]

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_WIDTH: Final = 160


def run_decision(word: str, case: str, reason: str, socket: Path | None, *, as_json: bool) -> None:
    """Approve or reject a case."""
    body = {"reason": reason}
    found = ask(socket or default_socket(), "POST", f"/v1/cases/{_checked(case)}/{word}", body)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    id_, approval = _checked(case).upper(), found.get("approval")
    if word == "reject":
        typer.echo(f"{id_}: closed; its job is left alone")
    elif isinstance(approval, dict):
        until = _time(approval.get("expires_unix_s"))
        typer.echo(f"{id_}: approved by {printable(str(approval.get('by')))} until {until}")
    else:
        typer.echo(f"{id_}: approved")


def run_cases(case: str | None, folder: Path | None, socket: Path | None, *, closed: bool, as_json: bool) -> None:
    """List cases, or show one."""
    cases: Sequence[Mapping[str, Any]]
    if case is not None:
        cases = [_one(_checked(case).upper(), folder, socket)]
    else:
        cases = _of_folder(folder) if folder is not None else _of_agent(socket or default_socket())
    if case is None and not closed:
        cases = [one for one in cases if one.get("closed_unix_s") is None]
    if as_json:
        typer.echo(json.dumps({"cases": list(cases)}, indent=1))
        return
    console = Console(highlight=False, width=None if Console().is_terminal else _WIDTH)
    if case is not None:
        _show(cases[0], console)
    elif cases:
        console.print(_table(cases))
    else:
        typer.echo("no cases")


def _one(wanted: str, folder: Path | None, socket: Path | None) -> Mapping[str, Any]:
    """One case, also one that is too old to be listed."""
    if folder is None:
        return ask(socket or default_socket(), "GET", f"/v1/cases/{wanted}")
    found = [one for one in _of_folder(folder) if one.get("id") == wanted]
    if not found:
        raise UsageError(f"no case is called {wanted}", "the id of a case", "'hashwarden cases --all' lists them.")
    return found[0]


def _checked(case: str) -> str:
    if not _ID.fullmatch(case):
        raise UsageError(f"the case {printable(case)[:40]!r}", "an id such as HW-7KQ2MXA", "See 'hashwarden cases'.")
    return case


def _of_agent(socket: Path) -> Sequence[Mapping[str, Any]]:
    found = ask(socket, "GET", "/v1/cases").get("cases", [])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _of_folder(folder: Path) -> Sequence[Mapping[str, Any]]:
    from hashwarden.serve.policy.cases import CaseStore

    if not folder.is_dir():
        raise UsageError("no such folder", "a folder of cases", "Name it with --folder.", where=str(folder))
    store = CaseStore(folder, read_only=True)
    if store.damaged:
        names = ", ".join(map(printable, store.damaged[:5]))
        typer.echo(f"hashwarden: {len(store.damaged)} files are no cases: {names}", err=True)
    return [case.model_dump(mode="json") for case in store]


def _table(cases: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("case", "job", "of", "standing", "rule", "for", "steps", "waits for"):
        table.add_column(name, overflow="fold" if name == "waits for" else "ellipsis", no_wrap=name != "waits for")
    for one in cases:
        job = one.get("job") if isinstance(one.get("job"), dict) else {}
        whose = job.get("user") or job.get("namespace") or "?"  # type: ignore[union-attr]
        state = str(one.get("standing", "")) if one.get("closed_unix_s") is None else f"closed: {one.get('closed_for')}"
        cells = (one.get("id"), job.get("key", "?"), whose, state, one.get("rule") or "none",  # type: ignore[union-attr]
                 f"{_number(one.get('clock_s')) / 60:,.0f} min", _steps(one), one.get("waiting", ""))  # fmt: skip
        table.add_row(*(Text(shorten(printable(str(cell)), 60)) for cell in cells))
    return table


def _steps(case: Mapping[str, Any]) -> str:
    steps = case.get("steps")
    if not isinstance(steps, dict):
        return ""
    return ", ".join(f"{name} {'told' if s.get('dry') else s.get('state')}" for name, s in steps.items()
                     if isinstance(s, dict))  # fmt: skip


def _show(case: Mapping[str, Any], console: Console) -> None:
    console.print(_table([case]))
    evidence = case.get("evidence")
    for reason in evidence.get("reasons", ()) if isinstance(evidence, dict) else ():
        console.print(Text(f"  because: {printable(str(reason))}"), soft_wrap=True)
    if case.get("linked"):
        console.print(Text(f"  after: {printable(str(case['linked']))}"))
    for line in case.get("history", ()):
        when, _, words = str(line).partition(" ")
        console.print(Text(f"  {_time(when)} {printable(words)}"), soft_wrap=True)


def _time(unix_s: object) -> str:
    try:
        return datetime.fromtimestamp(float(str(unix_s)), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "?"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
