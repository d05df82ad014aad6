"""``hashwarden guard``: its parameters, handed on as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashwarden.cli.quantities import duration
from hashwarden.errors import UsageError

__all__ = ["guard_command"]

DRILL = "Drill"


def guard_command(  # noqa: PLR0913, PLR0917
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.", metavar="COMMAND")],
    user: Annotated[str, typer.Option(help="Run it as this user, who then cannot kill the guard. Needs root.")] = "",
    source: Annotated[list[str] | None, typer.Option(help="nvml, launches, code, …; nvml if none.")] = None,
    gpu: Annotated[list[str] | None, typer.Option(help="Number or UUID; all if none. Example: --gpu 0")] = None,
    on: Annotated[str, typer.Option(help="State that ends it: confirmed, suspect.")] = "confirmed",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell and keep evidence, but let it run.")] = False,
    blind: Annotated[
        float | None, typer.Option(parser=duration, help="End it when it used a GPU unseen for so long. Example: 60s")
    ] = None,
    leave: Annotated[bool, typer.Option("--leave", help="Let run, unwatched, what it leaves behind.")] = False,
    grace: Annotated[
        float, typer.Option(parser=duration, help="From SIGTERM to SIGKILL. Example: --grace 30s")
    ] = "10s",  # type: ignore[assignment]
    evidence: Annotated[Path, typer.Option(help="Folder for evidence.")] = Path("hashwarden-evidence"),
    period: Annotated[float, typer.Option(help="Seconds between samples.", min=0.1, max=60)] = 1.0,
    alpha: Annotated[float, typer.Option(help="Share of honest commands that may ever be confirmed.")] = 1e-3,
    model: Annotated[Path | None, typer.Option(help="Another job model.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Speak only if the command was ended.")] = False,
    replay: Annotated[
        Path | None, typer.Option(help="Take the counters from this trace.", rich_help_panel=DRILL)
    ] = None,
    speed: Annotated[float, typer.Option(help="Play it so many times as fast.", rich_help_panel=DRILL)] = 1.0,
) -> None:
    """Run a command under watch, and end it on a confirmed verdict, with evidence.

    Exits with the command's own code; with 90 if a verdict ended it, with 91 if it could not be seen and --blind ended
    it. Needs the extra 'node'. Example: hashwarden guard --user agent -- python tool_call.py
    """
    from hashwarden.cli.run_guard import run_guard
    from hashwarden.serve.guard.order import Order

    if on not in ("confirmed", "suspect"):
        raise UsageError(f"--on {on}", "confirmed or suspect", "Choose one.")
    sources = tuple(source or (("replay",) if replay else ("nvml",)))
    raise typer.Exit(
        run_guard(
            Order(
                command=tuple(command), user=user, sources=sources, gpus=tuple(gpu or ()), trace=replay, speed=speed,
                on="suspect" if on == "suspect" else "confirmed", dry_run=dry_run, blind_s=blind or 0.0, leave=leave,
                grace_s=grace, evidence=evidence, period_s=period, alpha=alpha, model=model,
            ),
            quiet=quiet,
        )
    )  # fmt: skip
