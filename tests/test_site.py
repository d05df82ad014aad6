"""The site is made from docs/ without a warning, holds what it should, and needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import typer.main

from hashwarden.cli.app import app

ROOT = Path(__file__).resolve().parents[1]


def site(folder: Path) -> Path:
    """Make it as ``make site`` does; one at a time, for pages from elsewhere in the repository are put into docs/."""
    words = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "trees"), "docs", str(folder)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_and_every_command_is_there_and_nothing_is_loaded_from_elsewhere(tmp_path):
    made = site(tmp_path)
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    missing = [page for page in pages if not (made / page).with_suffix(".html").is_file()]
    assert missing == []
    text = (made / "commands.html").read_text()
    assert [name for name in typer.main.get_command(app).commands if f"hashwarden {name}<" not in text] == []
    assert "KernelScorer" in (made / "reference" / "scoring.html").read_text()
    assert "_outside/SECURITY.html" in (made / "limits.html").read_text()
    assert "<h1>" in (made / "_outside" / "SECURITY.html").read_text()
    loaded = re.compile(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"(\w+://|//)|<link\b[^>]*\bhref=\"(?:\w+://|//)")
    assert [page.name for page in made.rglob("*.html") if loaded.search(page.read_text())] == []
