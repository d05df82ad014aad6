"""What is written of a file's verdict is what is read back, the chance that it rests on included."""

import json

import pytest

from hashwarden.model.kernel.verdict import FileVerdict, KernelVerdict, Verdict
from hashwarden.serve.scan.records import file_from_record, file_record


@pytest.fixture
def file() -> FileVerdict:
    kernel = KernelVerdict(3, "a.so#fatbin0", "k", 90, 0.75, 0.5, "ethash", Verdict.MINING, ("why",), "ab", 77)
    counts = {Verdict.MINING: 1, Verdict.NOT_HASH: 4}
    return FileVerdict("a.so", Verdict.MINING, 0.5, 6, 5, counts, ("one",), (kernel,), ("note",), 3.5e-49)


def test_a_file_comes_back_as_it_was(file):
    assert file_from_record(json.loads(json.dumps(file_record(file)))) == file


def test_a_record_without_its_chance_is_none(file):
    record = file_record(file)
    del record["chance"]
    with pytest.raises(KeyError):
        file_from_record(record)
