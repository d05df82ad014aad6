"""The agent's configuration: flags over environment over file over defaults; unknown keys are refused.

The environment spells a key ``HASHWARDEN_AGENT__SECTION__KEY``, for example ``HASHWARDEN_AGENT__LOG__LEVEL=debug``;
lists and tables are JSON there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, final

from pydantic import Field

from hashwarden.serve.settings import Section, load_settings

__all__ = ["CONFIG_PATH", "Config", "LogSection", "TelemetrySection", "config_schema", "load_config"]

CONFIG_PATH: Final = Path("/etc/hashwarden/agent.toml")
_PREFIX: Final = "HASHWARDEN_AGENT__"


@final
class SourcesSection(Section):
    """Where samples come from."""

    names: tuple[str, ...] = Field(default=("nvml",), description="Sources to read, see `hashwarden agent --list`.")
    gpus: tuple[str, ...] = Field(default=(), description="Numbers or UUIDs of GPUs; all if empty.")
    burst_s: float = Field(default=1.0, gt=0, le=4, description="How long sources with a duty cycle look.")
    every_s: float = Field(default=30.0, ge=5, le=600, description="How often they look.")
    code_cpu_ratio: float = Field(
        default=0.005, gt=0, le=1, description="For the source code: share of a core that reading code may take."
    )
    dcgm_url: str = Field(default="http://127.0.0.1:9400/metrics", description="Of dcgm-exporter.")
    prometheus_url: str = Field(default="", description="Of a Prometheus server to ask instead.")
    trace: Path | None = Field(default=None, description="For the source replay: the trace to play.")
    speed: float = Field(
        default=1.0, ge=1, le=1000, description="For drills with the source replay alone: about so many times as fast."
    )


@final
class JobsSection(Section):
    """How GPUs and processes become jobs."""

    providers: tuple[str, ...] = Field(
        default=("sessions",), description="Who knows jobs: slurm, kubernetes, sessions."
    )
    gpustat: Path = Field(default=Path("/run/gpustat"), description="Files that the Slurm prolog writes.")
    gpustat_uids: tuple[int, ...] = Field(default=(0,), description="Users whose files there are believed.")
    every_s: float = Field(default=60.0, gt=0, le=3600, description="How often Slurm is asked though nothing is new.")
    soonest_s: float = Field(default=5.0, gt=0, le=600, description="Shortest time between two questions.")
    driver: Path = Field(default=Path("/proc/driver/nvidia/gpus"), description="Where the driver tells minor numbers.")
    pod_resources: Path = Field(
        default=Path("/var/lib/kubelet/pod-resources"), description="Folder of kubelet's socket."
    )


@final
class SchedulersSection(Section):
    """Who is asked to act."""

    names: tuple[str, ...] = Field(default=(), description="slurm, kubernetes, process; none if empty.")
    node: str = Field(default="", description="Name of this node in the scheduler; the host name if empty.")
    timeout_s: float = Field(default=10.0, gt=0, le=120)
    grace_s: float = Field(default=10.0, ge=0, le=600, description="Between asking to end and ending by force.")
    mail_command: tuple[str, ...] = Field(
        default=(), description="Program and arguments; {user} and {job} are replaced."
    )
    kubeconfig: Path | None = None
    open_cases: Path | None = Field(
        default=None, description="File for job_submit.lua: users with a confirmed case; none if not given."
    )
    open_cases_do: str = Field(
        default="hold", pattern=r"^(refuse|hold|route:[A-Za-z0-9_.-]{1,64})$",
        description="What becomes of their new jobs: refuse, hold, route:PARTITION.",
    )  # fmt: skip


@final
class HttpSection(Section):
    """What the agent answers on."""

    listen: str = Field(
        default="127.0.0.1:9475", description="Host and port of /metrics, /healthz, /readyz; empty for none."
    )
    socket: str = Field(
        default="agent.sock", description="Name in run_dir of the Unix socket of the API; empty for none."
    )
    approvers: tuple[str, ...] = Field(
        default=("root",), description="Users, or @groups, that may approve and reject through the socket."
    )


@final
class LogSection(Section):
    """What the agent says."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"
    jobs: bool = Field(default=True, description="Whether names of jobs and users stand in the log.")


@final
class EvidenceSection(Section):
    """What is kept for a case."""

    minutes: float = Field(default=10.0, ge=1, le=60, description="Raw samples kept of each job.")
    memory_mib: int = Field(default=24, ge=1, le=1024, description="For all of them; the oldest go first.")
    keep_days: float = Field(default=90.0, gt=0, description="Bundles older than this are removed.")
    disk_mib: int = Field(default=2048, ge=1, description="For all bundles; beyond it the oldest are removed.")


@final
class AuditSection(Section):
    """The audit log."""

    key: Path | None = Field(
        default=None, description="Signing key, made if not there; audit.pem in state_dir if not given."
    )
    anchor_file: Path | None = Field(
        default=None, description="Checkpoints are appended here, best on another machine."
    )
    anchor_syslog: bool = Field(default=False, description="Checkpoints are sent to the system log.")
    rotate_mib: int = Field(default=32, ge=1, le=1024)
    keep_days: float = Field(
        default=0.0, ge=0, description="Files whose last record is older are removed; 0 keeps them for ever."
    )
    disk_mib: int = Field(
        default=0, ge=0, description="While all files together are larger, the oldest is removed; 0 for no bound."
    )
    least_days: float = Field(default=30.0, ge=0, description="Whatever disk_mib says, younger files stay.")


@final
class TelemetrySection(Section):
    """OpenTelemetry."""

    otlp_endpoint: str = Field(default="", description="Where metrics are sent by OTLP over HTTP; nowhere if empty.")
    interval_s: float = Field(default=60.0, ge=5, le=3600)


class Config(Section):
    """All of it. See docs/operations.md."""

    period_s: float = Field(default=1.0, ge=0.1, le=60, description="Seconds between samples.")
    jitter: float = Field(
        default=0.1, ge=0, le=0.5, description="Share of the period by which ticks are moved at random, against "
        "work that pauses when it is looked at.",
    )  # fmt: skip
    alpha: float = Field(default=1e-3, gt=0, le=0.1, description="Share of honest jobs that may ever be confirmed.")
    state_dir: Path = Field(default=Path("/var/lib/hashwarden"), description="Cases, queue, audit log, evidence.")
    run_dir: Path = Field(default=Path("/run/hashwarden"), description="The socket.")
    policy: Path | None = Field(default=None, description="Policy file; the built-in one, a dry run, if not given.")
    model: Path | None = Field(
        default=None, description="Step graph of the job model; the one in service if not given."
    )
    sources: SourcesSection = SourcesSection()
    jobs: JobsSection = JobsSection()
    schedulers: SchedulersSection = SchedulersSection()
    http: HttpSection = HttpSection()
    log: LogSection = LogSection()
    evidence: EvidenceSection = EvidenceSection()
    audit: AuditSection = AuditSection()
    telemetry: TelemetrySection = TelemetrySection()


def config_schema() -> dict[str, Any]:
    """The JSON schema of the file."""
    return Config.model_json_schema()


def load_config(path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """Read the configuration.

    Parameters
    ----------
    path : Path, optional
        `CONFIG_PATH` if there is one there, if None.
    flags : mapping, optional
        What the command line says, by the names of `Config`.

    Raises
    ------
    UsageError
        If the file is missing though it was named, is no TOML, or a key or value is not known.
    """
    if path is None and CONFIG_PATH.is_file():
        path = CONFIG_PATH
    return load_settings(Config, path, _PREFIX, flags, "hashwarden agent --schema")
