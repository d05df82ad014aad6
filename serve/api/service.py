"""Puts the service together, step by step: models, desk, application, server."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

from hashwarden.errors import CheckError, UsageError
from hashwarden.serve.agent.build import model_in_service
from hashwarden.serve.agent.logs import set_up
from hashwarden.serve.agent.steps import Steps
from hashwarden.serve.api.access import Keeper
from hashwarden.serve.api.app import create_app
from hashwarden.serve.api.asked import Limits
from hashwarden.serve.api.config import LimitsSection, ServeConfig
from hashwarden.serve.api.desk import Desk, desk_config
from hashwarden.serve.api.engine import Engine
from hashwarden.serve.api.grpc_beside import GrpcBeside
from hashwarden.serve.api.inference import inference_router
from hashwarden.serve.api.jobs import jobs_router
from hashwarden.serve.api.listeners import tls_of
from hashwarden.serve.api.memory import keep_freed
from hashwarden.serve.api.meters import Meters
from hashwarden.serve.api.models import load_models
from hashwarden.serve.api.pages_beside import PagesBeside
from hashwarden.serve.api.server import ApiServer

__all__ = ["ScoringService", "checked", "engine_limits", "scored_by"]

_MIB = 1 << 20


@final
class ScoringService:
    """One service, ready to run.

    Parameters
    ----------
    config : ServeConfig

    Attributes
    ----------
    engine : Engine
    desk : Desk or None
    grpc : GrpcBeside or None
    server : ApiServer

    Raises
    ------
    HashwardenError
        What the first start-up step that failed said.
    """

    def __init__(self, config: ServeConfig) -> None:
        set_up(config.log)
        keep_freed()
        self.steps = Steps()
        try:
            self._build(config)
        except BaseException:
            self.steps.close()
            raise

    def _build(self, config: ServeConfig) -> None:
        steps, meters = self.steps, Meters()
        keeper = steps.run("read the tokens", lambda: Keeper(config.access))
        job = config.job_model or model_in_service()
        models = steps.run("load the models", lambda: load_models(job, config.kernel_model))
        self.engine = Engine(models, engine_limits(config.limits))
        meters.follow(lambda: scored_by(self.engine))
        self.desk = self._desk(config)
        jobs = None if self.desk is None else jobs_router(self.desk.view, self.desk.inbox, config.limits.rows)
        pages = None if jobs is None else PagesBeside(jobs).router
        app = create_app(config, inference_router(self.engine), jobs, pages=pages, ready=self._ready, meters=meters,
                         keeper=keeper)  # fmt: skip
        self.grpc = self._grpc(config, keeper)
        self.server = steps.run("bind", lambda: ApiServer(config, app, keeper, meters, self._reloaded))

    def run(self, started: Callable[[], None] | None = None) -> None:
        """Answer until a signal ends it."""
        gc.collect()
        gc.freeze()  # what is loaded now stays: no need to look through it again while requests wait
        try:
            self.server.run(started)
        finally:
            gc.unfreeze()
            self.steps.close()

    def _desk(self, config: ServeConfig) -> Desk | None:
        if not config.desk.enabled:
            return None
        section = config.desk
        home = section.cluster if section.schedulers else None
        agent = desk_config(section, config.job_model, config.log)
        made = self.steps.run("open the desk", lambda: Desk(agent, home=home), Desk.stop)
        made.start()
        return made

    def _grpc(self, config: ServeConfig, keeper: Keeper) -> GrpcBeside | None:
        if not config.http.grpc:
            return None
        made = self.steps.run("bind gRPC", lambda: GrpcBeside(config, self.engine, keeper), GrpcBeside.stop)
        made.start()
        return made

    def _reloaded(self) -> None:
        if self.grpc is not None:
            self.grpc.reload()
        if self.desk is not None:
            self.desk.reload()

    def _ready(self) -> Mapping[str, Any]:
        blind = [{"kind": "model", "subject": each.name, "detail": each.fault}
                 for each in self.engine.models.values() if each.fault]  # fmt: skip
        desk: Mapping[str, Any] = {"ready": True, "blind": []} if self.desk is None else self.desk.ready()
        return {"ready": not blind and desk["ready"], "blind": [*blind, *desk["blind"]]}


def engine_limits(limits: LimitsSection) -> Limits:
    """The bounds of one inference request."""
    if limits.json_mib > limits.body_mib:
        raise UsageError(f"limits.json_mib = {limits.json_mib}", f"at most limits.body_mib = {limits.body_mib}",
                         "JSON is a part of the body.")  # fmt: skip
    return Limits(rows=limits.rows, body_bytes=limits.body_mib * _MIB, json_bytes=limits.json_mib * _MIB,
                  threads=limits.threads, waiting=limits.in_flight + limits.waiting)  # fmt: skip


def scored_by(engine: Engine) -> dict[str, int]:
    """Samples that each model scored since the start."""
    told = engine.statistics([*engine.models.values()])["model_stats"]
    return {each["name"]: each["inference_count"] for each in told}


def checked(config: ServeConfig) -> Iterator[str]:
    """Read and test everything that a start would need; gives what to say of each.

    Raises
    ------
    HashwardenError
        What is wrong first.
    """
    tls_of(config.tls)
    engine_limits(config.limits)
    yield f"configuration: good; TLS {'on' if config.tls.certificate else 'off'}"
    yield f"access: good; {Keeper(config.access).reload()} tokens, {len(config.access.users)} users and groups"
    for model in load_models(config.job_model or model_in_service(), config.kernel_model):
        if model.fault:
            raise CheckError(model.fault, "known answers", "Install hashwarden again.", where=f"model {model.name}")
        yield f"model: {model.name} {model.identity['version']} gives its known answers"
