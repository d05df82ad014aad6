"""What providers of jobs are told when they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from hashwarden.serve.jobs.device_names import DRIVER

__all__ = ["JobOptions"]


@final
@dataclass(frozen=True, slots=True)
class JobOptions:
    """Each takes what concerns it.

    Attributes
    ----------
    node : str
        Name of this node in the scheduler; empty for the host name up to its first dot.
    proc, cgroups : Path
        Where the processes are, and the mounted hierarchies of cgroups.
    driver : Path
        Where NVIDIA's driver tells minor numbers.
    gpustat : Path
        Where the prolog leaves which job has which GPU: jobstats' folder, or that of dcgm-exporter.
    gpustat_uids : frozenset of int
        Users whose files there are believed: root, and the user of slurmd if that is another.
    timeout_s : float
        Longest wait for one command of a scheduler.
    every_s, soonest_s : float
        How often the controller of Slurm is asked about the jobs that are known here, and the shortest time between
        two questions if something is new.
    whole_s : float
        How often it is asked for all jobs of the node, where cgroups or the prolog tell which are here; `every_s` where
        nothing does. It sends the jobs of the whole cluster for that.
    pod_resources : Path
        The folder of kubelet's socket.
    kubeconfig : Path or None
        For the API server of Kubernetes; None for the service account of the pod, else the usual files.
    labels : callable
        What an exporter says of each device, by UUID: ``namespace``, ``pod``, ``container``, ``hpc_job``, ``hostname``.
    inbox : object
        For ``pushed``: the `hashwarden.serve.inbox.inbox.Inbox`.
    """

    node: str = ""
    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")
    driver: Path = DRIVER
    gpustat: Path = Path("/run/gpustat")
    gpustat_uids: frozenset[int] = frozenset({0})
    timeout_s: float = 10.0
    every_s: float = 60.0
    soonest_s: float = 5.0
    whole_s: float = 600.0
    pod_resources: Path = Path("/var/lib/kubelet/pod-resources")
    kubeconfig: Path | None = None
    labels: Callable[[], Mapping[str, Mapping[str, str]]] = dict
    inbox: object = None
