"""Runs workloads without a GPU: their machine code for sm_90, in the interpreter of benchmarks/interpreter."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from sm_driver import cubin_of
from sm_module import Module

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def host() -> Callable[..., Module]:
    """Compile a workload and load it, once a session: ``host(name, variant="")``."""
    loaded: dict[tuple[str, str], Module] = {}

    def get(name: str, variant: str = "") -> Module:
        if (name, variant) not in loaded:
            loaded[name, variant] = Module(cubin_of(name, variant))
        return loaded[name, variant]

    return get


@pytest.fixture(scope="session")
def oracles() -> ModuleType:
    """Plain Python references of `oracles.py`, each checked itself against hashlib or a published vector."""
    spec = importlib.util.spec_from_file_location("workload_oracles", HERE / "oracles.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
