"""``hashwarden top``: its flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["top_command"]

SERVICE, PLAIN = "Of a service instead of an agent", "Instead of a screen"


def top_command(  # noqa: PLR0913, PLR0917
    socket: Annotated[
        list[Path] | None,
        typer.Option(help="An agent's socket; several for several nodes. Default: $HASHWARDEN_SOCKET, "
                          "else /run/hashwarden/agent.sock"),
    ] = None,
    url: Annotated[list[str] | None, typer.Option(help="Of a service. Example: --url https://h:8443",
                                                  rich_help_panel=SERVICE)] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the service's token.",
                                                    rich_help_panel=SERVICE)] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Certificates that may have signed the service's.",
                                                 rich_help_panel=SERVICE)] = None,
    every: Annotated[float, typer.Option(min=0.5, max=10.0, help="Seconds between two readings.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.", rich_help_panel=PLAIN)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the pages as JSON and end.", rich_help_panel=PLAIN)
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print a table again and again; so it is on a terminal that is dumb, too.",
                           rich_help_panel=PLAIN)
    ] = False,
    ascii_only: Annotated[
        bool, typer.Option("--ascii", help="No characters but ASCII; so it is where the locale is not UTF-8, too.")
    ] = False,
) -> None:  # fmt: skip
    """Watch what an agent watches: GPUs, jobs, the evidence on each and why, open cases.

    Press h for the keys. Needs the extra 'top'; with --once, --json and --plain it does not.
    Example: hashwarden top --socket /run/hashwarden/agent.sock
    """
    from hashwarden.cli.run_top import Request, run_top

    run_top(
        Request(
            sockets=tuple(socket or ()), urls=tuple(url or ()), token_file=token_file, ca_file=ca_file, every_s=every,
            once=once, as_json=as_json, plain=plain, ascii_only=ascii_only,
        )
    )  # fmt: skip
