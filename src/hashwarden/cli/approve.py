"""``hashwarden cases``, ``approve`` and ``reject``: their flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["approve_command", "cases_command", "reject_command"]

Case = Annotated[str, typer.Argument(help="Id of the case, as HW-7KQ2MXA.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit log. Example: --reason 'confirmed by the PI'")]
Socket = Annotated[
    Path | None,
    typer.Option(help="The agent's socket. Default: $HASHWARDEN_SOCKET, else /run/hashwarden/agent.sock"),
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def approve_command(case: Case, reason: Reason, socket: Socket = None, as_json: AsJson = False) -> None:
    """Let the agent carry out what a case waits for. Who approves is what the kernel says, and is kept.

    Example: hashwarden approve HW-7KQ2MXA --reason 'no project of ours mines'
    """
    from hashwarden.cli.run_approve import run_decision

    run_decision("approve", case, reason, socket, as_json=as_json)


def reject_command(case: Case, reason: Reason, socket: Socket = None, as_json: AsJson = False) -> None:
    """Close a case: its job is left alone, and what was held or throttled is let go.

    Example: hashwarden reject HW-7KQ2MXA --reason 'a password audit, ticket 4711'
    """
    from hashwarden.cli.run_approve import run_decision

    run_decision("reject", case, reason, socket, as_json=as_json)


def cases_command(
    case: Annotated[str | None, typer.Argument(help="Only this one, with its history.", show_default=False)] = None,
    closed: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Read this folder of cases instead of asking the agent.", metavar="FOLDER")
    ] = None,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """List the cases of this node: what is held against which job, how far its ladder is, what it waits for.

    Example: hashwarden cases
    """
    from hashwarden.cli.run_approve import run_cases

    run_cases(case, folder, socket, closed=closed, as_json=as_json)
