"""What is known of a command's processes when its supervisor is killed at any moment."""

import subprocess
import sys
import textwrap

ROUNDS = 20
KILLED = """
import random, subprocess, sys, time
from pathlib import Path
from hashwarden.serve.guard.child import Child

chance, folder, lost = random.Random(7), Path(sys.argv[1]), 0
for number in range(int(sys.argv[2])):
    told = folder / str(number)
    child = Child(["sh", "-c", f"(setsid sh -c 'echo $$ > {told}; exec sleep 500' &) ; sleep 500"])
    child.go()
    while not told.exists() or not told.read_text().strip():
        time.sleep(0.005)
    apart = int(told.read_text())
    child.family()
    killer = subprocess.Popen(["sh", "-c", f"sleep {chance.uniform(0, 0.02):.4f}; kill -KILL {child.supervisor}"])
    until = time.monotonic() + 30
    while child.poll() is None and time.monotonic() < until:
        child.family()
    lost += apart not in {key.pid for key in child.family()} or not child.supervisor_is_gone()
    child.end(1.0)
    killer.wait()
    child.close()
print(lost)
"""


def test_a_supervisor_that_is_killed_at_any_moment_takes_nothing_of_what_is_known(tmp_path):
    """The process apart is in a session of its own: only who saw it under the supervisor knows whose it is."""
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr
