"""Jobs as an exporter's labels tell: for nodes, or a whole cluster, of which only the exporter is seen.

A label says whose GPU it was when it was scraped, by a mapping that somebody else keeps up. That is enough to watch a
job, to count its GPU-hours and to tell of it; it is no ground to end one: such jobs are of the kind ``gpu``, on which
nothing is ever acted (`hashwarden.serve.policy.guards`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from hashwarden.serve.jobs.job import Job
from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.provider import ProcessFacts
from hashwarden.serve.sources.source import Device

__all__ = ["Exporter", "make"]


def make(options: JobOptions) -> Exporter:
    """The provider; it needs `JobOptions.labels`."""
    return Exporter(options)


@final
class Exporter:
    """See the module.

    Parameters
    ----------
    options : JobOptions
        Its `labels`.
    """

    name = "exporter"

    def __init__(self, options: JobOptions) -> None:
        self._labels = options.labels
        self._on: Mapping[str, tuple[Job, ...]] = {}

    def refresh(self, devices: Sequence[Device]) -> None:
        """Take the labels as they are now."""
        labels, found = self._labels(), {}
        for device in devices:
            job = _job(device.gpu, labels.get(device.gpu, {}))
            if job is not None:
                found[device.gpu] = job
        gpus: dict[str, list[str]] = {}
        for gpu, job in found.items():
            gpus.setdefault(job.key, []).append(gpu)
        self._on = {gpu: (_with(job, tuple(gpus[job.key])),) for gpu, job in found.items()}

    def job_of(self, process: ProcessFacts) -> Job | None:
        """None: labels know of no processes."""
        del process
        return None

    def allotted(self) -> Mapping[str, tuple[Job, ...]]:
        """Each device to the job of its labels."""
        return self._on


def _job(gpu: str, labels: Mapping[str, str]) -> Job | None:
    pod, namespace, container = (labels.get(name, "") for name in ("pod", "namespace", "container"))
    hpc, host = labels.get("hpc_job", ""), labels.get("hostname", "")
    if pod:
        id_ = f"{namespace}/{pod}/{container}"
        return Job(f"label:pod:{id_}", "gpu", id_, (gpu,), namespace=namespace, pod=pod, container=container,
                   labels={"source": "exporter", "hostname": host})  # fmt: skip
    if hpc:
        return Job(f"label:job:{hpc}", "gpu", hpc, (gpu,), labels={"source": "exporter", "hostname": host})
    return None


def _with(job: Job, gpus: tuple[str, ...]) -> Job:
    """The same job on all its devices."""
    return Job(job.key, job.kind, job.id, gpus, namespace=job.namespace, pod=job.pod, container=job.container,
               labels=job.labels)  # fmt: skip
