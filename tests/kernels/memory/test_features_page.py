"""The page of the features says what the code says."""

from pathlib import Path

from hashwarden.kernels.memory.features import FEATURES
from hashwarden.kernels.memory.features_table import table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "memory-patterns.md"


def test_the_table_of_the_page_is_up_to_date():
    text = PAGE.read_text(encoding="utf-8")
    given = text.split("<!-- features -->\n")[1].split("<!-- end -->")[0]
    assert given == table(), "run python benchmarks/patterns_page.py"
    assert f"{len(FEATURES)} numbers" in text


def test_every_feature_is_defined():
    for feature in FEATURES:
        assert feature.definition.endswith(".")
        assert feature.low < feature.high
        assert feature.unit
        assert feature.source
        assert set(feature.unknown) <= {"every_warp", "every_access", "by_line"}


def test_the_picture_is_there():
    assert PAGE.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
