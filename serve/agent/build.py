"""Puts the agent together, step by step: what each step makes, and in which order it is closed again."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hashwarden.errors import CheckError, HashwardenError, ModelError, UsageError
from hashwarden.serve.agent.acting import Acting
from hashwarden.serve.agent.clocks import Clocks
from hashwarden.serve.agent.config import Config
from hashwarden.serve.agent.coverage import Coverage
from hashwarden.serve.agent.folder import StateFolder
from hashwarden.serve.agent.judge import Judge
from hashwarden.serve.agent.logs import said
from hashwarden.serve.agent.notify import watchdog_s
from hashwarden.serve.agent.steps import Steps
from hashwarden.serve.agent.window import RawWindow
from hashwarden.serve.audit.anchor import Anchor, FileAnchor, SyslogAnchor
from hashwarden.serve.audit.key_files import current_signer
from hashwarden.serve.audit.log import AuditLog, Limits
from hashwarden.serve.audit.retention import Retention
from hashwarden.serve.calibrated import calibration_of, novelty_limit_of
from hashwarden.serve.job_scorer import JobScorer, shipped_job_model
from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.registry import providers
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.launch_board import LaunchBoard
from hashwarden.serve.model_store import ModelStore, default_store
from hashwarden.serve.policy.cases import CaseStore
from hashwarden.serve.policy.engine import Engine
from hashwarden.serve.policy.load import load_policy, read_policy
from hashwarden.serve.policy.power import PowerThrottle
from hashwarden.serve.policy.schema import Policy
from hashwarden.serve.schedulers.options import SchedulerOptions
from hashwarden.serve.schedulers.queue import ActionQueue
from hashwarden.serve.schedulers.registry import find_scheduler
from hashwarden.serve.schedulers.scheduler import Scheduler, SchedulerAway
from hashwarden.serve.sources.registry import makers
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Options
from hashwarden.serve.watch import JobWatch

__all__ = ["Parts", "build", "data_sha256", "digest_of", "model_in_service", "outdated", "policy_of", "tested"]

_OPEN_S: Final = 30.0
_MIB: Final = 1 << 20


@final
@dataclass(slots=True)
class Parts:
    """What the agent is made of.

    Attributes
    ----------
    self_test : str
        What the self-test found, empty if all is well.
    """

    config: Config
    clocks: Clocks
    steps: Steps
    folder: StateFolder
    audit: AuditLog
    policy: Policy
    scorer: JobScorer
    self_test: str
    engine: Engine
    queue: ActionQueue
    acting: Acting
    table: JobTable
    board: LaunchBoard
    runner: Runner
    window: RawWindow
    coverage: Coverage
    judge: Judge

    @property
    def node(self) -> str:
        """What this node is called in records."""
        return self.config.schedulers.node or platform.node()


def build(config: Config, clocks: Clocks | None = None, inbox: object = None) -> Parts:
    """Take all steps.

    Parameters
    ----------
    config : Config
    clocks : Clocks, optional
        The machine's, or a drill's, if None.
    inbox : Inbox, optional
        What the source and the provider ``pushed`` read (`hashwarden.serve.inbox.inbox`).

    Raises
    ------
    HashwardenError
        What the first step that failed said; a failed self-test is no failure but blindness.
    """
    if 0 < watchdog_s() < config.period_s:
        raise UsageError(
            f"period_s = {config.period_s:g} with WatchdogSec={2 * watchdog_s():g}", "two ticks within that time",
            "Change one of them: systemd would end the agent again and again.",
        )  # fmt: skip
    steps, clocks = Steps(), clocks or _clocks(config)
    runners: list[Runner] = []
    folder = steps.run("lock the state folder", lambda: StateFolder(config.state_dir), StateFolder.close)
    audit = steps.run("open the audit log", lambda: _audit(config, folder, clocks), AuditLog.close)
    policy = steps.run("load the policy", lambda: policy_of(config.policy))
    scorer = steps.run("load the model", lambda: JobScorer(config.model or model_in_service()))
    self_test = steps.run("self-test on known answers", lambda: tested(scorer))
    table = steps.run("know jobs", lambda: _table(config, clocks, runners, inbox), JobTable.close)
    cases = steps.run("open the cases", lambda: CaseStore(folder.part("cases")))
    engine = Engine(policy, cases, audit, {"model": scorer.identity["sha256"]})
    throttle = PowerThrottle(folder.part("power"), table.jobs_on)
    steps.run("put back power limits", lambda: _recover(throttle, engine))
    queue = steps.run("open the queue of actions",
                      lambda: ActionQueue(folder.part("queue"), {**_schedulers(config, table), "gpu": throttle}, audit,
                                          clock=clocks.unix, forbids=engine.forbids), ActionQueue.close)  # fmt: skip
    acting = steps.run("ask schedulers", lambda: Acting(queue, clocks.unix), Acting.close, alongside=True)
    board = LaunchBoard()
    options, known = _options(config, clocks, table, board, inbox)
    runner = steps.run("make the sources", lambda: Runner(makers(config.sources.names, options)), Runner.close,
                       alongside=True)  # fmt: skip
    runners.append(runner)
    devices = steps.run("open the sources", lambda: runner.open(_OPEN_S))
    known.update({device.gpu: device.architecture for device in devices})
    window = RawWindow(60 * config.evidence.minutes, config.evidence.memory_mib * _MIB)
    coverage = Coverage(clocks.unix())
    judge = Judge(_watch(scorer, config.alpha), window, coverage)
    return Parts(config, clocks, steps, folder, audit, policy, scorer, self_test, engine, queue, acting, table, board,
                 runner, window, coverage, judge)  # fmt: skip


def policy_of(path: Path | None) -> Policy:
    """The policy of a file that nobody else can write to; without one, what dry-runs nothing but watching."""
    return read_policy(b"", "the built-in policy") if path is None else load_policy(path, own=True)


def tested(scorer: JobScorer) -> str:
    """What the self-test says; empty if all is well."""
    try:
        scorer.self_test()
    except (CheckError, ModelError) as error:
        return str(error)
    return ""


def outdated(config: Config, scorer: JobScorer) -> str:
    """Why the model that scores is not the one that a new start would take, in words; empty if it is that one.

    Evidence is of one model: the agent goes on with it, and takes another when it is started anew.
    """
    try:
        path = config.model or model_in_service() or shipped_job_model()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, HashwardenError) as error:
        return f"the model in service cannot be read: {error}"
    same = digest == scorer.identity["sha256"]
    return "" if same else f"{digest[:12]} is in service since; it is taken at the next start"


def digest_of(config: Config) -> str:
    """SHA-256 of the configuration."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def data_sha256(scorer: JobScorer) -> str:
    """One SHA-256 over those of all files that the model learned from; empty if its card names none."""
    digests = sorted(scorer.metadata.training_data.values())
    return hashlib.sha256("\n".join(digests).encode()).hexdigest() if digests else ""


