"""Jobs by the labels of an exporter: watched and told, never acted on."""

from hashwarden.serve.jobs.exporter import make
from hashwarden.serve.jobs.options import JobOptions
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.policy.guards import job_objections
from hashwarden.serve.policy.observation import Blindness, Observation
from hashwarden.serve.sources.source import Device

A, B, C = (Device(f"GPU-{name}", place) for place, name in enumerate("abc"))
POD = {"namespace": "lab", "pod": "train-0", "container": "main", "hostname": "n1"}


def test_devices_of_one_label_are_one_job_and_unlabelled_ones_none():
    labels = {A.gpu: POD, B.gpu: POD, "GPU-elsewhere": {"hpc_job": "7"}}
    provider = make(JobOptions(labels=lambda: labels))
    provider.refresh((A, B, C))
    found = provider.allotted()
    assert set(found) == {A.gpu, B.gpu}
    assert found[A.gpu] == found[B.gpu]
    [job] = found[A.gpu]
    assert (job.key, job.gpus, job.tenant) == ("label:pod:lab/train-0/main", (A.gpu, B.gpu), "lab")
    labels.clear()
    provider.refresh((A, B, C))
    assert provider.allotted() == {}


def test_a_job_of_labels_alone_is_watched_and_never_acted_on():
    provider = make(JobOptions(labels=lambda: {A.gpu: {"hpc_job": "4711"}}))
    table = JobTable((provider,))
    provider.refresh((A,))
    table.refresh({A.gpu: None}, (A,), 1.0, 1.0)
    [job] = table.jobs_on(A.gpu)
    table.close()
    assert (job.kind, job.id) == ("gpu", "4711")
    [objection] = job_objections(Observation(job, 1.0, 1.0, {}))
    assert objection.kind is Blindness.UNMAPPED
