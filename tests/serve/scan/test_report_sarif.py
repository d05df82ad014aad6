import io
import json
from pathlib import Path

import jsonschema
import pytest

from hashwarden.errors import EncryptedError, NoGpuCodeError
from hashwarden.serve.scan.events import Kernels, Unreadable
from hashwarden.serve.scan.report_sarif import RULES, write_sarif
from hashwarden.serve.scan.scan import Scan

SCHEMA = json.loads((Path(__file__).parent / "schemas/sarif-2.1.0-rtm.5.json").read_text())


@pytest.fixture
def run(scorer, rule, kernel_spool, table_of, foretold):
    """Write the report on the given events as SARIF, check it against the official schema, give its run."""

    def write(events):
        foretold(events)
        report = Scan(scorer, rule).run(list(events), kernel_spool)
        out = io.StringIO()
        write_sarif(report, out, 0)
        log = json.loads(out.getvalue())
        jsonschema.Draft4Validator(SCHEMA).validate(log)
        return log["runs"][0]

    return write


def test_the_schema_refuses_what_is_no_log():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(SCHEMA).validate({"version": "2.1.0", "runs": [{"results": []}]})


def test_one_result_per_hashing_kernel(run, table_of):
    rows = [
        ("a.whl!x.so#fatbin0", "mine_a", 50),
        ("a.whl!x.so#fatbin1", "plain", 50),
        ("a.whl!y.so#fatbin0", "hash_b", 50),
    ]
    results = run({"a.whl": [Kernels(0, table_of(rows))]})["results"]
    assert [(result["ruleId"], result["level"]) for result in results] == [("HW001", "error"), ("HW002", "warning")]
    place = results[0]["locations"][0]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "a.whl"
    assert [part["fullyQualifiedName"] for part in place["logicalLocations"]] == [
        "a.whl!x.so#fatbin0",
        "a.whl!x.so#fatbin0::mine_a",
    ]


def test_the_fingerprint_is_the_code_wherever_it_lies(run, table_of):
    one = run({"a.so": [Kernels(0, table_of([("a.so#fatbin0", "mine_a", 50)]))]})["results"]
    two = run({"b.so": [Kernels(0, table_of([("b.so#fatbin7", "mine_a", 50), ("b.so#fatbin8", "mine_a", 50)]))]})[
        "results"
    ]
    assert len(two) == 1
    assert one[0]["partialFingerprints"] == two[0]["partialFingerprints"]


def test_the_innocent_give_no_result_and_the_unread_do(run, table_of):
    none = Unreadable(1, NoGpuCodeError("no GPU machine code", "GPU code", "Nothing to do.", where="b.txt"))
    found = run({"a.so": [Kernels(0, table_of([("a.so#fatbin0", "plain", 50)]))], "b.txt": [none]})
    assert [result["ruleId"] for result in found["results"]] == ["HW004"]
    (notification,) = found["invocations"][0]["toolExecutionNotifications"]
    assert notification["descriptor"]["id"] == "NoGpuCodeError"
    assert found["invocations"][0]["executionSuccessful"] is False


def test_abstaining_is_a_note(run, table_of):
    results = run({"a.so": [Kernels(0, table_of([("a.so#fatbin0", "odd", 50)]))]})["results"]
    assert [(result["ruleId"], result["level"]) for result in results] == [("HW003", "note")]


def test_every_rule_has_help_and_results_point_at_their_rule(run, table_of):
    rows = [("a#fatbin0", "mine", 50), ("b#fatbin0", "hash", 50), ("c#fatbin0", "odd", 50)]
    found = run({"a": [Kernels(0, table_of(rows))]})
    rules = found["tool"]["driver"]["rules"]
    assert tuple(rule["id"] for rule in rules) == RULES
    assert all(rule["help"]["text"] for rule in rules)
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in found["results"])


@pytest.mark.parametrize("name", ["/tmp/a b.so", "ä/ö.so", "a%20b", "x\udcff.so", "c:d.so", "a\nb"])
def test_odd_paths_make_valid_addresses(run, name):
    locked = Unreadable(0, EncryptedError("locked", "an open archive", "Decrypt it.", where=name))
    address = run({name: [locked]})["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert address.isascii()
    assert " " not in address
