"""Scores of an archive that cannot be written: one clear error, and what lay there is left."""

import resource

import numpy as np
import pyarrow as pa
import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.archive import SCHEMA, write_scores


def _batch(rows):
    numbers = np.random.default_rng(0).random(rows)
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["a"], pa.string()))
    arrays = [
        words if pa.types.is_dictionary(f.type) else pa.array(numbers.astype(f.type.to_pandas_dtype())) for f in SCHEMA
    ]
    return pa.record_batch(arrays, schema=SCHEMA)


def test_a_full_disk_is_one_error_and_leaves_what_lay_there(tmp_path):
    path = tmp_path / "scores.parquet"
    assert write_scores(path, [_batch(10)], {"name": "job"}) == 10
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UsageError, match="cannot be written"):
            write_scores(path, [_batch(50_000)], {"name": "job"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot be written"):
        write_scores(tmp_path / "none" / "scores.parquet", [], {})
