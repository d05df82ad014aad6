"""Who may import whom, and what an import may cost."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ONLY_TO_BE_USED = r"engines\.raw|engines\.numba_cuda|\.patterns_cupy|\.torch_\w+|_torch"
"""Modules that use CuPy or torch all over; each is itself imported where it is used."""

IMPORT_ALL = """
import importlib, json, pkgutil, re, sys
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), name + "."):
        if not re.search(f"({sys.argv[1]})$", found.name):
            importlib.import_module(found.name)
print(json.dumps(sorted(sys.modules)))
"""


def _modules_after_importing(*names: str) -> set[str]:
    """Import packages with everything in them in a fresh interpreter; gives what is loaded then."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, ONLY_TO_BE_USED, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", ["hashwarden.serve", "hashwarden.kernels", "hashwarden.cli"])
def test_heavy_packages_are_imported_where_they_are_used(package):
    heavy = {"torch", "cupy", "matplotlib", "xgboost", "sklearn", "onnx", "onnxscript", "ray", "pynvml"}
    assert _modules_after_importing(package) & heavy == set()


@pytest.mark.parametrize("module", ["hashwarden.serve.scan.scan", "hashwarden.cli.run_scan"])
def test_a_scan_loads_no_gpu_runtime(module):
    assert _modules_after_importing(module) & {"numba.cuda", "numba_cuda", "cupy", "cuda.core", "pynvml"} == set()


def test_the_agent_starts_without_what_it_may_never_need():
    heavy = {"torch", "pyarrow", "pandas", "numba", "opentelemetry", "grpc", "urllib3", "yaml", "rich", "typer",
             "scipy", "onnxruntime", "pynvml", "cheroot"}  # fmt: skip
    assert _modules_after_importing("hashwarden.serve.agent.service") & heavy == set()


def test_errors_and_version_import_nothing_of_ours():
    for module in ("hashwarden.errors", "hashwarden.version"):
        ours = {name for name in _modules_after_importing(module) if name.startswith("hashwarden.")}
        assert ours <= {"hashwarden.errors", "hashwarden.version"}


def test_the_layers_hold():
    command = shutil.which("lint-imports", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert command, "import-linter is not installed: pip install 'hashwarden[dev]'"
    done = subprocess.run(
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, env=_without_simulator()
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _without_simulator() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}


def test_no_module_reaches_for_a_relative_or_bare_name():
    bad = []
    for folder in ("src", "kernels", "model", "serve", "training", "tests", "examples", "benchmarks"):
        for file in (ROOT / folder).rglob("*.py"):
            for number, line in enumerate(file.read_text().splitlines(), 1):
                words = line.split()
                bare = words[:1] in (["from"], ["import"]) and len(words) > 1
                if bare and words[1].split(".")[0] in ("", "kernels", "model", "serve", "training"):
                    bad.append(f"{file.relative_to(ROOT)}:{number}")
    assert bad == []
