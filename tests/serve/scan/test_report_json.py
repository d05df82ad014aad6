import io
import json
from pathlib import Path

import jsonschema
import pytest

from hashwarden.errors import EncryptedError
from hashwarden.serve.scan.events import Kernels, Unreadable
from hashwarden.serve.scan.report_json import write_json
from hashwarden.serve.scan.scan import Scan

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/scan-json.schema.json").read_text())


@pytest.fixture
def written(scorer, rule, kernel_spool, table_of, foretold):
    """Write the report on the given events as JSON and read it again."""

    def write(events):
        foretold(events)
        report = Scan(scorer, rule).run(list(events), kernel_spool)
        out = io.StringIO()
        write_json(report, kernel_spool.lines(), out, 1)
        document = json.loads(out.getvalue(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        return document

    return write


def test_a_document_of_everything_is_valid(written, table_of):
    locked = Unreadable(0, EncryptedError("a password is needed", "an open archive", "Decrypt it.", where="b!c"))
    rows = [("a.so#fatbin0", "mine_a", 50), ("a.so#fatbin0", "odd_b", 50), ("a.so#fatbin1", "plain", 50)]
    document = written({"a.so": [Kernels(0, table_of(rows))], "b": [locked]})
    assert [target["verdict"] for target in document["targets"]] == ["hash: mining-like", "not judged"]
    assert document["targets"][1]["problems"][0]["error"] == "EncryptedError"
    assert document["targets"][0]["files"][0]["kernels"][0]["kernel"] == "mine_a"
    assert document["model"]["name"] == "by-name"


def test_nothing_at_all_is_valid(written):
    document = written({})
    assert document["targets"] == []
    assert document["kernels"] == []


def test_every_row_of_a_table_has_one_record_in_order(written, table_of):
    rows = [("f", f"{('mine', 'plain', 'odd')[i % 3]}_{i % 7}", 5 + i % 50) for i in range(1000)]
    batches = [Kernels(0, table_of(rows[i : i + 300]), from_table="t.parquet") for i in range(0, 1000, 300)]
    document = written({"t.parquet": batches})
    assert [record["index"] for record in document["kernels"]] == list(range(1000))
    assert [record["kernel"] for record in document["kernels"]] == [name for _, name, _ in rows]
    assert all(isinstance(record["p_hash"], float) for record in document["kernels"])
    assert all(isinstance(record["p_mining"], float) for record in document["kernels"])


def test_the_index_runs_over_all_targets(written, table_of):
    one = [Kernels(0, table_of([("a#fatbin0", "plain", 9), ("a#fatbin0", "mine", 9)]))]
    two = [Kernels(1, table_of([("b#fatbin0", "hash", 9)]))]
    document = written({"a": one, "b": two})
    assert [record["index"] for record in document["kernels"]] == [0, 1, 2]
    assert document["targets"][1]["first_kernel"] == 2


@pytest.mark.parametrize("name", ["\x1b[31m", "a\nb", "\udcff", "\u202e", '"', "\\", "</script>", "🙂"])
def test_any_name_survives(written, table_of, name):
    document = written({"a": [Kernels(0, table_of([("a#fatbin0", name, 9)]))]})
    assert document["kernels"][0]["kernel"] == name
