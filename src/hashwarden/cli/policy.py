"""``hashwarden policy``: check a policy, print its schema, rehearse it on recorded traces."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hashwarden.cli.text import EXIT_CODES
from hashwarden.errors import UsageError

__all__ = ["Form", "policy_app"]

policy_app = typer.Typer(help="The policy: check, schema, test on recorded traces.", no_args_is_help=True)

JOB = "What the jobs are taken for"


class Form(StrEnum):
    """Forms of the report."""

    TABLE = "table"
    JSON = "json"


@policy_app.callback()
def _group() -> None:
    """The policy: check, schema, test on recorded traces."""


@policy_app.command("check", epilog=EXIT_CODES)
def check_policy(
    policy: Annotated[Path, typer.Argument(help="The policy.", show_default=False)],
    strict: Annotated[bool, typer.Option("--strict", help="Code 1 if there is anything to remark.")] = False,
) -> None:
    """Read a policy and say what it means; refuse what cannot be meant, with its line.

    Example: hashwarden policy check /etc/hashwarden/policy.toml
    """
    from hashwarden.cli.run_policy import run_check

    raise typer.Exit(run_check(policy, strict=strict))


@policy_app.command("schema")
def print_schema() -> None:
    """Print the JSON schema of policies.

    Example: hashwarden policy schema > policy.schema.json
    """
    from hashwarden.cli.run_policy import run_schema

    run_schema()


@policy_app.command("test", epilog=EXIT_CODES)
def rehearse_policy(  # noqa: PLR0913, PLR0917
    policy: Annotated[Path, typer.Argument(help="The policy.", show_default=False)],
    traces: Annotated[list[Path], typer.Argument(help="Traces.", show_default=False, metavar="TRACE...")],
    speed: Annotated[
        float, typer.Option(help="Let the policy's clock run so many times as fast as the traces. Example: --speed 10")
    ] = 1.0,
    alpha: Annotated[
        float, typer.Option(help="Share of honest jobs that may ever be confirmed. Example: --alpha 0.01")
    ] = 1e-3,
    approve: Annotated[bool, typer.Option("--approve", help="As if a person approved at once.")] = False,
    at: Annotated[
        str, typer.Option(help="When the runs begin, for exemptions; now if not given. Example: --at 2026-05-01T00:00Z")
    ] = "",
    kind: Annotated[str, typer.Option(help="slurm, kubernetes, process.", rich_help_panel=JOB)] = "slurm",
    user: Annotated[
        str, typer.Option(help="One for each run if not given. Example: --user alice", rich_help_panel=JOB)
    ] = "",
    account: Annotated[str, typer.Option(rich_help_panel=JOB)] = "",
    partition: Annotated[str, typer.Option(rich_help_panel=JOB)] = "",
    qos: Annotated[str, typer.Option(rich_help_panel=JOB)] = "",
    namespace: Annotated[str, typer.Option(rich_help_panel=JOB)] = "",
    model: Annotated[Path | None, typer.Option(help="The ONNX file; the shipped one if none.")] = None,
    form: Annotated[Form, typer.Option("--format", help="table, json.")] = Form.TABLE,
    strict: Annotated[
        bool, typer.Option("--strict", help="Code 1 if a run that is labelled, and not as mining, would be acted on.")
    ] = False,
) -> None:
    """Say what a policy would have done to recorded runs, and when, by the agent's own path. Nothing is asked for.

    A run's own attributes stand in its information, parameters.job. Example: hashwarden policy test policy.toml
    trace.parquet --speed 10
    """
    if not 0 < alpha < 1:
        raise UsageError(f"--alpha {alpha}", "a share above 0 and under 1", "0.001 is one honest job in 1,000.")
    if not 0 < speed <= 1000:
        raise UsageError(f"--speed {speed}", "above 0, at most 1000", "10 lets a ladder of 3 hours end in 18 minutes.")
    if kind not in {"slurm", "kubernetes", "process"}:
        raise UsageError(f"--kind {kind}", "slurm, kubernetes or process", "Choose one.")
    from hashwarden.cli.run_policy import Order, run_test

    given = {"kind": kind, "user": user, "account": account, "partition": partition, "qos": qos, "namespace": namespace}
    attributes = {name: value for name, value in given.items() if value}
    order = Order(policy, tuple(traces), speed, alpha, approve, at, attributes, model, form is Form.JSON, strict)
    raise typer.Exit(run_test(order))
