"""The package put together for a machine where nothing can be installed: by pip, by links, and with carried wheels."""

import errno
import importlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu"


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("machine")


@pytest.mark.parametrize(("how", "wrong"), [("pip", None), ("links", "pip"), ("links", "disk")])
def test_the_package_is_put_together(machine, monkeypatch, tmp_path, how, wrong):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if wrong == "pip":
        monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    if wrong == "disk":
        monkeypatch.setattr(machine.shutil, "copytree", full)
    assert machine.assemble(tmp_path) == how
    monkeypatch.undo()
    code = "import hashwarden.kernels.workloads.registry as r; print(r.__file__, len(r.workloads()))"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    place, count = done.stdout.split()
    assert place.startswith(str(tmp_path))
    assert int(count) > 10


def small_wheel(folder, name, works=True):
    """A wheel of one module."""
    folder.mkdir(exist_ok=True)
    path, about = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "there = True\n")
        if works:
            archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(
                f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{about}/RECORD", "")


@pytest.mark.parametrize("works", [True, False])
def test_wheels_that_were_carried_are_put_beside_it(machine, tmp_path, works):
    small_wheel(tmp_path / "wheels", "carried_one")
    small_wheel(tmp_path / "wheels", "carried_two", works)
    how = machine.assemble(tmp_path / "all", tmp_path / "wheels")
    if works:
        assert how == "pip and 2 wheels"
    else:
        assert how.startswith("pip without wheels: ")
    assert (tmp_path / "all" / "carried_one.py").exists() == works
    assert (tmp_path / "all" / "hashwarden" / "errors.py").exists()
