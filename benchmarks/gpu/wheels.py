"""Fetches the wheels that `make gpu` needs on a machine without a network, for that machine's Python.

    python benchmarks/gpu/wheels.py --out wheels [--python 3.12] [--more onnxruntime-gpu]

Names are those of wheels.txt, versions those of constraints.txt; nothing that they need is fetched by itself, so that
they do not bring another NumPy or torch. Carry the folder there and say ``make gpu WHEELS=wheels``. Writes no file but
the wheels; ends with 1 if one was not to be had.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = Path(__file__).with_name("wheels.txt")
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(39, 4, -1)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]


def wanted() -> list[str]:
    """Names of wheels.txt."""
    lines = (line.partition("#")[0].strip() for line in NAMES.read_text().splitlines())
    return [line for line in lines if line]


def fetch(names: list[str], out: Path, python: str) -> bool:
    """Fetch wheels for a Python of x86-64 Linux; whether all came."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", str(out)]
    command += ["-c", str(ROOT / "constraints.txt"), "--python-version", python, "--implementation", "cp"]
    command += [word for name in PLATFORMS for word in ("--platform", name)]
    return subprocess.run([*command, *names], check=False).returncode == 0


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--python", default="3.12", help="version there")
    parser.add_argument("--more", nargs="*", default=[], metavar="NAME")
    options = parser.parse_args()
    done = fetch([*wanted(), *options.more], options.out, options.python)
    found = sorted(options.out.glob("*.whl"))
    print(f"{len(found)} wheels, {sum(path.stat().st_size for path in found):,} bytes")
    return 0 if done else 1


if __name__ == "__main__":
    raise SystemExit(main())
