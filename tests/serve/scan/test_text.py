import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashwarden.serve.scan.text import printable, shorten, shorten_path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain_name<int>", "plain_name<int>"),
        ("Grüße 🙂", "Grüße 🙂"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\udcff", "\\udcff"),
        ("\u2028", "\\u2028"),
        ("root\xa0", "root\\xa0"),
        ("a\u3000b c", "a\\u3000b c"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_could_deceive_is_escaped(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("width", range(1, 30))
def test_short_enough_and_both_ends_kept(width):
    text = "abcdefghijklmnopqrstuvwxyz"
    short = shorten(text, width)
    assert len(short) <= width
    assert short == text if width >= 26 else "…" in short
    if 5 <= width < 26:
        assert short.startswith("ab")
        assert short.endswith("yz")


def test_a_path_loses_its_first_folders_first():
    assert shorten_path("/data/wheels/cache/torch.whl", 20) == "…/cache/torch.whl"
    assert shorten_path("/data/wheels/a-rather-long-name.whl", 12) == "a-rath…e.whl"


@given(st.text())
def test_what_is_left_is_printable_and_what_was_printable_is_left(text):
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text
