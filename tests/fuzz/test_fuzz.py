"""A hundred thousand hostile inputs, on every run of the tests."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

COUNT = int(os.environ.get("HASHWARDEN_FUZZ_INPUTS", "100000"))


def test_hostile_inputs_neither_crash_nor_hang_nor_eat_memory():
    script = Path(__file__).with_name("run.py")
    start = "import json, runpy, sys; sys.path[:] = json.loads(sys.argv.pop(1)); sys.argv.pop(0);"
    start += "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", start, json.dumps(sys.path), str(script), "--count", str(COUNT)],
        capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    inputs, failures = re.findall(r"^(\d+) inputs, (\d+) failures$", done.stdout, re.MULTILINE)[0]
    assert (int(inputs), int(failures)) == (COUNT, 0)
    counts = json.loads(done.stdout[: done.stdout.rindex("}") + 1])
    for kind in ("Code", "Ptx", "Mixes", "kernels", "TruncatedError", "MalformedError", "LimitError", "EncryptedError"):
        assert counts.get(kind, 0) > 0, f"no input reached {kind}: the mutations are too blunt"
