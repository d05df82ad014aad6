"""Every metric of GPM that GPU 0 answers, ten times a second until Ctrl-C, in a Parquet file.

    python benchmarks/gpu/raw_log.py --out raw-gpm.parquet [--period 0.1]

A row: ``unix_s`` (seconds since 1970, of the second sample of the pair), ``over_s`` (seconds between the two), and
``gpm_N`` for each metric N, NaN where the driver had no value. The file's metadata has their names as NVML calls them.
Rows are written every half minute, so that a killed log has lost no more; the file can be read once it is closed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hashwarden.errors import HashwardenError
from hashwarden.serve.sources.gpm import LEAST_S

sys.path.insert(0, str(Path(__file__).parent / "questions"))
from raw_gpm import RawGpm

ROWS = 300
NO_GPU = 6


class RawLog:
    """Rows to a file, a group at a time.

    Parameters
    ----------
    path : Path
    names : dict of int to str
        NVML's name of each metric that is logged.
    """

    def __init__(self, path: Path, names: dict[int, str]) -> None:
        self._ids = sorted(names)
        self._columns = ["unix_s", "over_s", *(f"gpm_{number}" for number in self._ids)]
        types = [pa.float64(), pa.float32(), *(pa.float32() for _ in self._ids)]
        told = {f"gpm_{number}": names[number] for number in self._ids}
        schema = pa.schema(list(zip(self._columns, types, strict=True)), {"names": json.dumps(told)})
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._schema, self._rows = schema, []
        self.written = 0

    def add(self, unix_s: float, over_s: float, values: dict[int, float]) -> None:
        """Keep a row; those before it are written now and then."""
        self._rows.append([unix_s, over_s, *(values.get(number, float("nan")) for number in self._ids)])
        if len(self._rows) == ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            arrays = [pa.array(column, kind) for column, kind in zip(zip(*self._rows, strict=True), self._schema.types,
                                                                     strict=True)]  # fmt: skip
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
            self.written += len(self._rows)
            self._rows = []

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        self._flush()
        self._writer.close()


def follow(gpm: Any, log: RawLog, period_s: float, stopped: list[int]) -> None:
    """Compare each sample with the one before; they are never closer than GPM wants them."""
    before, at = gpm.sample(), time.monotonic()
    while not stopped:
        time.sleep(max(0.0, at + period_s - time.monotonic()))
        sample, now = gpm.sample(), time.monotonic()
        log.add(time.time(), now - at, gpm.between(before, sample))
        gpm.free(before)
        before, at = sample, now
    gpm.free(before)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--period", type=float, default=0.1)
    options = parser.parse_args()
    period_s = max(options.period, LEAST_S)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda which, _: stopped.append(which))
    try:
        with RawGpm(0) as gpm:
            log = RawLog(options.out, {number: gpm.names.get(number, str(number)) for number in gpm.supported})
            try:
                follow(gpm, log, period_s, stopped)
            finally:
                log.close()
    except HashwardenError as error:
        print(f"no log: {error}")
        return NO_GPU
    print(f"{log.written} rows of {len(gpm.supported)} metrics")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
