"""Runs the kernels of streams.cu without a GPU: their machine code, in the interpreter."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from sm_driver import module_of

from hashwarden.kernels.streams import raw


@pytest.fixture(scope="session")
def host_launch() -> Callable[..., None]:
    """``launch(kernel, blocks, threads, *arguments)`` as `raw.reduce_on` wants it, without a GPU."""
    return module_of(raw.source()).launch


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """The module fakes.py."""
    spec = importlib.util.spec_from_file_location("stream_fakes", Path(__file__).parent / "fakes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
