"""Carries native plans out without a GPU: the engine under test, over machine code for sm_90 in the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sm_driver import engine

from hashwarden.kernels.workloads.engines.cupy import CupyEngine


@pytest.fixture
def native_engine() -> Callable[..., AbstractContextManager[CupyEngine]]:
    """``with native_engine(plan) as engine``; a second argument is a driver, of another architecture perhaps."""
    return engine
