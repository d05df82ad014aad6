"""One name for one MIG device: dcgm-exporter's text over real HTTP, and NVML through pynvml on the stand-in."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from hashwarden.errors import NoDeviceError
from hashwarden.model.channels import INDEX
from hashwarden.serve.agent.joining import joined
from hashwarden.serve.jobs.device_names import DeviceNames
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.sources.dcgm import NAMES_S, DcgmSource
from hashwarden.serve.sources.health import Backoff
from hashwarden.serve.sources.nvml import NvmlSource
from hashwarden.serve.sources.nvml_names import instance_names
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Options, SourceLost

SPEC = importlib.util.spec_from_file_location("mig_names_server", Path(__file__).with_name("dcgm_server.py"))
server = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(server)
exporter = server.exporter

WHOLE = "GPU-00000000-stand-in"
NAMES = {f"{WHOLE}/7": "MIG-0-0-stand-in", f"{WHOLE}/8": "MIG-0-1-stand-in"}
POD = 'namespace="lab",pod="train-0",container="main"'


def page(active: float, instances: tuple[int, ...] = (7, 8)) -> str:
    """What dcgm-exporter says of a GPU that is cut up."""
    return "".join(
        server.line("DCGM_FI_PROF_PIPE_INT_ACTIVE", active, uuid=WHOLE,
                    more=f'GPU_I_PROFILE="1g.10gb",GPU_I_ID="{number}",{POD}')
        for number in instances
    )  # fmt: skip


@pytest.fixture
def dcgm(exporter):
    clock = server.Clock()
    exporter.body = page(0.25)

    def make(**more):
        options = Options(dcgm_url=exporter.url, **more)
        source = DcgmSource(options, clock=clock, unix=lambda: 1e9 + clock.now, local=frozenset,
                            backoff=Backoff(0.0, 0.0), environment={})  # fmt: skip
        source.clock = clock
        return source

    return make


def test_nvml_tells_the_names_of_instances_and_lets_go(nvml):
    nvml.write("gpus 2", "mig 0 2")
    source = NvmlSource(Options())
    assert {device.alias: device.gpu for device in source.open() if device.mig is not None} == NAMES
    source.close()
    assert instance_names() == NAMES
    nvml.write("gone 1")
    assert instance_names() == {}
    nvml.write()
    assert instance_names() == {}, "no GPU is cut up"


def test_an_instance_of_several_compute_instances_has_no_one_name(nvml):
    nvml.write("mig 0 2", "value same_instance 1")
    assert instance_names() == {}


def test_counters_and_processes_of_one_instance_meet(nvml, dcgm, exporter):
    nvml.write("mig 0 2", "pid 41")
    source = dcgm()
    runner = Runner({"nvml": lambda: NvmlSource(Options()), "dcgm": lambda: source})
    assert {device.gpu for device in runner.open()} == set(NAMES.values())
    assert set(runner.labels) == set(NAMES.values())
    exporter.body = page(0.75)
    source.clock.now += 30
    readings = runner.read(10.0)
    runner.close()
    assert {reading.gpu for reading in readings if reading.pids} == set(NAMES.values())
    assert {reading.gpu for reading in readings if "integer_active_ratio" in reading.values} == set(NAMES.values())
    ours = "MIG-0-0-stand-in"
    (sample,) = joined(readings, lambda gpu: [Job("slurm:7", "slurm", "7", (gpu,))] if gpu == ours else [], 1e9)
    assert sample.gpu == ours
    assert sample.values[INDEX["integer_active_ratio"]] == 0.75
    assert sample.values[INDEX["process_count"]] == 1


def test_a_scheduler_that_names_an_instance_finds_it_with_dcgm_alone(nvml, dcgm, exporter):
    nvml.write("mig 0 2")
    source = dcgm()
    names = DeviceNames(source.open())
    assert names.named("MIG-0-1-stand-in") == ("MIG-0-1-stand-in",)
    assert set(source.labels) == set(NAMES.values())
    exporter.body = page(0.75)
    assert [reading.gpu for reading in server.later(source)] == sorted(NAMES.values())


@pytest.mark.parametrize("said", ["MIG-0-0-stand-in", f"{WHOLE}/7"])
def test_both_names_choose_an_instance_of_either_source(nvml, dcgm, said):
    nvml.write("mig 0 2")
    for source in (dcgm(gpus=(said,)), NvmlSource(Options(gpus=(said,)))):
        assert [device.gpu for device in source.open()] == ["MIG-0-0-stand-in"]
        source.close()


def test_a_whole_gpu_has_no_second_name(nvml):
    with pytest.raises(NoDeviceError):
        NvmlSource(Options(gpus=("",))).open()


def test_without_nvml_dcgms_name_stays_until_there_is_one(nvml, dcgm, exporter):
    nvml.write("gone 1")
    source = dcgm()
    assert [device.gpu for device in source.open()] == sorted(NAMES)
    exporter.body = page(0.5)
    assert [reading.gpu for reading in server.later(source)] == sorted(NAMES)
    nvml.write("mig 0 2")
    exporter.body = page(0.75)
    with pytest.raises(SourceLost, match="MIG-0-0"):  # the runner opens it anew
        server.later(source, NAMES_S)
    assert [device.gpu for device in source.open()] == sorted(NAMES.values())


def test_nvml_that_goes_away_renames_nothing(nvml, dcgm, exporter):
    nvml.write("mig 0 2")
    source = dcgm()
    source.open()
    nvml.write("gone 1")
    exporter.body = page(0.75, (7,))  # other instances than before: it asks again
    assert [reading.gpu for reading in server.later(source)] == ["MIG-0-0-stand-in"]


def test_nvml_is_not_asked_where_nothing_is_cut_up(nvml, dcgm, exporter):
    asked = []
    exporter.body = server.page()
    source = DcgmSource(Options(dcgm_url=exporter.url), environment={}, names=lambda: asked.append(1) or {})
    source.open()
    assert asked == []
