"""docs/probes.md says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hashwarden.errors import MemoryShortError, MissingExtraError, NoDeviceError, PrivilegeError, UsageError
from hashwarden.kernels.probes.features import FEATURES
from hashwarden.kernels.probes.probe import PROBES, markdown_table

PAGE = Path(__file__).parents[3] / "docs" / "probes.md"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


def test_the_table_of_probes_is_current(page):
    found = re.search(r"markdown_table -->\n(.*?)<!-- end of table -->", page, re.DOTALL)
    assert found is not None
    assert found[1] == markdown_table()


def test_every_probe_and_every_plain_feature_is_named(page):
    bullets = " ".join(re.findall(r"^- \*\*(.*?)\*\*", page, re.MULTILINE))
    assert [probe.name for probe in PROBES if probe.name not in re.split(r"[^a-z0-9]+", bullets)] == []
    plain = [f.name for f in FEATURES if not re.search(r"_p\d\d_(cycles|ratio)$", f.name)]
    assert [name for name in plain if f"`{name}`" not in page] == []


@pytest.mark.parametrize("error", [PrivilegeError, MemoryShortError, NoDeviceError, MissingExtraError, UsageError])
def test_refusals_name_their_exit_codes(page, error):
    row = next(line for line in page.splitlines() if line.startswith(f"| `{error.__name__}`"))
    assert row.endswith(f"| {error.exit_code} |")


def test_the_page_has_its_picture_and_links(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page):
        assert (PAGE.parent / link).exists(), link
