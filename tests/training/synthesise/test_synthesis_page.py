"""The page's tables come from the code; what it says of the model's distance to published figures is what it is."""

from pathlib import Path

import pytest

from hashwarden.errors import DataError
from hashwarden.training.synthesise.page import TABLES, renewed

PAGE = Path(__file__).parents[3] / "docs" / "synthesis.md"


def test_page_is_up_to_date():
    text = PAGE.read_text(encoding="utf-8")
    assert renewed(text) == text, "run python -m hashwarden.training.synthesise.page"


def test_a_page_without_marks_is_refused():
    with pytest.raises(DataError, match="begin gpus"):
        renewed("# no tables\n")


def test_every_table_has_rows():
    for name in ("gpus", "assumed", "units", "quantities", "faults"):
        assert TABLES[name]().count("\n") > 3
