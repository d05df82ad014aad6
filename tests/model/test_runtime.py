"""Scoring leaves no trace of telemetry: a fresh process, an empty temporary folder."""

import os
import subprocess
import sys

import pytest

SCORER = "from hashwarden.serve.scorer import KernelScorer; KernelScorer()"


@pytest.mark.parametrize("inherited", [None, "0"])
def test_no_telemetry_session_is_opened(tmp_path, inherited):
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | {"TMPDIR": str(tmp_path)}
    if inherited is not None:
        environment["ORT_DISABLE_TELEMETRY"] = inherited
    subprocess.run([sys.executable, "-c", SCORER], env=environment, check=True, timeout=120)
    assert list(tmp_path.iterdir()) == []
