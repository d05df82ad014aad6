import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from hashwarden.errors import EncryptedError
from hashwarden.serve.scan.events import Kernels, Unreadable
from hashwarden.serve.scan.report_table import render_explanations, render_kernels, render_table
from hashwarden.serve.scan.scan import Scan


@pytest.fixture
def rendered(scorer, rule, kernel_spool, table_of, foretold):
    """Render the report on the given events with one of the functions."""

    def render(events, width=100, explain=False, kernels=False):
        foretold(events)
        report = Scan(scorer, rule).run(list(events), kernel_spool)
        console = Console(file=io.StringIO(), width=width, color_system=None)
        render_table(report, console)
        if explain:
            render_explanations(report, console)
        if kernels:
            render_kernels(kernel_spool, console)
        return console.file.getvalue()

    return render


def test_one_row_with_verdict_probability_kernels_and_reason(rendered, table_of):
    text = rendered({"a.so": [Kernels(0, table_of([("a.so#fatbin0", "mine_a", 50), ("a.so#fatbin1", "plain", 50)]))]})
    row = next(line for line in text.splitlines() if "a.so" in line)
    assert row.split() == ["✗", "hash:", "mining-like", "0.980", "2", "a.so"]
    assert "the worst kernel is mine_a" in text
    assert "1 target: 1 hash: mining-like; 2 kernels in" in text


def test_innocent_files_are_counted_and_the_others_shown(rendered, table_of):
    rows = [(f"a.whl!lib{i}.so#fatbin0", "mine" if i == 3 else "plain", 50) for i in range(20)]
    text = rendered({"a.whl": [Kernels(0, table_of(rows))]})
    assert "lib3.so" in text
    assert "lib4.so" not in text
    assert "and 19 more: 19 not hash" in text


def test_a_flood_of_findings_is_cut_and_counted(rendered, table_of):
    text = rendered({"a.whl": [Kernels(0, table_of([(f"a.whl!lib{i}.so#fatbin0", "mine", 50) for i in range(40)]))]})
    assert text.count(".so") == 12
    assert "and 28 more: 28 hash: mining-like" in text


def test_what_was_not_judged_says_why(rendered):
    locked = Unreadable(0, EncryptedError("a password is needed", "an open archive", "Decrypt it.", where="a.zip!b"))
    text = rendered({"a.zip": [locked]})
    assert "∅ not judged" in text
    assert "a password is needed" in text
    assert "0.0" not in text.splitlines()[2]


@pytest.mark.parametrize("width", [60, 80, 160])
def test_no_line_is_wider_than_the_terminal(rendered, table_of, width):
    name = "folder/" * 12 + "a-very-long-wheel-name-0.0.35-py39-none-manylinux_2_28_x86_64.whl"
    rows = [(f"{name}!{'deep/' * 20}lib{i}.so#fatbin0", "mine_" + "x" * 200, 50) for i in range(3)]
    text = rendered({name: [Kernels(0, table_of(rows))]}, width=width, explain=True)
    assert max(cell_len(line) for line in text.splitlines()) <= width


def test_hostile_names_neither_colour_nor_break_the_lines(rendered, table_of):
    evil = "\x1b]0;title\x07\x1b[31m[red]x[/red]\n\u202e.so"
    rows = [(f"{evil}#fatbin0", f"mine{evil}", 50)]
    text = rendered({evil: [Kernels(0, table_of(rows))]}, width=200, explain=True, kernels=True)
    assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "[red]x[/red]\\x0a" in text


def test_explanations_name_kernels_and_reasons(rendered, table_of):
    text = rendered({"a.so": [Kernels(0, table_of([("a.so#fatbin0", "mine_a", 50)]))]}, explain=True)
    assert "✗ hash: mining-like  mine_a\n" in text
    assert "P(mining) 0.980, P(hash) 0.990, family mine_a, sm_90, 50 instructions" in text
    assert "- the name begins like mine" in text


def test_every_kernel_is_listed_on_request(rendered, table_of):
    rows = [("a.so#fatbin0", f"plain_{i}", 50 + i) for i in range(30)]
    text = rendered({"a.so": [Kernels(0, table_of(rows))]}, kernels=True)
    assert all(f"plain_{i}" in text for i in range(30))
