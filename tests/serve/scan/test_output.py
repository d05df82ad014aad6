import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.scan.output import atomic_text


def test_the_report_appears_whole_with_the_usual_permissions(tmp_path: Path):
    path = tmp_path / "report.json"
    with atomic_text(path) as out:
        out.write("new")
        assert not path.exists()
    assert path.read_text() == "new"
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def _write_half(path: Path) -> None:
    with atomic_text(path) as out:
        out.write("half")
        raise KeyError


def test_an_error_leaves_the_old_report_and_no_litter(tmp_path: Path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(KeyError):
        _write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_keeps_pointing_at_the_new_report(tmp_path: Path):
    real = tmp_path / "real.json"
    real.write_text("old")
    (tmp_path / "link.json").symlink_to(real)
    with atomic_text(tmp_path / "link.json") as out:
        out.write("new")
    assert real.read_text() == "new"
    assert (tmp_path / "link.json").is_symlink()


def test_a_missing_folder_is_a_usage_error(tmp_path: Path):
    with pytest.raises(UsageError, match="cannot be written"), atomic_text(tmp_path / "no" / "report.json"):
        pass


def test_a_full_disk_is_a_usage_error():
    full = atomic_text(Path("/dev/full"))
    with pytest.raises(UsageError, match="No space left"), full as out:
        out.write("x" * 100_000)


def test_a_device_is_written_to_directly():
    code = "from pathlib import Path; from hashwarden.serve.scan.output import atomic_text\n"
    code += "with atomic_text(Path('/dev/stdout')) as out: out.write('hello')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "hello"
