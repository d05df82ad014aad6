"""The page on streams is current, its examples run, and its picture is drawn by the script that it names."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "streams.md"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("stream_picture", ROOT / "examples" / "stream_picture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_what_the_code_has(script) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert script.written(page) == page, "run python examples/stream_picture.py docs/streams.png docs/streams.md"
    assert page.count("| channel |") > 30


def test_the_example_without_a_gpu_runs() -> None:
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (text for text in examples if "Sampler" not in text)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=True)
    assert 0.9 < float(done.stdout) <= 1


def test_the_picture_is_drawn(script, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'hashwarden[train]'")
    script.draw(tmp_path / "streams.png")
    assert (tmp_path / "streams.png").read_bytes()[:4] == b"\x89PNG"
    assert (ROOT / "docs" / "streams.png").stat().st_size > 50_000


def test_the_kernels_import_without_optional_packages() -> None:
    modules = ["state", "sampler", "raw", "cpu", "reference", "synthetic", "metric_sets"]
    code = (
        "import sys\n"
        "for name in ('scipy', 'matplotlib', 'cupy', 'cupti', 'torch', 'pandas'): sys.modules[name] = None\n"
        f"for name in {modules}: __import__('hashwarden.kernels.streams.' + name)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
