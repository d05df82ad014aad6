"""Pages into lines: whatever is in them, the lines have their width, and nothing in them moves the cursor."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from hashwarden.serve.agent_client import Peer
from hashwarden.serve.scan.text import printable
from hashwarden.serve.top.columns import Column, arranged
from hashwarden.serve.top.detail import case_text, job_text, quantity
from hashwarden.serve.top.feed import PAGES, Node
from hashwarden.serve.top.keys import footer
from hashwarden.serve.top.order import KEYS, Order
from hashwarden.serve.top.plain import as_json, plain_lines
from hashwarden.serve.top.rows import job_row
from hashwarden.serve.top.tables import case_lines, gpu_lines, job_lines, spark
from hashwarden.serve.top.view import view_of
from hashwarden.serve.top.words import Look, ago, clean, fit, look_of

HOSTILE = "\x1b]2;owned\x07\x1b[31m[bold red]x[/]\u202e\u0000\n中文" + "e" + "\u0301" * 50
PLAIN, FULL = Look(False), Look(True)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(HOSTILE),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12,
)  # fmt: skip


def dicts(*names: str) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, anything))


verdicts = dicts("state", "likeliest", "probabilities", "strength", "trend", "reasons", "now", "watched_s", "tier")
jobs = st.fixed_dictionaries(
    {"verdicts": st.dictionaries(st.text(max_size=8), verdicts, max_size=2)},
    optional=dict.fromkeys(
        ("job", "user", "gpus", "blind", "gpu_seconds", "pod", "case", "history", "cases"), anything
    ),
)
pages = st.fixed_dictionaries({
    "status": dicts("node", "ready", "blind", "sources", "gpus", "model", "policy", "actions_waiting", "damaged",
                    "unix_s", "cases"),
    "jobs": st.fixed_dictionaries({"jobs": st.lists(jobs | anything, max_size=3)}),
    "gpus": st.fixed_dictionaries({"gpus": st.lists(dicts("gpu", "index", "name", "mig", "jobs", "now"), max_size=3)}),
    "cases": st.fixed_dictionaries({"cases": st.lists(dicts("id", "job", "standing", "steps", "history", "evidence",
                                                            "waiting", "closed_unix_s", "approval"), max_size=3)}),
})  # fmt: skip


def good(text: str, look: Look) -> bool:
    return printable(text) == text and "\n" not in text and (look.unicode or text.isascii())


@settings(max_examples=40, deadline=None)
@given(pages, st.integers(8, 200), st.sampled_from((PLAIN, FULL)))
def test_any_pages_become_lines_that_fit(found, width, look):
    node = Node(Peer(url="http://h"), found, read_s=0.0)
    view = view_of([node], 1.0, look)
    for key in KEYS:
        view.order = Order(key, reverse=True)
        assert len(view.order.of(view.jobs)) == len(view.jobs)
    tables = [gpu_lines(view.gpus, view.names, width, look), job_lines(view.jobs, view, width, look),
              case_lines(view.cases, view.names, 0.0, width, look)]  # fmt: skip
    for heading, lines in tables:
        assert all(cell_len(line.plain) <= width for line in (heading, *lines))
    texts = plain_lines([node], 1.0, width, look)
    texts += [line for row in view.jobs for line in job_text(row, row.raw, found["gpus"], width, look)]
    texts += [line for row in view.cases for line in case_text(row, width, look)]
    assert all(good(line.plain, look) for line in texts)
    assert as_json([node]).isascii()


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.sampled_from((*PAGES, "x")), anything, max_size=4))
def test_pages_that_are_none_at_all_are_shown_as_nothing(found):
    node = Node(Peer(url="http://h"), found, read_s=0.0)
    assert plain_lines([node], 1.0, 80, FULL)


def test_hostile_names_are_shown_for_what_they_are():
    shown = clean(HOSTILE, FULL)
    assert "\\x1b]2;owned\\x07" in shown
    assert "[bold red]x[/]" in shown
    assert "\\u202e\\x00\\x0a中文e" in shown
    assert shown.count("\u0301") == 1
    assert clean(HOSTILE, PLAIN).isascii()
    assert len(clean("x" * 10**6, FULL)) <= 2000


@pytest.mark.parametrize("width", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("text", ["", "abc", "中文字中文", "abcdefghij"])
def test_text_has_exactly_its_width(text, width):
    assert cell_len(fit(text, width, FULL)) == width
    assert cell_len(fit(text, width, PLAIN, right=True)) == width


@given(st.integers(1, 300), st.lists(st.tuples(st.integers(1, 30), st.integers(0, 40)), min_size=1, max_size=12))
def test_columns_never_need_more_than_there_is(width, sizes):
    columns = [Column(str(n), str(n), least, least + more, n) for n, (least, more) in enumerate(sizes)]
    placed = arranged(columns, width)
    assert sum(size + 1 for _, size in placed) - 1 <= width
    assert all(size >= column.least for column, size in placed) or len(placed) == 1
    assert [column.weight for column, _ in placed] == sorted(column.weight for column, _ in placed)


def test_the_worst_of_a_job_s_verdicts_is_shown_and_what_cannot_be_judged_is_not_clear():
    def state(*states: str) -> str:
        found = {str(n): {"state": one, "strength": 0.1 * n} for n, one in enumerate(states)}
        return job_row("n", {"verdicts": found}, {}, FULL).state

    assert state("clear", "confirmed", "suspect") == "confirmed"
    assert state("clear", "abstain") == "abstain"
    assert state("clear", "nonsense") == "nonsense"
    assert state() == "abstain"


def test_unknown_numbers_are_told_as_unknown():
    row = job_row("n", {"verdicts": {"g": {"state": "clear", "likeliest": "training", "strength": None}}}, {}, FULL)
    assert math.isnan(row.probability)
    line = job_lines([row], view_of([], 0.0, FULL), 120, FULL)[1][0].plain
    assert "training ?" in line
    assert "0.00 " not in line[40:80]
    assert quantity("fb_used_ratio", math.nan) == "fb used ?"
    assert quantity("power_watts", 512.4) == "power 512 W"
    assert ago(math.inf) == "?"


def test_the_bar_over_time_goes_from_nothing_to_all():
    assert spark([0, 0.5, 1, 7, math.nan], 5, FULL) == "▁▅███"[:4] + " "
    assert spark([0, 0.5, 1], 2, PLAIN) == "_#"
    assert spark([], 5, PLAIN) == ""


@pytest.mark.parametrize(
    ("environment", "unicode"),
    [
        ({"LANG": "en_US.UTF-8", "TERM": "xterm"}, True),
        ({"LANG": "C", "TERM": "xterm"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8", "TERM": "xterm"}, False),  # that is what Python sets itself
        ({"LC_CTYPE": "de_DE.UTF-8", "TERM": "xterm"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C", "TERM": "xterm"}, False),
        ({"LANG": "en_US.UTF-8", "TERM": "linux"}, False),
        ({"LANG": "de_DE.ISO-8859-1", "TERM": "xterm"}, False),
        ({}, False),
    ],
)
def test_what_the_terminal_can_show_is_told_by_its_locale(environment, unicode):
    assert look_of(environment).unicode is unicode


def test_the_filter_takes_jobs_that_hold_all_words():
    rows = [job_row("n", {"job": f"slurm:{n}", "user": user, "gpus": ["a", str(n)]}, {}, FULL)
            for n, user in enumerate(("Jane", "joe", "jim"))]  # fmt: skip
    assert [row.user for row in Order(words="SLURM jane").of(rows)] == ["Jane"]
    assert Order(words="jane joe").of(rows) == []
    assert [row.user for row in Order("user", reverse=True).of(rows)] == ["joe", "jim", "Jane"]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_the_way_out_always_stands_in_the_footer(width):
    assert footer("jobs", width).endswith("q Quit")
    assert len(footer("jobs", width)) <= max(width, 20)
