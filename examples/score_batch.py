"""Score files with the shipped models: kernels of libraries, and runs of recorded traces (``.parquet``).

    python examples/score_batch.py data/job/demo.parquet libcufft.so.11

needs no GPU, no server and no settings.
"""

from __future__ import annotations

import sys
from collections import Counter

from hashwarden.errors import HashwardenError
from hashwarden.serve import Scorer
from hashwarden.serve.scan.text import printable


def main(paths: list[str]) -> int:
    """Print a line for each run, and one for each verdict on kernels; gives 1 if a job was ever confirmed to mine."""
    scorer = Scorer()
    found = 0
    for path in paths:
        if path.endswith(".parquet"):
            for run in scorer.jobs(path):
                share = float(run.probabilities[:, 2].mean())
                print(f"{printable(run.name)}: {run.state}, likeliest {run.likeliest}, mining {share:.3f} on average")
                found |= run.confirmed
        else:
            for verdict, count in Counter(kernel.verdict for kernel in scorer.kernels(path)).items():
                print(f"{printable(path)}: {count} kernels {verdict}")
    return int(found)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except HashwardenError as error:
        sys.exit(printable(str(error)))
