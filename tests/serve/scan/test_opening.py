"""Opening: regular files only, without hanging, without following what it should not, with an error for the rest."""

import os

import pytest

from hashwarden import errors
from hashwarden.serve.scan.opening import Opened, OpenedMemory, OpenedProcess, open_path


def opened(path):
    items = list(open_path(str(path)))
    for item in items:
        if isinstance(item, Opened):
            os.close(item.descriptor)
    return items


@pytest.fixture
def as_nobody(tmp_path):
    """Drop root's right to read everything, where the tests run as root."""
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o055)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def test_a_file_is_opened_by_its_name_also_through_a_link(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("f")
    (item,) = opened(tmp_path / "link")
    assert (item.where, item.size) == (str(tmp_path / "link"), 5)


def test_a_file_that_may_not_be_read(tmp_path, as_nobody):
    (item,) = opened("/etc/shadow")
    assert type(item) is errors.PermissionError_
    assert "root" in item.remedy


def test_the_memory_of_another_user_may_not_be_read(tmp_path, as_nobody):
    process = OpenedProcess(1)
    items = list(process.items())
    process.close()
    assert [type(item) for item in items] == [errors.PermissionError_]


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_what_is_no_file_is_not_opened(tmp_path, kind):
    import socket

    path = tmp_path / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    else:
        path = "/dev/null"
    (item,) = opened(path)
    assert type(item) is errors.UnsupportedError


@pytest.mark.parametrize("path", ["/nowhere/at/all", "/etc/passwd/below", "nul\0byte", "", "x" * 5000])
def test_what_is_missing_is_told(path):
    (item,) = opened(path)
    assert isinstance(item, (errors.MissingTargetError, errors.PermissionError_))
    assert item.where == path


def test_bytes_in_a_name_that_are_no_text(tmp_path):
    name = os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff\xfe")
    with open(name, "wb") as file:  # noqa: PTH123
        file.write(b"x")
    (item,) = opened(name)
    assert item.where.endswith("/\ufffd\ufffd")


def test_a_process_is_its_files_and_its_memory():
    process = OpenedProcess(os.getpid())
    items = list(process.items())
    files = [item for item in items if isinstance(item, Opened)]
    memory = [item for item in items if isinstance(item, OpenedMemory)]
    for item in files:
        os.close(item.descriptor)
    for item in memory:
        os.close(item.memory)
        os.close(item.pagemap)
    assert not process.is_gone()
    process.close()
    assert any("python" in item.where for item in files)
    assert memory
    assert all(low < high for item in memory for low, high in item.ranges)


def test_a_process_that_is_not_there():
    process = OpenedProcess(2**22 + 7)
    (item,) = process.items()
    process.close()
    assert type(item) is errors.MissingTargetError
