"""A package registry's upload hook: admit, hold for a person, or refuse, by the GPU code in the file.

    python examples/registry_hook.py UPLOAD.whl     # exit code 0 admit, 1 refuse, 2 hold

A package without any GPU code is admitted; one that could not be read in full is never admitted unseen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ADMIT, REFUSE, HOLD = 0, 1, 2
PROGRAM = Path(sys.executable).with_name("hashwarden")


def scan(path: str) -> dict[str, Any]:
    """Scan one file in a process of its own, within limits that suit an upload."""
    limits = ["--timeout", "2m", "--max-expanded", "8GiB", "--max-nesting", "3"]
    command = [str(PROGRAM), "scan", "--quiet", "--format", "json", *limits, "--", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise RuntimeError(f"hashwarden ended with {done.returncode}: {done.stderr.strip()}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def decide(document: dict[str, Any]) -> tuple[int, str]:
    """Turn a report on one file into a decision and the words for its uploader."""
    target = document["targets"][0]
    errors = {problem["error"] for problem in target["problems"]}
    if target["verdict"] == "hash: mining-like":
        kernels = [kernel for file in target["files"] for kernel in file["kernels"]]
        return REFUSE, f"mining-like GPU code: {kernels[0]['kernel'] if kernels else target['target']}"
    if not target["files"] and errors == {"NoGpuCodeError"}:
        return ADMIT, "no GPU code"
    if target["verdict"] == "not hash":
        return ADMIT, f"{target['n_kernels']} kernels, none of them hashes"
    return HOLD, f"{target['verdict']}: {'; '.join(p['got'] for p in target['problems']) or 'let a person look'}"


def main() -> int:
    """Decide on the file named on the command line."""
    decision, words = decide(scan(sys.argv[1]))
    print(f"{('admit', 'refuse', 'hold')[decision]}: {words}")
    return decision


if __name__ == "__main__":
    raise SystemExit(main())
