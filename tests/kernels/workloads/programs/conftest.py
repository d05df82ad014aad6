"""What several tests of the Numba programs need: the PTX of a launch, compiled once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hashwarden.kernels.workloads.plan import Launch, Plan


@pytest.fixture(scope="session")
def ptx() -> Callable[[Launch, Plan], str]:
    """As `offline.ptx_of`; of launches with one body and one kind of arguments the first is compiled."""
    from hashwarden.kernels.workloads.engines.offline import ptx_of

    compiled: dict[tuple[object, ...], str] = {}

    def get(launch: Launch, plan: Plan) -> str:
        arrays = (plan.arrays[it] if isinstance(it, str) else it for it in launch.arguments)
        key = (launch.body, tuple((str(it.dtype), len(it.shape)) for it in arrays))
        if key not in compiled:
            compiled[key] = ptx_of(launch, plan)
        return compiled[key]

    return get
