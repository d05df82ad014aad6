"""The service's configuration: flags over environment over file over defaults; unknown keys are refused.

The environment spells a key ``HASHWARDEN_SERVE__SECTION__KEY``, for example ``HASHWARDEN_SERVE__LOG__LEVEL=debug``;
lists and tables are JSON there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, final

from pydantic import Field

from hashwarden.serve.agent.config import LogSection
from hashwarden.serve.settings import Section, load_settings

__all__ = ["SERVE_CONFIG_PATH", "AccessSection", "DeskSection", "HttpSection", "LimitsSection", "ServeConfig",
           "TlsSection", "load_serve_config", "serve_schema"]  # fmt: skip

SERVE_CONFIG_PATH: Final = Path("/etc/hashwarden/serve.toml")
_PREFIX: Final = "HASHWARDEN_SERVE__"

_Roles = tuple[Literal["read", "push", "approve", "admin"], ...]


@final
class HttpSection(Section):
    """Where it answers."""

    socket: str = Field(
        default="auto",
        description="Path of the Unix socket; auto for serve.sock in the folder for such; empty for none.",
    )
    listen: tuple[str, ...] = Field(default=(), description="HOST:PORT, several if wanted; port 0 takes a free one.")
    grpc: str = Field(default="", description="HOST:PORT of the inference protocol over gRPC; empty for none.")
    hosts: tuple[str, ...] = Field(
        default=(), description="Names by which browsers may call it on loopback, beside localhost and its addresses."
    )
    plaintext: bool = Field(
        default=False, description="Answer without TLS on other addresses than loopback: tokens can be read on the way."
    )


@final
class TlsSection(Section):
    """Certificates of what is answered on `http.listen`; read again at SIGHUP."""

    certificate: Path | None = Field(default=None, description="PEM file with the chain; no TLS if not given.")
    key: Path | None = Field(
        default=None, description="PEM file of its key; in the file of the certificate if not given."
    )
    client_ca: Path | None = Field(
        default=None, description="PEM file: certificates of clients signed by it are believed."
    )
    client_required: bool = Field(default=False, description="Refuse clients without a certificate.")


@final
class AccessSection(Section):
    """Who may do what: names to roles (read, push, approve, admin)."""

    tokens: Path | None = Field(
        default=None, description="File that `hashwarden serve token new` writes; read again at SIGHUP."
    )
    users: dict[str, _Roles] = Field(
        default={}, description="On the Unix socket: users, @groups, or * for anybody. Root and the own user are admin."
    )
    certificates: dict[str, _Roles] = Field(
        default={}, description="With client_ca: DNS:name, URI:spiffe://…, or CN:name where it names nothing else."
    )


@final
class LimitsSection(Section):
    """What clients may ask for at most."""

    body_mib: int = Field(default=32, ge=1, le=4096, description="Of one request; 413 beyond it.")
    json_mib: int = Field(
        default=8, ge=1, le=1024, description="Of JSON in it: numbers as text take many times their size."
    )
    memory_mib: int = Field(default=512, ge=1, description="Of all bodies at one time; 503 beyond it.")
    rows: int = Field(default=16384, ge=1, description="Samples of one request; 413 beyond it.")
    header_kib: int = Field(default=16, ge=1, le=1024, description="Of the lines before a body; 431 beyond it.")
    header_s: float = Field(default=5.0, gt=0, le=600, description="For them to arrive, and for a TLS handshake.")
    body_s: float = Field(default=20.0, gt=0, le=3600, description="For a body to arrive; 408 beyond it.")
    answer_s: float = Field(default=20.0, gt=0, le=3600, description="For a client to take its answer.")
    idle_s: float = Field(default=60.0, gt=0, le=3600, description="A connection without requests is closed.")
    connections: int = Field(default=1024, ge=1, le=65536, description="At one time; 503 beyond it.")
    threads: int = Field(default=2, ge=1, le=256, description="Large batches that are scored at one time.")
    in_flight: int = Field(default=64, ge=1, le=65536, description="Requests being answered at one time.")
    waiting: int = Field(default=64, ge=0, le=65536, description="Requests that wait for that; 503 beyond it.")
    wait_s: float = Field(default=1.0, gt=0, le=60, description="Longest wait; 503 beyond it.")
    rate_per_s: float = Field(
        default=0.0, ge=0, description="Requests a second of one identity; 429 beyond it; 0 for no bound."
    )
    burst: int = Field(default=100, ge=1, description="Requests that may come at once on top of that.")
    drain_s: float = Field(default=20.0, ge=0, le=600, description="For accepted requests when it is stopped.")


@final
class DeskSection(Section):
    """The job API: samples pushed, verdicts, cases."""

    enabled: bool = Field(default=True, description="Whether there is one; without it the service keeps nothing.")
    state_dir: Path = Field(default=Path("/var/lib/hashwarden-serve"), description="Cases, queue, audit log, evidence.")
    policy: Path | None = Field(default=None, description="Policy file; the built-in one, a dry run, if not given.")
    alpha: float = Field(default=1e-3, gt=0, le=0.1, description="Share of honest jobs that may ever be confirmed.")
    period_s: float = Field(default=1.0, ge=0.1, le=60, description="Seconds between two rounds of judging.")
    schedulers: tuple[Literal["slurm"], ...] = Field(
        default=(), description="Schedulers of this host that may be asked to act on jobs of `cluster`; none if empty."
    )
    cluster: str = Field(default="", description="What clients call the cluster of those schedulers.")


@final
class ServeConfig(Section):
    """All of it. See docs/serving-access.md."""

    job_model: Path | None = Field(
        default=None, description="Step graph of the job model; the one in service if not given."
    )
    kernel_model: Path | None = Field(default=None, description="The kernel model; the shipped one if not given.")
    http: HttpSection = HttpSection()
    tls: TlsSection = TlsSection()
    access: AccessSection = AccessSection()
    limits: LimitsSection = LimitsSection()
    desk: DeskSection = DeskSection()
    log: LogSection = LogSection()


def serve_schema() -> dict[str, Any]:
    """The JSON schema of the file."""
    return ServeConfig.model_json_schema()


def load_serve_config(path: Path | None = None, flags: Mapping[str, Any] | None = None) -> ServeConfig:
    """Read the configuration.

    Parameters
    ----------
    path : Path, optional
        `SERVE_CONFIG_PATH` if there is one there, if None.
    flags : mapping, optional
        What the command line says, by the names of `ServeConfig`.

    Raises
    ------
    UsageError
        If the file is missing though it was named, is no TOML, or a key or value is not known.
    """
    if path is None and SERVE_CONFIG_PATH.is_file():
        path = SERVE_CONFIG_PATH
    return load_settings(ServeConfig, path, _PREFIX, flags, "hashwarden serve --schema")
