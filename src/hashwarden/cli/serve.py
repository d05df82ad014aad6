"""``hashwarden serve`` and its tokens: their parameters, handed on as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashwarden.cli.quantities import duration
from hashwarden.cli.text import EXIT_CODES

__all__ = ["TOKENS", "serve_app"]

ASK, SECURE, DESK = "Instead of serving", "Beyond this machine", "Jobs"
TOKENS = Path("/var/lib/hashwarden-serve/tokens.json")

serve_app = typer.Typer(invoke_without_command=True)
token_app = typer.Typer(help="Tokens by which programs are recognised.", no_args_is_help=True)
serve_app.add_typer(token_app, name="token")

Tokens = Annotated[Path, typer.Option("--tokens", help="File of tokens. The service reads it again at SIGHUP.")]


Config = Annotated[Path | None, typer.Option(help="TOML file; /etc/hashwarden/serve.toml if there is one.")]
Socket = Annotated[str | None, typer.Option(help="Path of the Unix socket; '' for none.")]
Listen = Annotated[
    list[str] | None, typer.Option(help="HOST:PORT. May be given again. Example: --listen 127.0.0.1:8000")
]
Known = Annotated[Path | None, typer.Option(help="File of tokens, see: hashwarden serve token")]
Grpc = Annotated[str | None, typer.Option(help="HOST:PORT of the inference protocol over gRPC.")]
Certificate = Annotated[Path | None, typer.Option(help="PEM file: answer --listen with TLS.", rich_help_panel=SECURE)]
Key = Annotated[Path | None, typer.Option(help="PEM file of its key.", rich_help_panel=SECURE)]
ClientCa = Annotated[
    Path | None, typer.Option(help="PEM file: who signs clients' certificates.", rich_help_panel=SECURE)
]
Jobs = Annotated[
    bool | None, typer.Option("--jobs/--no-jobs", help="Whether samples of jobs can be pushed.", rich_help_panel=DESK)
]
Policy = Annotated[Path | None, typer.Option(help="Policy file for them.", rich_help_panel=DESK)]
StateDir = Annotated[Path | None, typer.Option(help="Their cases and audit log.", rich_help_panel=DESK)]
Check = Annotated[
    bool, typer.Option("--check", help="Read the configuration, test the models, and end.", rich_help_panel=ASK)
]
Schema = Annotated[
    bool, typer.Option("--schema", help="Print the JSON schema of the configuration.", rich_help_panel=ASK)
]


@serve_app.callback(epilog=EXIT_CODES)
def serve_command(  # noqa: PLR0913, PLR0917
    context: typer.Context,
    config: Config = None,
    socket: Socket = None,
    listen: Listen = None,
    tokens: Known = None,
    model: Annotated[Path | None, typer.Option(help="Another job model.")] = None,
    kernel_model: Annotated[Path | None, typer.Option(help="Another kernel model.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json, text.")] = None,
    grpc: Grpc = None,
    certificate: Certificate = None,
    key: Key = None,
    client_ca: ClientCa = None,
    jobs: Jobs = None,
    policy: Policy = None,
    state_dir: StateDir = None,
    check: Check = False,
    schema: Schema = False,
) -> None:
    """Score samples for other programs: the Open Inference Protocol and a job API, over HTTP.

    Answers on a Unix socket, where the kernel says who asks; on --listen to those who have a token or a certificate.
    Flags win over the environment (HASHWARDEN_SERVE__SECTION__KEY), that over the file. SIGHUP reads tokens and
    certificates again. Needs the extra 'api'. Example: hashwarden serve --socket /tmp/hw.sock --no-jobs
    """
    if context.invoked_subcommand is not None:
        return
    from hashwarden.cli.run_serve import ServeRequest, run_serve

    run_serve(
        ServeRequest(
            config=config, socket=socket, listen=tuple(listen or ()), tokens=tokens, model=model,
            kernel_model=kernel_model, log_format=log_format, grpc=grpc, certificate=certificate, key=key,
            client_ca=client_ca, jobs=jobs, policy=policy, state_dir=state_dir, check=check, schema=schema,
        )
    )  # fmt: skip


@token_app.callback()
def _group() -> None:
    """Tokens by which programs are recognised."""


@token_app.command("new", epilog=EXIT_CODES)
def new_command(
    name: Annotated[str, typer.Argument(help="Who will have it; stands in logs.")],
    role: Annotated[list[str], typer.Option(help="read, push, approve, admin. May be given again.")],
    tokens: Tokens = TOKENS,
    expires: Annotated[
        float | None, typer.Option(parser=duration, help="After so long it is worth nothing. Example: --expires 2160h")
    ] = None,
) -> None:
    """Make a token and print it, this once: only its hash is kept.

    Example: hashwarden serve token new slurm --role push --role read --expires 2160h
    """
    from hashwarden.cli.run_serve import run_new_token

    run_new_token(tokens, name, role, expires or 0.0)


@token_app.command("list", epilog=EXIT_CODES)
def list_command(tokens: Tokens = TOKENS) -> None:
    """Name the tokens, their roles, and until when they hold.

    Example: hashwarden serve token list
    """
    from hashwarden.cli.run_serve import run_list_tokens

    run_list_tokens(tokens)


@token_app.command("revoke", epilog=EXIT_CODES)
def revoke_command(name: Annotated[str, typer.Argument(help="As in the list.")], tokens: Tokens = TOKENS) -> None:
    """Take a token out of the file; then send the service SIGHUP.

    Example: hashwarden serve token revoke slurm
    """
    from hashwarden.cli.run_serve import run_revoke_token

    run_revoke_token(tokens, name)
