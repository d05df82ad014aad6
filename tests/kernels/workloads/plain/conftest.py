"""As the fixture of the folder above, with `plain_shim.h` in place of `cuda_shim.h`."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    """Build a workload for the CPU once a session: ``host(name, variant="")``."""
    assert shutil.which("g++"), "g++ is not installed: it builds the kernels for the CPU"
    spec = importlib.util.spec_from_file_location("workloads_conftest", HERE.parent / "conftest.py")
    parent = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parent)
    built = {}

    def get(name: str, variant: str = ""):
        if (name, variant) not in built:
            folder = tmp_path_factory.mktemp("host")
            # The quoted include finds this file first, beside the source that includes it.
            (folder / "cuda_shim.h").write_text(f'#include "{HERE / "plain_shim.h"}"\n')
            built[name, variant] = parent.build(folder, name, variant, (), "")
        return built[name, variant]

    return get
