"""Whatever others print or write: an answer, or none, and never an error."""

from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashwarden.serve.jobs.device_names import DeviceNames
from hashwarden.serve.jobs.gpustat import _parse
from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.jobs.proc import _cgroups_of, _environment_of, _stat_of, _uid_of
from hashwarden.serve.jobs.provider import Cgroup, ProcessFacts
from hashwarden.serve.jobs.sessions import container_of
from hashwarden.serve.jobs.slurm_cgroups import job_of_cgroups
from hashwarden.serve.jobs.slurm_claims import claimed_gpus, claimed_job
from hashwarden.serve.jobs.slurm_text import in_hostlist, parse_detail, parse_json, parse_pids, parse_rows, places_of
from hashwarden.serve.sources.source import Device

NAMES = DeviceNames((Device("GPU-aaaaaaaa-0000-0000-0000-000000000000", 0), Device("MIG-1", 1, mig=3)))
WORDS = st.lists(
    st.sampled_from(["gpu", ":", "(IDX:", ")", "0-", "1", ",", "[", "]", "|", "\n", " ", "Nodes=", "vm", " GRES=",
                     "JobName=", "GPU-", "MIG-", "\x1b", "²", "999999999999", "{", '"jobs":', "N/A", "/job_1"])
    | st.text(max_size=4), max_size=40,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@example("JobName=0\xa00")
@given(WORDS)
def test_texts_of_slurm_and_of_prologs(text):
    parse_rows(text)
    parse_pids(text)
    parse_json(text, 1)
    places_of(text)
    in_hostlist("vm1", text)
    detail = parse_detail(text, "vm")
    assert detail.name.isprintable()
    assert detail.comment.isprintable()
    _parse(text, True, Counter())
    said = {"SLURM_JOB_ID": text, "SLURM_JOB_GPUS": text, "CUDA_VISIBLE_DEVICES": text}
    assert set(claimed_gpus(said, NAMES)) <= {device.gpu for device in NAMES.devices}
    job = claimed_job(said)
    assert job is None or job >= 0
    facts = ProcessFacts(ProcessKey(5, 1), 1, 5, 0, cgroups=(Cgroup((), text), Cgroup(("memory",), text)))
    job_of_cgroups(facts)
    container_of(facts)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_bytes_of_proc(data):
    _stat_of(5, data)
    _stat_of(5, b"5 (" + data + b") S 1 2 3" + b" 0" * 30)
    _uid_of(b"x\nUid:" + data)
    assert all(one.path.isprintable() for one in _cgroups_of(data.replace(b"x", b":")))
    assert all(value.isprintable() for value in _environment_of(b"SLURM_JOB_ID=" + data).values())
