"""`make bench` finds what its scripts import: make keeps the folder of a script out of Python's path."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

LOAD = """
import runpy, sys
for script in sys.argv[1:]:
    runpy.run_path(script, run_name="loaded")
    print(script)
"""


def test_every_script_of_make_bench_can_be_loaded():
    makefile = (ROOT / "Makefile").read_text()
    safe = re.search(r"^export PYTHONSAFEPATH := (\S+)$", makefile, re.MULTILINE)
    path = re.search(r"PYTHONPATH=(\S+) \$\(BIN\)/python \$\$script", makefile)
    scripts = [str(one) for one in sorted((ROOT / "benchmarks").glob("*.py")) if "__main__" in one.read_text()]
    assert len(scripts) > 15
    paths = os.pathsep.join(filter(None, [path[1] if path else "", os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"PYTHONPATH": paths} | ({"PYTHONSAFEPATH": safe[1]} if safe else {})
    done = subprocess.run([sys.executable, "-c", LOAD, *scripts], cwd=ROOT, env=environment, capture_output=True,
                          text=True, check=False, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == scripts