def _clocks(config: Config) -> Clocks:
    if config.sources.speed != 1.0 and config.sources.names != ("replay",):
        raise UsageError(
            f"sources.speed = {config.sources.speed:g} with {', '.join(config.sources.names)}",
            "the source replay alone: live counters cannot be made to run faster", "Leave speed out.",
        )  # fmt: skip
    return Clocks(config.sources.speed)


def _audit(config: Config, folder: StateFolder, clocks: Clocks) -> AuditLog:
    section = config.audit
    anchors: list[Anchor] = [FileAnchor(section.anchor_file)] if section.anchor_file else []
    anchors += [SyslogAnchor()] if section.anchor_syslog else []
    signer = current_signer(folder.part("audit"), section.key or folder.path / "audit.pem")
    limits = Limits(rotate_bytes=section.rotate_mib * _MIB)
    retention = Retention(section.keep_days, section.disk_mib * _MIB, section.least_days)
    return AuditLog(
        folder.part("audit"), signer, anchors=anchors, node=platform.node(), limits=limits, clock=clocks.unix,
        retention=retention,
    )  # fmt: skip


def model_in_service() -> Path | None:
    """The promoted model; None for the shipped one."""
    return ModelStore(default_store()).current()


def _table(config: Config, clocks: Clocks, runners: Sequence[Runner], inbox: object) -> JobTable:
    """The table of jobs; the runner of the sources, whose labels it may use, is made after it."""
    options = JobOptions(
        node=config.schedulers.node, gpustat=config.jobs.gpustat, pod_resources=config.jobs.pod_resources,
        timeout_s=config.schedulers.timeout_s, gpustat_uids=frozenset(config.jobs.gpustat_uids),
        every_s=config.jobs.every_s, soonest_s=config.jobs.soonest_s, driver=config.jobs.driver,
        kubeconfig=config.schedulers.kubeconfig, labels=lambda: runners[0].labels if runners else {},
        inbox=inbox,
    )  # fmt: skip
    return JobTable(providers(config.jobs.providers, options), clock=clocks.monotonic)


def _schedulers(config: Config, table: JobTable) -> dict[str, Scheduler]:
    section = config.schedulers
    options = SchedulerOptions(
        node=section.node, timeout_s=section.timeout_s, mail_command=section.mail_command,
        kubeconfig=section.kubeconfig, grace_s=section.grace_s, processes=table.processes,
    )  # fmt: skip
    chosen = [find_scheduler(name) for name in section.names]
    return {registration.kind: registration.make(options) for registration in chosen}


def _recover(throttle: PowerThrottle, engine: Engine) -> None:
    """Put back what an agent that was killed left lowered; a driver that is away is asked again with the release."""
    try:
        for words in throttle.recover(engine.throttled()):
            said("warning", "a power limit was put back", detail=words)
    except (SchedulerAway, HashwardenError) as error:
        said("error", "power limits could not be put back", error=str(error))


def _options(
    config: Config, clocks: Clocks, table: JobTable, board: LaunchBoard, inbox: object
) -> tuple[Options, dict[str, int]]:
    """What the sources are told, and where to put the architectures of the devices once they are known."""
    section = config.sources
    known: dict[str, int] = {}
    options = Options(
        gpus=section.gpus, period_s=config.period_s, own_pids=table.own_pids, owner=table.owner,
        owner_of=table.owner_of, watched=table.watches, board=board, trace=section.trace,
        burst_s=section.burst_s, every_s=section.every_s,
        dcgm_url=section.dcgm_url, prometheus_url=section.prometheus_url, clock=clocks.monotonic, unix=clocks.unix,
        code_cpu_ratio=section.code_cpu_ratio, architecture=lambda gpu: known.get(gpu, 0),
        inbox=inbox,
    )  # fmt: skip
    return options, known


def _watch(scorer: JobScorer, alpha: float) -> JobWatch:
    return JobWatch(scorer, calibration_of(scorer), alpha, novelty_limit_of(scorer), scorer.identity)
