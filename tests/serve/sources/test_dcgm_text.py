"""The text format: what prometheus_client reads too, and what it refuses whole while here one line is lost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from hashwarden.errors import DataError
from hashwarden.serve.sources.dcgm_text import MOST_LINE, Parser

NAMES = {"a", "b_total", "x:y"}
TEXT = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cs"], exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
    ),
    max_size=12,
)
LABELS = st.dictionaries(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True).filter(lambda n: not n.startswith("__")),
    TEXT,
    max_size=4,
)
VALUES = st.one_of(st.floats(), st.integers(-(10**20), 10**20))
STAMPS = st.one_of(st.none(), st.integers(0, 2**42))


def written(name, labels, value, stamp):
    """A line, escaped as the format says."""
    escaped = {k: v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for k, v in labels.items()}
    inner = ",".join(f'{k}="{v}"' for k, v in escaped.items())
    number = {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN" if math.isnan(value) else repr(value))
    return f"{name}{{{inner}}} {number}{'' if stamp is None else f' {stamp}'}\n"


def read(text):
    parser = Parser(NAMES)
    found = list(parser.samples(text if isinstance(text, bytes) else text.encode()))
    return found, parser.wrong


def same(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(NAMES)), LABELS, VALUES, STAMPS), max_size=4))
def test_what_the_clients_parser_reads_is_read_alike(lines):
    text = "".join(written(*line) for line in lines)
    theirs = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    ours, wrong = read(text)
    assert wrong == 0
    assert [(s.name, dict(s.labels)) for s in ours] == [(s.name, s.labels) for s in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert same(mine.value, float(other.value))
        assert same(mine.unix_s, math.nan if other.timestamp is None else float(other.timestamp))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_whatever_comes_is_read_or_counted(body):
    found, wrong = read(body)
    assert len(found) + wrong <= body.count(b"\n")


@pytest.mark.parametrize(
    "line",
    ['a{x="1} 2', 'a{x=1} 2', 'a{x="1",x="2"} 2', 'a{x="1"y="2"} 2', "a{} two", "a{} 1_0", "a{} 0x1p3", "a {} 1 2 3 4",
     'a{x="' + "y" * MOST_LINE + '"} 1', "<html>", "a{} ", "9a 1"],
)  # fmt: skip
def test_a_wrong_line_costs_itself(line):
    found, wrong = read(f"a 1\n{line}\na 2\n")
    assert ([sample.value for sample in found], wrong) == ([1.0, 2.0], 1)


def test_comments_other_metrics_and_an_unfinished_line_are_passed_over():
    found, wrong = read('# HELP a b\n# TYPE a gauge\n\nother{x="1"} 5\na 1\r\na 12')
    assert ([sample.value for sample in found], wrong) == ([1.0], 0)


def test_labels_are_remembered_and_not_without_end(monkeypatch):
    monkeypatch.setattr("hashwarden.serve.sources.dcgm_text._MOST_KNOWN", 3)
    parser = Parser(NAMES)
    text = "".join(f'a{{x="{i}"}} {i}\n' for i in range(9)).encode()
    assert [dict(s.labels)["x"] for s in parser.samples(text)] == [str(i) for i in range(9)]
    assert len(parser._known) == 3
    first = next(iter(parser.samples(b'a{x="8"} 1\n')))
    assert first.labels is parser._known['x="8"']


def test_hostile_lines_take_no_time_to_speak_of(monkeypatch):
    """Not a time: the number of steps a matcher may take is bounded by the length of a line, so this ends."""
    evil = ["a{" + 'x="' * 2000, "a{" + "}" * 8000, "a" * 8000, 'a{x="' + "\\" * 8000, "a{} " + "1" * 8000 + "x"]
    found, wrong = read("\n".join(evil * 20) + "\n")
    assert (found, wrong) == ([], 100)


@pytest.mark.parametrize(("text", "said"), [("a 1\n" * 20_001, "20,000 samples"), ("#\n" * 100_001, "100,000 lines")])
def test_a_text_that_would_keep_the_agent_busy_is_refused(text, said):
    with pytest.raises(DataError, match=said):
        read(text)


def test_long_labels_are_read_and_not_remembered():
    """4,096 of 8 kB, and what they say, would be a third of what the whole agent may have."""
    parser = Parser({"a"})
    for number in range(20):
        long = f'b="{number}{"x" * 2000}"'
        (sample,) = parser.samples(f"a{{{long}}} 1\n".encode())
        assert sample.labels["b"].startswith(str(number))
    assert len(parser._known) == 0
    (sample,) = parser.samples(b'a{b="short"} 1\n')
    assert (sample.labels, len(parser._known)) == ({"b": "short"}, 1)
