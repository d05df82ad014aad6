import os
from pathlib import Path

import pytest

from hashwarden.errors import TruncatedError, UsageError, WorkerError
from hashwarden.kernels.sass.limits import Limits
from hashwarden.serve.scan.cache import Cache
from hashwarden.serve.scan.events import Kernels, Unreadable
from hashwarden.serve.scan.scan import Scan
from hashwarden.serve.scan.spool import KernelSpool


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "a.so"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def scan(scorer, rule, cache_folder):
    """Scan once with the cache, into a spool of its own; gives the report and the kernels."""

    def run(path, limits=None, told=None):
        scanner = Scan(scorer, rule, limits or Limits(), cache=Cache(cache_folder), told=told or (lambda _: None))
        with KernelSpool() as spool:
            return scanner.run([str(path)], spool).targets[0], list(spool)

    return run


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix == ".zst"]


def _kernels(table_of, path):
    return Kernels(0, table_of([(f"{path}!x#fatbin0", "mine", 50), (f"{path}!x#fatbin1", "plain", 60)]))


def test_the_second_scan_reads_nothing_and_says_the_same(scan, table_of, foretold, library):
    read = foretold({str(library): [_kernels(table_of, library)]})
    first, kernels = scan(library)
    second, again = scan(library)
    assert read == [str(library)]
    assert (first.cached, second.cached) == (False, True)
    assert (second.files, second.problems, second.stats) == (first.files, first.problems, first.stats)
    assert again == kernels
    assert len(kernels) == 2


def test_the_same_content_under_another_name_carries_that_name(scan, table_of, foretold, library, tmp_path):
    other = tmp_path / "b.so"
    other.write_bytes(library.read_bytes())
    foretold({str(library): [_kernels(table_of, library)]})
    scan(library)
    report, kernels = scan(other)
    assert report.cached
    assert report.files[0].where == f"{other}!x"
    assert {kernel.where for kernel in kernels} == {f"{other}!x#fatbin0", f"{other}!x#fatbin1"}
    assert report.files[0].top[0].where == f"{other}!x#fatbin0"


@pytest.mark.parametrize("change", ["content", "limits", "model"])
def test_what_a_verdict_depends_on_makes_a_miss(scan, scorer, table_of, foretold, library, change):
    read = foretold({str(library): [_kernels(table_of, library)]})
    scan(library)
    if change == "content":
        library.write_bytes(b"contenT")
    if change == "model":
        scorer.identity = scorer.identity | {"sha256": "cd" * 32}
    scan(library, Limits(nesting=2) if change == "limits" else None)
    assert len(read) == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "folder"])
def test_a_damaged_entry_is_a_miss_and_is_replaced(scan, table_of, foretold, library, cache_folder, damage):
    read = foretold({str(library): [_kernels(table_of, library)]})
    _, kernels = scan(library)
    (entry,) = _entries(cache_folder)
    data = entry.read_bytes()
    changed = {
        "cut": data[:-9],
        "flip": data[:40] + bytes([data[40] ^ 1]) + data[41:],
        "empty": b"",
        "text": b"{}\n" * 9,
    }
    entry.unlink()
    if damage == "folder":
        entry.mkdir()
    else:
        entry.write_bytes(changed[damage])
    report, again = scan(library)
    assert not report.cached
    assert again == kernels
    assert len(read) == 2


def test_lasting_problems_are_remembered_and_told_again(scan, foretold, library):
    cut = TruncatedError("ends early", "a whole file", "Fetch it again.", where=str(library))
    read = foretold({str(library): [Unreadable(0, cut)]})
    told = []
    scan(library, told=told.append)
    scan(library, told=told.append)
    assert len(read) == 1
    assert [problem.error for problem in told] == ["TruncatedError"] * 2


def test_passing_problems_are_not_remembered(scan, foretold, library):
    died = WorkerError("the worker died", "a living one", "Scan again.", where=str(library))
    read = foretold({str(library): [Unreadable(0, died)]})
    scan(library)
    scan(library)
    assert len(read) == 2


def test_a_target_that_changes_while_it_is_read_is_not_kept(
    scan, table_of, foretold, library, cache_folder, monkeypatch
):
    read = foretold({str(library): [_kernels(table_of, library)]})
    original = Cache.store

    def late(self, key, report, kernels):
        library.write_bytes(b"changed meanwhile")
        original(self, key, report, kernels)

    monkeypatch.setattr(Cache, "store", late)
    scan(library)
    assert read == [str(library)]
    assert _entries(cache_folder) == []


def test_the_oldest_entries_go_when_the_folder_is_full(scorer, rule, table_of, foretold, tmp_path, cache_folder):
    paths = [tmp_path / f"{i}.so" for i in range(4)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes([i]))
    foretold({str(path): [_kernels(table_of, path)] for path in paths})
    with KernelSpool() as spool:
        Scan(scorer, rule, cache=Cache(cache_folder)).run([str(paths[0])], spool)
        (first,) = _entries(cache_folder)
        os.utime(first, (0, 0))
        room = 2 * first.stat().st_size + 100
        for path in paths[1:3]:
            Scan(scorer, rule, cache=Cache(cache_folder, room)).run([str(path)], spool)
    assert len(_entries(cache_folder)) == 2
    assert not first.exists()


def test_entries_and_folder_are_closed_to_others(scan, table_of, foretold, library, cache_folder):
    foretold({str(library): [_kernels(table_of, library)]})
    scan(library)
    (entry,) = _entries(cache_folder)
    assert entry.stat().st_mode & 0o777 == 0o600
    made = Cache(cache_folder / "new" / "deeper")
    assert made is not None
    assert (cache_folder / "new" / "deeper").stat().st_mode & 0o777 == 0o700


def test_a_folder_open_to_others_is_refused(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o770)
    with pytest.raises(UsageError, match="open to others"):
        Cache(folder)


def test_a_link_is_refused(tmp_path, cache_folder):
    (tmp_path / "link").symlink_to(cache_folder)
    with pytest.raises(UsageError, match="no folder of its own"):
        Cache(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_refused(cache_folder):
    os.chown(cache_folder, 12345, 12345)
    with pytest.raises(UsageError, match="belongs to user 12345"):
        Cache(cache_folder)


def test_folders_fifos_and_missing_files_have_no_key(cache_folder, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    cache = Cache(cache_folder)
    for name in (".", "fifo", "missing"):
        assert cache.key(tmp_path / name, "model", Limits()) is None
