from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.serve.audit.clean import LEFT_OUT, MOST_BYTES, canonical, clean
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.log import AuditLog
from hashwarden.serve.audit.record import GENESIS, MOST_LINE, Stamp, chained, line_of, parse, payload_of
from hashwarden.serve.audit.verify import Wanted, verify_log

STAMP = Stamp(1e9, 12.5, "aa-bb")


def line(body: bytes = b"{}", seq: int = 7) -> bytes:
    payload = payload_of(seq, "verdict", STAMP, body)
    return line_of(chained(GENESIS, payload), payload)


def test_a_line_is_what_a_stranger_would_compute_with_sha256_alone():
    found = json.loads(line(b'{"a":1}'))
    text = b'{"seq":7,"kind":"verdict","unix_s":1000000000.000000,"mono_s":12.500000,"boot":"aa-bb","body":{"a":1}}'
    before = hashlib.sha256(b"hashwarden.audit/1").digest()
    assert found == {"hash": hashlib.sha256(before + text).hexdigest(), "record": json.loads(text)}


def test_parse_gives_back_what_was_written():
    record = parse(line(b'{"a":[1,2]}'))
    assert (record.seq, record.kind, record.stamp, record.body()) == (7, "verdict", STAMP, {"a": [1, 2]})
    assert record.is_canonical()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"seq":7', b'"seq":07'),
        lambda text: text.replace(b'"seq":7', b'"seq":-7'),
        lambda text: text.replace(b'"kind"', b'"Kind"'),
        lambda text: text[:-1],
        lambda text: b" " + text,
        lambda text: text[:9] + text[9:73].upper() + text[73:],
        lambda text: text[:9] + b"x" + text[10:],
        lambda text: b"",
        lambda text: b"\n",
        lambda text: text[:40] + b"\n",
        lambda text: text.replace(b'"boot":"aa-bb"', b'"boot":"AA-BB"'),
    ],
)
def test_what_is_not_exactly_a_line_is_none(change):
    assert parse(change(line())) is None


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data):
    found = parse(data)
    assert found is None or found.body() is not None


@pytest.mark.parametrize("body", [b'{"b":1,"a":1}', b'{"a": 1}', b'{"a":1,"a":1}', b"[]", b'{"a":1}}{'])
def test_another_way_to_write_the_same_is_not_canonical(body):
    assert parse(line(b'{"a":1,"b":1}')).is_canonical()
    record = parse(line(body))
    assert record.body() is not None
    assert not record.is_canonical() or body == b"[]"


class Word(StrEnum):
    A = "alpha"


@dataclass
class Thing:
    gpu: str
    watts: float


def test_everything_becomes_plain_json():
    body = {
        "numpy": np.float32(0.5), "count": np.int64(3), "nan": math.nan, "inf": -math.inf, "enum": Word.A,
        "path": Path("/x"), "thing": Thing("g", math.nan), "set": {"b", "a"}, "tuple": (1, None, True),
        "bytes": b"\x00\xff", "object": object(), 5: "number", "big": 1 << 80,
    }  # fmt: skip
    assert json.loads(clean(body)) == {
        "numpy": 0.5, "count": 3, "nan": None, "inf": None, "enum": "alpha", "path": "/x",
        "thing": {"gpu": "g", "watts": None}, "set": ["a", "b"], "tuple": [1, None, True], "bytes": "00ff",
        "object": "(object)", "5": "number", "big": str(1 << 80),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["password", "DB_PASSWORD", "env", "environ", "environment", "api_key", "apiKey", "auth-token", "cookie"]
)
def test_what_looks_like_a_secret_is_left_out(name):
    found = clean({"job": {name: {"deep": "hunter2"}}, "tokens": 5, "environment_count": 3})
    assert json.loads(found) == {"job": {name: LEFT_OUT}, "tokens": 5, "environment_count": 3}


def test_hostile_names_are_printable():
    found = clean({"name": "a\x1b[2J\nb\u202e", "\x07key": "\ud800"})
    assert json.loads(found) == {"name": "a\\x1b[2J\\x0ab\\u202e", "\\x07key": "\\ud800"}
    assert found.isascii()


def test_a_large_body_is_cut_and_says_so():
    big = {"case": "HW-1", "n": 5, "rows": [{"x": "y" * 4000}] * 1000}
    found = clean(big)
    body = json.loads(found)
    assert (body["case"], body["n"]) == ("HW-1", 5)
    assert "rows" not in body
    assert body["cut"]["bytes"] > MOST_BYTES
    assert len(line(found)) < MOST_LINE


def test_a_bottomless_body_ends():
    loop: dict[str, object] = {}
    loop["again"] = loop
    assert LEFT_OUT in clean(loop).decode()
    assert len(clean({"endless": iter(int, 1)})) < MOST_BYTES
    assert len(clean({"text": "x" * 10_000_000})) < 10_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200)
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_any_body_becomes_one_canonical_line(body):
    data = clean(body)
    assert canonical(json.loads(data)) == data
    record = parse(line(data))
    assert record.is_canonical()
    assert b"\n" not in record.payload


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 5000])
def test_numbers_that_are_none_and_endless_nests_are_no_body(number):
    record = parse(line(f'{{"unix_s":{number}}}'.encode()))
    assert record.body() == {}
    assert not record.is_canonical()


def test_a_body_of_long_names_still_fits_into_a_line(tmp_path, signer):
    """What is left of a body that is too long was cut by its values only."""
    body = {f"{number}" + "\u00e9" * 8000: "x" for number in range(100)}
    assert len(clean(body)) < MOST_BYTES
    with AuditLog(tmp_path / "log", signer) as log:
        log.append(EventKind.CASE, {**body, "case": "HW-1"})
    report = verify_log(tmp_path / "log", Wanted(keys=(signer.public,)))
    assert report.problems == []
