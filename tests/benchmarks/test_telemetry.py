"""The benchmark of a tick of recording says what it measured against, and on what."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "telemetry.py"


def test_the_page_names_the_peer_and_the_stand_in():
    spec = importlib.util.spec_from_file_location("telemetry_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = [{"gpus": 8, "cpu_s": {"bare nvidia-ml-py": 0.001, "recording": 0.0025}}]
    found = {"machine": "x", "date": "2026-11-22T00:00", "nvml": "a stand-in", "rows": rows}
    page = module.markdown(found)
    assert "a stand-in" in page
    assert "| 8 | recording | 2,500 | 2.50 | 2.50% |" in page
    assert module.STAND_IN.is_file()
