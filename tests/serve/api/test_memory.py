"""Freed memory is kept: the kernel has not to be asked, and to clear pages, for every batch."""

import os
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
from hashwarden.serve.api.memory import keep_freed
if sys.argv[1] == "keep":
    print(keep_freed(), end=" ")
def turn():
    blocks = [np.ones(size, np.uint8) for size in (740_000, 500_000, 300_000)]
    return sum(int(block[-1]) for block in blocks)
for _ in range(3):
    turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    turn()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 50)
"""


def _faults(word: str, **environment: str) -> list[str]:
    # numpy maps blocks of 4 MiB and more on huge pages; those here are smaller.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", COUNT, word], env=kept | environment, capture_output=True, text=True,
                          check=True, timeout=120)  # fmt: skip
    return done.stdout.split()


def test_batches_after_the_first_cost_no_page_faults():
    (plain,), (did, kept) = _faults("plain"), _faults("keep")
    assert did == "True"
    assert float(plain) > 50, "what it is for"
    assert float(kept) < 1


@pytest.mark.parametrize("variable", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"])
def test_who_set_it_otherwise_has_his_way(variable):
    _, kept = _faults("keep", **{variable: "4096"})
    assert float(kept) > 50
