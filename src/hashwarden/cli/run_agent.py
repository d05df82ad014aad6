"""What ``hashwarden agent`` does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import typer

from hashwarden.cli.extras import needs_extra

__all__ = ["Request", "run_agent"]


@final
@dataclass(frozen=True, slots=True)
class Request:
    """The flags of ``hashwarden agent``, by their names there."""

    config: Path | None
    policy: Path | None
    sources: tuple[str, ...]
    state_dir: Path | None
    run_dir: Path | None
    listen: str | None
    log_format: str | None
    check: bool
    schema: bool
    show: bool
    replay: Path | None
    speed: float | None


def run_agent(request: Request) -> None:
    """Run, or answer what was asked instead."""
    with needs_extra("node"):
        if request.show:
            typer.echo("\n".join(_list()))
        elif request.schema:
            from hashwarden.serve.agent.config import config_schema

            typer.echo(json.dumps(config_schema(), indent=1))
        elif request.check:
            _check(request)
        else:
            _run(request)


def _run(request: Request) -> None:
    from hashwarden.serve.agent.config import load_config
    from hashwarden.serve.agent.service import Service

    service = Service(load_config(request.config, _flags(request)))
    service.heed_signals()
    service.run()


def _check(request: Request) -> None:
    from hashwarden.serve.agent.build import model_in_service, policy_of
    from hashwarden.serve.agent.config import load_config
    from hashwarden.serve.job_scorer import JobScorer

    config = load_config(request.config, _flags(request))
    policy = policy_of(config.policy)
    scorer = JobScorer(config.model or model_in_service())
    scorer.self_test()
    typer.echo(f"configuration: good; sources {', '.join(config.sources.names)}")
    typer.echo(f"policy: good; {policy.mode}, {len(policy.rules)} rules, sha256 {policy.sha256}")
    typer.echo(f"model: {scorer.identity['name']} {scorer.identity['version']} gives its known answers")


def _list() -> Iterator[str]:
    from hashwarden.serve.jobs.registry import PROVIDERS
    from hashwarden.serve.schedulers.registry import SCHEDULERS
    from hashwarden.serve.sources.registry import SOURCES

    for title, rows in (("sources", SOURCES), ("providers of jobs", PROVIDERS), ("schedulers", SCHEDULERS)):
        yield f"{title}:"
        for row in rows:
            needs = f" (needs {row.needs})" if row.needs else ""
            yield f"  {row.name:12} {row.help}{needs}"


def _flags(request: Request) -> dict[str, Any]:
    """What the flags say, by the names of the configuration."""
    flags: dict[str, Any] = {"sources": {}, "http": {}, "log": {}}
    for name in ("policy", "state_dir", "run_dir"):
        if getattr(request, name) is not None:
            flags[name] = getattr(request, name)
    if request.sources:
        flags["sources"]["names"] = request.sources
    if request.replay is not None:
        flags["sources"] |= {"names": ("replay",), "trace": request.replay}
        flags["jobs"] = {"providers": ("drill",)}
    if request.speed is not None:
        flags["sources"]["speed"] = request.speed
    if request.listen is not None:
        flags["http"]["listen"] = request.listen
    if request.log_format is not None:
        flags["log"]["format"] = request.log_format
    return flags
