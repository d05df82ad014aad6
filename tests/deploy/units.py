"""What the tests of systemd units share: reading their lines, a unit whose program is there, and systemd's own word."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def settings(unit: str) -> dict[str, str]:
    """The lines of a unit; of a key that comes twice, the last."""
    return dict(line.split("=", 1) for line in unit.splitlines() if re.match(r"[A-Z]\w+=", line))


def runnable(unit: Path, folder: Path) -> Path:
    """A copy with programs that are there, and a user that is."""
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
    path = folder / unit.name
    path.write_text(re.sub(r"^(User|Group)=.*", r"\1=daemon", text, flags=re.MULTILINE))
    return path


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    try:
        return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
