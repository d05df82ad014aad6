"""``hashwarden score``: an archive of traces scored again with one model, to a Parquet of verdicts.

One row a sample: ``file``, ``run``, ``time_s``, a probability for each class, the likeliest mining family, novelty,
evidence, state and the reason for abstaining. Files are read block by block, so memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hashwarden.errors import DataError, UsageError
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES
from hashwarden.model.sequential_state import BLIND_TEXT, Blind, State
from hashwarden.model.storage import refusal
from hashwarden.model.trace_read import iter_blocks
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.scan.output import atomic_bytes
from hashwarden.serve.score_runs import Scored, score_blocks

__all__ = ["SCHEMA", "batch_of", "score_file", "traces_in", "unwritable", "write_scores"]

_WORD: Final = pa.dictionary(pa.int32(), pa.string())

SCHEMA: Final = pa.schema(
    [
        ("file", _WORD), ("run", _WORD), ("time_s", pa.float64()),
        *((f"p_{name.replace('-', '_')}", pa.float32()) for name in CLASSES),
        ("family", _WORD), ("novelty", pa.float32()), ("evidence", pa.float64()), ("state", _WORD), ("reason", _WORD),
    ]
)  # fmt: skip
"""Columns of the result."""


def traces_in(paths: Sequence[Path]) -> list[Path]:
    """The traces that are named: files, and every ``.parquet`` in folders, sorted.

    Raises
    ------
    UsageError
        If one does not exist.
    DataError
        If a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError("no such file or folder", "a trace, or a folder of traces", "Correct it.", where=str(path))
        inside = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not inside:
            raise DataError("no trace in the folder", "files that end in .parquet", "Name another.", where=str(path))
        found += inside
    return found


def score_file(path: Path, scorer: JobScorer) -> Iterator[pa.RecordBatch]:
    """Score a trace, a batch for each block of it.

    Raises
    ------
    DataError
        If it is no trace.
    """
    for scored in score_blocks(scorer, iter_blocks(path)):
        yield batch_of(scored, str(path))


def batch_of(scored: Scored, file: str) -> pa.RecordBatch:
    """The rows of scored samples."""
    size = len(scored.times)
    words: dict[str, Any] = {
        "family": _words(scored.families.argmax(1), MINING_FAMILIES),
        "state": _words(scored.states, [state.word for state in State]),
        "reason": _words(scored.reasons, [BLIND_TEXT[blind] for blind in Blind]),
        "file": _words(np.zeros(size, np.int32), [file]),
        "run": _words(np.zeros(size, np.int32), [scored.run.name]),
    }
    numbers: dict[str, Any] = {
        f"p_{name.replace('-', '_')}": scored.probabilities[:, i] for i, name in enumerate(CLASSES)
    }
    numbers |= {"time_s": scored.times, "novelty": scored.novelty, "evidence": scored.evidence}
    return pa.record_batch([words[f.name] if f.name in words else pa.array(numbers[f.name], f.type) for f in SCHEMA],
                           schema=SCHEMA)  # fmt: skip


def _words(codes: Any, names: Sequence[str]) -> pa.DictionaryArray:  # noqa: ANN401
    return pa.DictionaryArray.from_arrays(pa.array(np.asarray(codes, np.int32)), pa.array(names, pa.string()))


def write_scores(output: Path, batches: Iterable[pa.RecordBatch], identity: dict[str, str]) -> int:
    """Write scores, in one move; the footer names the model.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    UsageError
        If they cannot be written; what lay there is left as it was.
    """
    rows = 0
    schema = SCHEMA.with_metadata({f"hashwarden_model_{key}": value for key, value in identity.items()})
    try:
        with atomic_bytes(output.resolve(), 0o644) as file, pq.ParquetWriter(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += len(batch)
    except OSError as error:
        raise unwritable(error, output) from error
    return rows


def unwritable(error: OSError, output: Path) -> UsageError:
    """The error for scores that cannot be written."""
    return UsageError(refusal(error), "a file in a folder with room for it", "Choose another --output.",
                      where=str(output))  # fmt: skip
