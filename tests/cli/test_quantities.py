import pytest
import typer

from hashwarden.cli.quantities import duration, plain_size, size


@pytest.mark.parametrize(
    ("text", "number"),
    [("2GB", 2 * 10**9), ("2GiB", 2 << 30), ("2g", 2 << 30), ("1.5 kb", 1500), ("512MiB", 512 << 20), ("7", 7), (7, 7)],
)
def test_sizes(text, number):
    assert size(text) == number


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (600.0, 600)])
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "GB", "-1", "0", "1e9", "2 GBs", "nan", "inf", "0x10", "1,5GB"])
@pytest.mark.parametrize("reader", [size, duration])
def test_what_is_no_quantity_is_refused(reader, text):
    with pytest.raises(typer.BadParameter, match="expected a"):
        reader(text)


@pytest.mark.parametrize("number", [1, 1000, 1024, 64 << 30, 3 << 20, (1 << 30) + 1])
def test_a_written_size_reads_back(number):
    assert size(plain_size(number)) == number
