"""Carries native plans out without a GPU: the engine under test, over machine code for sm_90 in the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sm_driver import engine

from hashwarden.kernels.workloads.engines.cupy import CupyEngine
from hashwarden.kernels.workloads.plan import Plan


@pytest.fixture
def native_engine() -> Callable[[Plan], AbstractContextManager[CupyEngine]]:
    """``with native_engine(plan) as engine``."""
    return engine
