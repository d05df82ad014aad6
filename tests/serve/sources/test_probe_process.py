"""The probes' process by itself."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from hashwarden.errors import HashwardenError
from hashwarden.serve.sources.probe_process import ProbeProcess, child_command

FIRST = "GPU-00000000-stand-in"


def wait_until(true, seconds=60.0):
    until = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def test_the_process_sees_one_gpu_and_no_secret_and_ends_with_its_parent(monkeypatch, tmp_path):
    monkeypatch.setenv("HASHWARDEN_DCGM_TOKEN_FILE", "secret")
    script = tmp_path / "child.py"
    script.write_text("import os, json; print(json.dumps({'said': 'ready', 'facts': dict(os.environ)}), flush=True)")
    process = ProbeProcess(FIRST, time.monotonic, [sys.executable, str(script)])
    assert wait_until(lambda: process.hear() is not None)
    assert process.facts["CUDA_VISIBLE_DEVICES"] == FIRST
    assert not any("TOKEN" in name for name in process.facts)
    process.end()
    assert wait_until(lambda: process.gone)


def test_without_cupy_or_a_gpu_the_real_process_says_what_is_missing(monkeypatch):
    if Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU: test_the_real_thing probes it")
    process = ProbeProcess(FIRST, time.monotonic, child_command())
    with pytest.raises(HashwardenError) as caught:
        wait_until(lambda: process.hear() is not None)
    assert caught.type.__name__ in {"NoDeviceError", "MissingExtraError"}
    process.end()
    assert wait_until(lambda: process.gone)
