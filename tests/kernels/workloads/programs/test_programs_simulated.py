"""Every Numba workload in Numba's CUDA simulator, at its small size; the log equals the one of the CPU."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from hashwarden.kernels.device import SIMULATED
from hashwarden.kernels.memory.log import Recorder
from hashwarden.kernels.workloads import registry

NUMBA = [workload for workload in registry.workloads() if workload.build is not None]


def digest(log):
    """Sums that do not depend on the order of the rows, of what must not depend on the engine."""
    columns = log.canonical().columns()
    return {name: int(np.sum(column.astype(np.uint64), dtype=np.uint64)) for name, column in columns.items()}


@pytest.mark.skipif(not SIMULATED, reason="runs in the simulator, in a process of its own")
@pytest.mark.parametrize("workload", NUMBA, ids=lambda workload: workload.name)
def test_simulated(workload):
    from hashwarden.kernels.workloads.engines.numba_cuda import NumbaEngine, recorder_for_gpu

    recorder = recorder_for_gpu(capacity=1 << 18)
    NumbaEngine(workload.build(workload.settings("small"), 3), recorder).check()
    log = recorder.log()
    assert log.lost == 0
    expected = json.loads(os.environ["HASHWARDEN_DIGESTS"])[workload.name]
    assert digest(log) == expected


@pytest.mark.skipif(SIMULATED, reason="this is what starts the simulator")
def test_all_workloads_in_the_simulator():
    """Numba must not be imported before the simulator is chosen, hence a process of its own."""
    from hashwarden.kernels.workloads.engines.cpu import CpuEngine

    digests = {}
    for workload in NUMBA:
        recorder = Recorder()
        CpuEngine(workload.build(workload.settings("small"), 3), recorder).check()
        digests[workload.name] = digest(recorder.log())
    wrap = "ignore:overflow encountered:RuntimeWarning"  # integers wrap, on a GPU without a word
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", wrap, __file__]
    simulator = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1", "HASHWARDEN_DIGESTS": json.dumps(digests)}
    environment = {**os.environ, **simulator}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stdout[-6000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) == len(NUMBA)
