"""Folders: every regular file once, no link followed, nothing else opened."""

import os
from pathlib import Path

from hashwarden.errors import PermissionError_, UnsupportedError
from hashwarden.kernels.sass import tree
from hashwarden.kernels.sass.tree import open_tree


def listed(path):
    names, problems = [], []
    for item in open_tree(str(path)):
        if isinstance(item, tuple):
            os.close(item[1])
            names.append(os.path.relpath(item[0], path))
        else:
            problems.append(item)
    return names, problems


def test_regular_files_only_and_no_link_is_followed(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "b").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("x")
    (inside / "b" / "f").write_text("x")
    (inside / "a").write_text("x")
    (inside / "empty").write_text("")
    (inside / "file_link").symlink_to(outside / "secret")
    (inside / "folder_link").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    os.mkfifo(inside / "fifo")
    assert listed(inside) == (["a", "b/f"], [])


def test_a_file_swapped_for_a_link_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "f").symlink_to("/etc/passwd")
    monkeypatch.setattr(tree, "_has_bytes", lambda entry: True)
    names, problems = listed(tmp_path)
    assert names == []
    assert isinstance(problems[0], PermissionError_)


def test_a_file_swapped_for_a_fifo_does_not_hang(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "f")
    monkeypatch.setattr(tree, "_has_bytes", lambda entry: True)
    assert listed(tmp_path) == ([], [])


def test_folders_too_deep_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "MAX_DEPTH", 3)
    (tmp_path / "1" / "2" / "3").mkdir(parents=True)
    (tmp_path / "1" / "2" / "f").write_text("x")
    names, problems = listed(tmp_path)
    assert names == ["1/2/f"]
    assert [type(problem) for problem in problems] == [UnsupportedError]


def test_descriptors_are_given_back(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    listed(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
