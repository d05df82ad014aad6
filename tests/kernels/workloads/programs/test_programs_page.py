"""docs/kernels.md lists what the registry holds, and its pictures and pages exist."""

import re
from pathlib import Path

import pytest

from hashwarden.errors import DataError
from hashwarden.kernels.device import SIMULATED
from hashwarden.kernels.workloads import page

pytestmark = pytest.mark.skipif(SIMULATED, reason="nothing to simulate")

DOCS = Path(__file__).resolve().parents[4] / "docs"


def test_the_tables_are_current():
    text = (DOCS / "kernels.md").read_text()
    assert page.renewed(text) == text, "write them anew: python -m hashwarden.kernels.workloads.page"


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (DOCS / "kernels.md").read_text())
    assert len(links) > 8
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_a_page_without_its_marks_is_refused():
    with pytest.raises(DataError, match="begin workloads"):
        page.renewed("# nothing")
