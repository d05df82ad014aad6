"""``hashwarden agent``: its parameters, handed on as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["agent_command"]

ASK, DRILL = "Instead of running", "Drill"


def agent_command(  # noqa: PLR0913, PLR0917
    config: Annotated[Path | None, typer.Option(help="TOML file; /etc/hashwarden/agent.toml if there is one.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Policy file. Without one nothing is done but told.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Where samples come from. Example: --source nvml")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="Cases, queue, audit log, evidence.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Folder of the socket.")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT of /metrics and health.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json, text.")] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Read configuration and policy, test the model, and end.", rich_help_panel=ASK),
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of the configuration.", rich_help_panel=ASK)
    ] = False,
    show: Annotated[
        bool, typer.Option("--list", help="Name sources, providers of jobs and schedulers.", rich_help_panel=ASK)
    ] = False,
    replay: Annotated[
        Path | None, typer.Option(help="Watch this trace instead of GPUs.", rich_help_panel=DRILL)
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Let time run so many times as fast.", rich_help_panel=DRILL)
    ] = None,
) -> None:
    """Watch every job of this GPU node, and do what the policy says.

    Flags win over the environment (HASHWARDEN_AGENT__SECTION__KEY), that over the file. SIGHUP reads the policy anew.
    Needs the extra 'node'. Example: hashwarden agent --config /etc/hashwarden/agent.toml
    """
    from hashwarden.cli.run_agent import Request, run_agent

    run_agent(
        Request(
            config=config, policy=policy, sources=tuple(source or ()), state_dir=state_dir, run_dir=run_dir,
            listen=listen, log_format=log_format, check=check, schema=schema, show=show, replay=replay, speed=speed,
        )
    )  # fmt: skip
