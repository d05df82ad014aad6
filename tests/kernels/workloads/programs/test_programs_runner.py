"""Runs as ordered: reports, evasions measured, and clear refusals that leave nothing allocated."""

import pytest

from hashwarden.errors import CheckError, NoDeviceError, UsageError
from hashwarden.kernels.device import SIMULATED
from hashwarden.kernels.workloads import prepare, registry, runner
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.evasions import EVASIONS
from hashwarden.kernels.workloads.runner import Order, run_order

pytestmark = pytest.mark.skipif(SIMULATED, reason="the simulator has a test file of its own")


class StepClock:
    """Each look at the clock is 10 ms later."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        self.time += 0.01
        return self.time

    def sleep(self, seconds):
        self.time += max(seconds, 0)


def test_a_plain_run_is_reported():
    report = run_order(Order("hash-join", engine="cpu", seconds=1, changes={"probe_rows": 96}), StepClock())
    assert (report.workload, report.label, report.engine, report.device) == ("hash-join", "hpc-other", "cpu", "cpu")
    assert report.settings == {"build_rows": 40, "probe_rows": 96}
    assert report.checked
    assert report.units == 96 * report.steps
    assert report.rate == pytest.approx(report.units / report.seconds)
    assert (report.kept_share, report.built_share, report.company) == (None, None, ())
    assert report.memory_bytes == registry.find("hash-join").build(report.settings, 0).nbytes


def test_an_evasion_is_measured_beside_what_it_promises():
    order = Order("hash-join", engine="cpu", seconds=20, evasion="throttle", evasion_changes={"share": 25})
    report = run_order(order, StepClock())
    assert report.built_share == 0.25
    # A step costs a few looks at the clock either way.
    assert 0.15 < report.kept_share < 0.6


def test_company_is_opened_and_runs():
    order = Order("hash-join", engine="cpu", seconds=1, evasion="interleave", company=("hash-join",))
    assert run_order(order, StepClock()).company == ("hash-join",)


@pytest.mark.parametrize("evasion", EVASIONS, ids=lambda evasion: evasion.name)
def test_the_company_that_evasions_name_exists(evasion):
    for name in evasion.company:
        assert registry.find(name).engines()


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (Order("nothing"), "no workload is called 'nothing'"),
        (Order("hash-join", size="huge"), "the size 'huge'"),
        (Order("hash-join", changes={"rows": 1}), "no parameter 'rows'"),
        (Order("hash-join", changes={"build_rows": 0}), "build_rows = 0"),
        (Order("hash-join", engine="opencl"), "the engine 'opencl'"),
        (Order("hash-join", engine="torch"), "the engine 'torch'"),
        (Order("hash-join", seconds=-1), "-1 seconds"),
        (Order("hash-join", evasion="hide"), "no evasion is called 'hide'"),
        (Order("hash-join", evasion="throttle", evasion_changes={"share": 0}), "share = 0"),
        (Order("hash-join", company=("hash-join",)), "company without an evasion"),
        (Order("hash-join", engine="cpu", evasion="few-sms"), "a limit on blocks with the engine 'cpu'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_meant_is_refused(order, message):
    with pytest.raises(UsageError, match=message):
        run_order(order, StepClock())


def test_a_wrong_result_is_an_error_and_memory_goes_back(monkeypatch):
    closed = []
    read, close = CpuEngine.read, CpuEngine.close
    monkeypatch.setattr(CpuEngine, "read", lambda self, name: read(self, name) + 1)
    monkeypatch.setattr(CpuEngine, "close", lambda self: (closed.append(self), close(self)))
    with pytest.raises(CheckError, match=r"matches\[0\]"):
        run_order(Order("hash-join", engine="cpu", seconds=0))
    assert [engine.arrays for engine in closed] == [{}]


@pytest.mark.skipif(prepare.gpu_name() is not None, reason="there is a GPU")
def test_without_a_gpu_the_cuda_engine_says_so():
    with pytest.raises(NoDeviceError, match="an NVIDIA GPU"):
        run_order(Order("hash-join", engine="numba"))
    assert runner.choose_engine(registry.find("hash-join")) == "cpu"


@pytest.mark.gpu
@pytest.mark.parametrize("workload", registry.workloads(), ids=lambda workload: workload.name)
def test_every_workload_on_a_gpu(workload):
    """Every program of every workload equals its oracle on the device."""
    for engine in workload.engines():
        if engine != "cpu":
            run_order(Order(workload.name, size="small", engine=engine, seconds=0.0))
