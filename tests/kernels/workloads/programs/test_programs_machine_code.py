"""Every Numba program as the machine code that a GPU would be given, carried out by the interpreter."""

import pytest

from hashwarden.kernels.device import SIMULATED
from hashwarden.kernels.workloads import registry
from hashwarden.kernels.workloads.engines.base import Results

pytestmark = pytest.mark.skipif(SIMULATED, reason="the simulator compiles nothing")

NUMBA = [workload for workload in registry.workloads() if workload.build is not None]


@pytest.mark.parametrize("workload", NUMBA, ids=lambda workload: workload.name)
def test_its_machine_code_equals_its_oracle(workload, ptx):
    from sm_numba import NumbaEngine

    plan = workload.build(workload.settings("small"), 0)
    engine = NumbaEngine(plan, ptx)
    engine.setup()
    engine.step()
    plan.check(Results(engine))
    executed = [module.kernel(module.cubin.names[0]).counts[0].sum() for module in engine.modules.values()]
    assert all(executed)
