import os

import pytest

from hashwarden.serve.jobs.device_names import DeviceNames
from hashwarden.serve.jobs.gpustat import Entry, read_gpustat
from hashwarden.serve.sources.source import Device

A, B = (f"GPU-{c * 8}-0000-0000-0000-000000000000" for c in "ab")
NAMES = DeviceNames((Device(A, 0), Device(B, 1), Device("MIG-1", 2, mig=7)), {A: 1, B: 0})


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "gpu", "sure"),
    [(A, A, True), ("1", A, False), ("0", B, False), ("MIG-1", "MIG-1", True), ("2.7", "MIG-1", False)],
)
def test_both_conventions_name_devices_their_way(folder, name, gpu, sure):
    (folder / name).write_text("1234 1000\n")
    assert read_gpustat(folder, NAMES).entries == {gpu: (Entry(1234, 1000, sure),)}


def test_a_job_in_each_line_is_several_jobs_on_one_gpu(folder):
    (folder / "0").write_text("1234\n1235\n\n")
    assert read_gpustat(folder, NAMES).entries[B] == (Entry(1234, -1, False), Entry(1235, -1, False))


@pytest.mark.parametrize("text", ["x", "1 2 3", "-5 1", "1e3", "99999999999 1", "²", "\x1b[2J 0", "\0" * 9000])
def test_lines_without_a_job_are_counted(folder, text):
    (folder / "0").write_text(text)
    found = read_gpustat(folder, NAMES)
    assert found.entries.get(B, ()) == ()
    assert found.faults.total() >= 1


def test_what_others_could_have_written_is_not_believed(folder):
    (folder / "0").write_text("1234 1000")
    (folder / "0").chmod(0o666)
    (folder / "1").write_text("1234 1000")
    os.chown(folder / "1", 1000, 1000)
    found = read_gpustat(folder, NAMES)
    assert not any(found.entries.values())
    assert found.faults["file that others can write"] == 2
    assert read_gpustat(folder, NAMES, frozenset({0, 1000})).entries[A] == (Entry(1234, 1000, False),)
    folder.chmod(0o777)
    assert read_gpustat(folder, NAMES).faults == {"folder that others can write": 1}


def test_links_pipes_folders_and_strange_names_are_counted_and_stop_nobody(folder):
    secret = folder.parent / "elsewhere"
    secret.write_text("1 1")
    (folder / "0").symlink_to(secret)
    os.mkfifo(folder / "1")
    (folder / A).mkdir()
    for name in ("x", "1.x", "3", "²"):
        (folder / name).write_text("1 1")
    found = read_gpustat(folder, NAMES)
    assert not any(found.entries.values())
    assert found.faults.total() == 7


def test_a_folder_that_is_not_there_says_nothing(tmp_path):
    found = read_gpustat(tmp_path / "nothing", NAMES)
    assert not found.entries
    assert not found.faults
