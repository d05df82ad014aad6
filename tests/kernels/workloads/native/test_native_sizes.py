"""At the size of a GPU, the first, the middle and the last block of each kernel stay inside their arrays.

What they compute is nothing, since the other blocks are left out; where they read and write is where they would.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sm_driver import Driver, engine
from sm_library import Fault

from hashwarden.kernels.workloads import registry
from hashwarden.kernels.workloads.native.launches import Fill, Store
from hashwarden.kernels.workloads.plan import Empty

WORKLOADS = [it for it in registry.workloads() if it.native is not None and "cupy" in it.engines()]
LARGE = 1 << 24
LIMIT = 1_000_000


class Sampled(Driver):
    """Runs three blocks of the first two launches of a kernel and of its last, and not to the end where that is far."""

    def __init__(self, launches) -> None:
        super().__init__()
        self.launches, self.launched = Counter(it.kernel for it in launches), Counter()

    def free_bytes(self):
        return 1 << 40

    def fill(self, array, byte):
        super().fill(array[:1] if array.nbytes > LARGE else array, byte)  # the rest is never brought into memory

    def launch(self, module, launch, arguments):
        self.launched[launch.kernel] += 1
        if 2 < self.launched[launch.kernel] < self.launches[launch.kernel]:
            return
        grid = (*launch.grid, 1, 1)[:3]
        blocks = sorted({(0, 0, 0), tuple(side // 2 for side in grid), tuple(side - 1 for side in grid)})
        given = {"shared_bytes": launch.shared_bytes, "blocks": blocks, "limit": LIMIT}
        try:
            module.launch(launch.kernel, launch.grid, launch.block, *arguments, **given)
        except Fault as fault:
            if "more instructions than allowed" not in str(fault):
                raise


def sampled(plan) -> Sampled:
    launches = (*plan.setup, *plan.step(0))
    driver = Sampled(launches)
    with engine(plan, driver) as made:
        for launch in launches:
            made.launch(launch)
    return driver


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_blocks_at_both_ends_stay_inside_their_arrays(workload) -> None:
    plan = workload.native(workload.settings("gpu"), 0)
    driver = sampled(plan)
    named = {it.kernel for it in (*plan.setup, *plan.step(0)) if not isinstance(it, (Fill, Store))}
    assert set(driver.launched) == named
    executed = sum(int(it.counts[0].sum()) for module in driver.modules.values() for it in module.kernels.values())
    assert executed > 1000


@pytest.mark.parametrize(("name", "array"), [("fft-native", "spectrum"), ("ethash-native", "dag")])
def test_an_array_that_is_too_short_is_found(name, array) -> None:
    workload = next(it for it in WORKLOADS if it.name == name)
    plan = workload.native(workload.settings("gpu"), 0)
    shape, kind = plan.arrays[array].shape, plan.arrays[array].dtype
    assert int(np.prod(shape)) > 1
    short = Empty((shape[0] - 1, *shape[1:]), kind)
    with pytest.raises(Fault, match="the illegal address"):
        sampled(replace(plan, arrays={**plan.arrays, array: short}))
