"""Every Numba body becomes machine code for four architectures, and our own decoder reads it."""

import pytest

from hashwarden.errors import UsageError
from hashwarden.kernels.device import SIMULATED
from hashwarden.kernels.sass import mix
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.workloads import registry

pytestmark = pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")

NUMBA = [workload for workload in registry.workloads() if workload.build is not None]
ARCHITECTURES = (80, 90, 100, 120)


def launches(plan):
    """The first launch of each body."""
    found = {}
    for launch in (*plan.setup, *plan.step(0)):
        found.setdefault(launch.body, launch)
    return found.values()


@pytest.mark.parametrize("workload", NUMBA, ids=lambda workload: workload.name)
def test_every_body_compiles_for_four_architectures(workload, ptx):
    from hashwarden.kernels.workloads.engines.offline import cubin_of

    plan = workload.build(workload.settings("small"), 0)
    for launch in launches(plan):
        text = ptx(launch, plan)
        for architecture in ARCHITECTURES:
            cubin = read_cubin(cubin_of(text, f"sm_{architecture}"), launch.body.__name__)
            table = mix.analyse([cubin])
            assert table.scalars["arch"].tolist() == [architecture]
            assert table.scalars["n_instr"][0] > 10
            assert mix.unknown_opcodes(table) == {}


def test_the_recording_kernel_compiles_and_the_plain_one_holds_no_recorder():
    from hashwarden.kernels.workloads.engines.offline import cubin_of, ptx_of

    workload = registry.find("hash-join")
    plan = workload.build(workload.settings("small"), 0)
    (launch,) = plan.step(0)
    lengths = {}
    for logged in (False, True):
        cubin = read_cubin(cubin_of(ptx_of(launch, plan, logged=logged), "sm_90"), "x")
        lengths[logged] = int(mix.analyse([cubin]).scalars["n_instr"][0])
    assert "atom" not in ptx_of(launch, plan)
    assert "atom" in ptx_of(launch, plan, logged=True)
    assert lengths[True] > 2 * lengths[False]


def test_an_older_architecture_is_refused():
    from hashwarden.kernels.workloads.engines.offline import cubin_of

    with pytest.raises(UsageError, match="sm_75"):
        cubin_of("", "sm_75")
