"""The runs that tests of the job model are fitted to are the same in every process, whatever its hashes begin with."""

import os
import subprocess
import sys
from pathlib import Path

SUM = """
import zlib
from conftest import made_run
print([zlib.crc32(made_run(label, 1).values.tobytes()) for label in ("training", "mining")])
"""


def test_they_are_drawn_alike_in_every_process():
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    said = {
        subprocess.run(
            [sys.executable, "-c", SUM], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": path},
        ).stdout
        for seed in (1, 2, 3)
    }  # fmt: skip
    assert len(said) == 1
