"""docs/sources.md names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from hashwarden.serve.sources import dcgm, dcgm_fresh, dcgm_http, dcgm_prometheus, probe_process
from hashwarden.serve.sources.registry import SOURCES
from hashwarden.serve.sources.source import Options

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/sources.md").read_text()


def test_every_source_has_its_row():
    rows = re.findall(r"^\| \[?`(\w+)`", PAGE.split("\n## ")[0], re.MULTILINE)
    assert rows == [source.name for source in SOURCES]


def test_files_and_pages_that_it_names_exist():
    files = [*re.findall(r"`((?:tests|deploy|serve)/[\w./-]+)`", PAGE), *re.findall(r"`?pytest ([\w./]+)", PAGE)]
    pages = [f"docs/{name}" for name in re.findall(r"\]\(([\w-]+\.md)\)", PAGE)]
    assert len(files) >= 6
    assert [name for name in files + pages if not (ROOT / name).exists()] == []
    anchors = re.findall(r"\]\(#(\w+)\)", PAGE)
    assert [anchor for anchor in anchors if f"\n## {anchor}\n" not in PAGE] == []


def test_its_numbers_are_those_of_the_code():
    options = Options()
    assert f"({options.burst_s:g} s in {options.every_s:g})" in PAGE
    assert f'dcgm_url = "{options.dcgm_url}"' in PAGE
    assert dcgm_http.TOKEN_FILE in PAGE
    assert dcgm_http.CA_FILE in PAGE
    for number, unit in (
        (dcgm_fresh.LEAST_STALE_S, "s"), (dcgm_prometheus.RANGE_S, "s"), (dcgm.ANSWER_S, "s"),
        (dcgm.MOST_BYTES >> 20, "MiB"), (dcgm_prometheus.MOST_BYTES >> 20, "MiB"), (probe_process.START_S, "s"),
    ):  # fmt: skip
        assert f"{number:g} {unit}" in PAGE, number
