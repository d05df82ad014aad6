"""Numba workloads in Numba's CUDA simulator, at their small size: right, and with the log that the CPU writes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from hashwarden.kernels.device import SIMULATED
from hashwarden.kernels.memory.log import Recorder
from hashwarden.kernels.workloads import registry
from hashwarden.kernels.workloads.engines.cpu import CpuEngine

pytestmark = pytest.mark.skipif(SIMULATED, reason="this is what starts the simulator")

NUMBA = [workload for workload in registry.workloads() if workload.build is not None]
ALWAYS = {workload.name for workload in NUMBA[::3]} | {"equihash"}
"""A third of them shows that a GPU's log is a CPU's; that all are right is seen of their machine code."""

SIMULATE = """
import json, sys
import numpy as np
from hashwarden.kernels.workloads import registry
from hashwarden.kernels.workloads.engines.numba_cuda import NumbaEngine, recorder_for_gpu

# A thread of the simulator gives way where it waits and nowhere else: in Equihash the thread that comes first at a
# counter gets the lower place, and what reads that place depends on it.
sys.setswitchinterval(1000)
workload = registry.find(sys.argv[1])
recorder = recorder_for_gpu(capacity=1 << 18)
NumbaEngine(workload.build(workload.settings("small"), 3), recorder).check()
log = recorder.log().canonical()
sums = {name: int(np.sum(column.astype(np.uint64), dtype=np.uint64)) for name, column in log.columns().items()}
print(json.dumps({"lost": log.lost, **sums}))
"""


@pytest.mark.parametrize(
    "workload",
    [pytest.param(it, id=it.name, marks=() if it.name in ALWAYS else pytest.mark.slow) for it in NUMBA],
)
def test_simulated(workload):
    """Numba must not be imported before the simulator is chosen, hence a process of its own."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", SIMULATE, workload.name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    recorder = Recorder()
    CpuEngine(workload.build(workload.settings("small"), 3), recorder).check()
    columns = recorder.log().canonical().columns()
    sums = {name: int(np.sum(column.astype(np.uint64), dtype=np.uint64)) for name, column in columns.items()}
    # Sums do not depend on which thread came first at an atomic operation.
    assert json.loads(done.stdout) == {"lost": 0, **sums}
