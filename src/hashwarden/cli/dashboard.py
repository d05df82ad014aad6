"""``hashwarden dashboard``: its parameters, handed on as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["dashboard_command"]

DRILL = "Drill"


def dashboard_command(  # noqa: PLR0913, PLR0917
    socket: Annotated[
        list[Path] | None, typer.Option(help="Of an agent; again for more nodes. $HASHWARDEN_SOCKET if none.")
    ] = None,
    url: Annotated[
        list[str] | None, typer.Option(help="Of a service. Example: --url https://scorer.example.org:8443")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="Token for the services.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Certificates that the services' are signed by.")] = None,
    listen: Annotated[str, typer.Option(help="Address of the pages; the loopback only.")] = "127.0.0.1:9476",
    trace: Annotated[list[Path] | None, typer.Option(help="To try policies on; again for more.")] = None,
    policy: Annotated[Path | None, typer.Option(help="What the page for policies begins with.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the link, open nothing.")] = False,
    replay: Annotated[
        Path | None, typer.Option(help="Show an agent of its own that watches this trace.", rich_help_panel=DRILL)
    ] = None,
    speed: Annotated[float, typer.Option(min=1, max=1000, help="So many times as fast.", rich_help_panel=DRILL)] = 60.0,
) -> None:
    """Show jobs, evidence and cases in a browser, on this machine alone.

    Asks the agent as you: what you may see and approve is decided there. The printed link is good once. Example:
    hashwarden dashboard --replay data/job/demo.parquet
    """
    from hashwarden.cli.run_dashboard import Request, run_dashboard

    run_dashboard(
        Request(
            sockets=tuple(socket or ()), urls=tuple(url or ()), token_file=token_file, ca_file=ca_file, listen=listen,
            traces=tuple(trace or ()), policy=policy, browser=not no_browser, replay=replay, speed=speed,
        )
    )  # fmt: skip
