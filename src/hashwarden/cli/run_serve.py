"""What ``hashwarden serve`` does."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import typer

from hashwarden.cli.extras import needs_extra
from hashwarden.errors import UsageError

if TYPE_CHECKING:
    from hashwarden.serve.api.config import ServeConfig
    from hashwarden.serve.api.service import ScoringService

__all__ = ["ServeRequest", "run_list_tokens", "run_new_token", "run_revoke_token", "run_serve"]


@final
@dataclass(frozen=True, slots=True)
class ServeRequest:
    """The flags of ``hashwarden serve``, by their names there."""

    config: Path | None
    socket: str | None
    listen: tuple[str, ...]
    tokens: Path | None
    model: Path | None
    kernel_model: Path | None
    log_format: str | None
    grpc: str | None
    certificate: Path | None
    key: Path | None
    client_ca: Path | None
    jobs: bool | None
    policy: Path | None
    state_dir: Path | None
    check: bool
    schema: bool


def run_serve(request: ServeRequest) -> None:
    """Serve, or answer what was asked instead."""
    with needs_extra("api"):
        if request.schema:
            from hashwarden.serve.api.config import serve_schema

            typer.echo(json.dumps(serve_schema(), indent=1))
        elif request.check:
            _check(_config(request))
        else:
            _run(_config(request))


def run_new_token(path: Path, name: str, roles: Sequence[str], lasts_s: float) -> None:
    """Make a token; it alone goes to standard output."""
    with needs_extra("api"):
        from hashwarden.serve.api.roles import Role
        from hashwarden.serve.api.tokens import new_token

    unknown = [role for role in roles if role not in list(Role)]
    if unknown:
        raise UsageError(f"--role {unknown[0]}", " or ".join(Role), "Choose one.")
    typer.echo(new_token(path, name, [Role(role) for role in roles], lasts_s))
    typer.echo(f"hashwarden: kept as a hash in {path}; a service that runs takes it at SIGHUP", err=True)


def run_list_tokens(path: Path) -> None:
    """One line for each."""
    with needs_extra("api"):
        from hashwarden.serve.api.tokens import TokenFile

    now = time.time()
    for token in TokenFile(path).tokens:
        until = time.strftime("until %Y-%m-%d %H:%M", time.localtime(token.expires_unix_s))
        state = "for ever" if not token.expires_unix_s else "expired" if token.expired(now) else until
        typer.echo(f"{token.name:20} {','.join(token.roles):20} {state}")


def run_revoke_token(path: Path, name: str) -> None:
    """Take it out."""
    with needs_extra("api"):
        from hashwarden.serve.api.tokens import revoke_token

    revoke_token(path, name)
    typer.echo(f"hashwarden: {name} is taken out of {path}; a service that runs forgets it at SIGHUP", err=True)


def _run(config: ServeConfig) -> None:
    from hashwarden.serve.api.service import ScoringService

    service = ScoringService(config)
    service.run(lambda: _greet(service, config))


def _greet(service: ScoringService, config: ServeConfig) -> None:
    """What to try, where a person watches."""
    if sys.stderr.isatty() or config.log.format == "text":
        for line in _lines(service, config):
            typer.echo(line, err=True)


def _lines(service: ScoringService, config: ServeConfig) -> Iterator[str]:
    for place in service.server.places:
        yield f"hashwarden serve: answers on {place.words}"
    if service.grpc is not None:
        yield f"hashwarden serve: answers on {service.grpc.words}"
    first = service.server.places[0]
    if first.local:
        yield f"  try:  curl --unix-socket {first.words} http://localhost/v2/models/job"
    else:
        trust = f"--cacert {config.tls.certificate} " if first.secure else ""
        yield f'  try:  curl {trust}-H "Authorization: Bearer $TOKEN" {first.words}/v2/models/job'
        if config.access.tokens is None and not config.access.certificates:
            yield "  nobody is known there yet: --tokens FILE, see  hashwarden serve token new --help"
    if config.http.listen and first.local and config.access.tokens is None and not config.access.certificates:
        yield "  nobody is known on --listen yet: --tokens FILE, see  hashwarden serve token new --help"
    yield f"  stop: Ctrl-C; tokens and certificates anew: kill -HUP {os.getpid()}"


def _check(config: ServeConfig) -> None:
    from hashwarden.serve.api.service import checked

    for line in checked(config):
        typer.echo(line)


def _config(request: ServeRequest) -> ServeConfig:
    from hashwarden.serve.api.config import load_serve_config

    config = load_serve_config(request.config, _flags(request))
    if sys.stderr.isatty() and "format" not in config.log.model_fields_set:  # a person watches, who said nothing of it
        config = config.model_copy(update={"log": config.log.model_copy(update={"format": "text"})})
    return config


def _flags(request: ServeRequest) -> dict[str, Any]:
    """What the flags say, by the names of the configuration."""
    said = {
        (None, "job_model"): request.model, (None, "kernel_model"): request.kernel_model,
        ("http", "socket"): request.socket, ("http", "listen"): request.listen or None, ("http", "grpc"): request.grpc,
        ("tls", "certificate"): request.certificate, ("tls", "key"): request.key,
        ("tls", "client_ca"): request.client_ca, ("access", "tokens"): request.tokens,
        ("desk", "enabled"): request.jobs, ("desk", "policy"): request.policy,
        ("desk", "state_dir"): request.state_dir, ("log", "format"): request.log_format,
    }  # fmt: skip
    flags: dict[str, Any] = {}
    for (section, key), value in said.items():
        if value is not None:
            (flags if section is None else flags.setdefault(section, {}))[key] = value
    return flags
