"""A job, as its scheduler knows it, and a process, so that its number cannot be taken for that of another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, final

__all__ = ["UNKNOWN", "Job", "JobKind", "Owner", "ProcessKey"]

JobKind = Literal["slurm", "kubernetes", "process", "gpu", "pushed"]

UNKNOWN: Final = ""
"""A name that is not known."""


@final
class ProcessKey(NamedTuple):
    """A process of this machine since it was booted; PIDs come again, this pair does not.

    A tuple, for tables of processes are looked up thousands of times a second, and a data class is hashed in Python.

    Attributes
    ----------
    pid : int
        In the PID namespace of this program.
    started : int
        Field 22 of /proc/PID/stat: clock ticks from boot to its start.
    """

    pid: int
    started: int


@final
@dataclass(frozen=True, slots=True)
class Job:
    """What a scheduler runs, on its allocation. Names come from users: they are data, and may be hostile.

    Attributes
    ----------
    key : str
        Unique on this node and never used again, fit for a file name and a log: ``slurm:1234``, ``slurm:1234_7``,
        ``pod:UID/CONTAINER``, ``session:BOOT:SID:STARTED``, ``gpu:UUID`` for what runs on a GPU without known owner,
        ``pushed:CLUSTER:SCHEDULER:ID`` for what somebody else told of.
    kind : str
        Which scheduler knows it.
    id : str
        What that scheduler calls it: a Slurm job id, ``namespace/pod/container``, a session id.
    gpus : tuple of str
        UUIDs of its GPUs or MIG instances; empty if not known.
    user, account, partition, qos : str
        Empty if not known. `user` is a name, or the number where there is no name.
    uid : int
        -1 if not known.
    namespace, pod, container : str
        Of Kubernetes.
    name : str
        What its owner calls it. Never a reason for anything.
    started_unix_s : float
        NaN if not known.
    interactive : bool
        Whether a person sits before it.
    allotted : bool
        Whether the scheduler gave it its GPUs for itself; False where GPUs are shared or nobody allots them.
    labels : dict of str to str
        What else the scheduler says (pod labels, Slurm comment); not part of equality.
    """

    key: str
    kind: JobKind
    id: str
    gpus: tuple[str, ...] = ()
    user: str = UNKNOWN
    uid: int = -1
    account: str = UNKNOWN
    partition: str = UNKNOWN
    qos: str = UNKNOWN
    namespace: str = UNKNOWN
    pod: str = UNKNOWN
    container: str = UNKNOWN
    name: str = UNKNOWN
    started_unix_s: float = float("nan")
    interactive: bool = False
    allotted: bool = False
    labels: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def tenant(self) -> str:
        """Whom its GPU-hours are counted for: namespace, else account, else user."""
        return self.namespace or self.account or self.user


@final
@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a process is, and on which GPUs its work runs.

    Attributes
    ----------
    job : str
        `Job.key`.
    gpus : tuple of str
        UUIDs: those on which the driver sees the process if it tells, else all of the job.
    """

    job: str
    gpus: tuple[str, ...]
