"""Users that are one person: the ranges of /etc/subuid."""

import pytest

from hashwarden.serve.jobs.sessions import Sessions
from hashwarden.serve.jobs.subordinate import SubordinateIds
from hashwarden.serve.jobs.table import JobTable
from hashwarden.serve.sources.source import Device

A = "GPU-aaaaaaaa-0000-0000-0000-000000000000"


@pytest.fixture
def ids(tmp_path):
    def make(text, mode=0o644):
        path = tmp_path / "subuid"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        found = SubordinateIds(path)
        found.refresh()
        return found

    return make


def test_a_number_of_a_range_is_its_owner_s(ids):
    found = ids("71000:100000:65536\n71001:165536:65536\n")
    assert [found.owner(uid) for uid in (0, 71000, 99999, 100000, 165535, 165536, 231071, 231072)] == [
        0, 71000, 99999, 71000, 71000, 71001, 71001, 231072,
    ]  # fmt: skip


def test_what_several_have_is_nobody_s_and_root_owns_none(ids):
    found = ids("71000:100:100\n71001:150:100\n71002:400:100\n71002:450:100\nroot:600:10\n0:700:10\n")
    assert [found.owner(uid) for uid in (120, 170, 220, 420, 470, 520, 605, 705)] == [
        71000, 170, 71001, 71002, 71002, 71002, 605, 705,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [b"", b"\n\n", b"\xff\xfe:1:2", b"nobody-here:100:10", b"71000:100", b"71000:-5:10", b"71000:100:-1",
     b"71000:100:99999999999999999999999", b"71000:0:500", b"-1:100:10", b"a" * 70_000, "٣:100:10".encode()],
)  # fmt: skip
def test_lines_that_are_none_say_nothing(ids, text):
    assert ids(text).owner(105) == 105


def test_a_file_that_others_can_write_or_that_is_not_there_is_not_believed(ids, tmp_path):
    assert ids("71000:100:10", 0o666).owner(105) == 105
    missing = SubordinateIds(tmp_path / "none")
    missing.refresh()
    assert missing.owner(105) == 105


def test_it_is_read_anew_when_it_is_another(ids, tmp_path):
    found = ids("71000:100:10")
    (tmp_path / "new").write_text("71001:100:10")
    (tmp_path / "new").replace(tmp_path / "subuid")
    found.refresh()
    assert found.owner(105) == 71001
    (tmp_path / "subuid").unlink()
    found.refresh()
    assert found.owner(105) == 105


def test_who_begins_anew_as_another_of_his_users_goes_on_with_his_job(tree, ids):
    now = 100.0
    table = JobTable((Sessions(tree.proc, ids("71000:100000:65536")),), tree.folder, lambda: now, wait_s=None,
                     own=frozenset())  # fmt: skip
    for number in range(50):
        tree.put(500 + number, 200 + number, uid=100_000 + number)
        now += 1.0
        table.refresh({A: frozenset({500 + number})}, (Device(A, 0),), now, 1e9)
        [job] = table.jobs_on(A)
        assert (job.uid, job.user, table.counts["began"]) == (71000, "71000", 1)
        tree.end(500 + number)
    table.close()


def test_a_child_of_his_that_leaves_the_session_stays_in_the_job(tree, ids):
    table = JobTable((Sessions(tree.proc, ids("71000:100000:65536")),), tree.folder, lambda: 100.0, wait_s=None,
                     own=frozenset())  # fmt: skip
    tree.put(500, 200, uid=100_000)
    tree.put(501, 201, uid=100_033, ppid=500)
    tree.put(502, 201, uid=200_033, ppid=500)
    table.refresh({A: frozenset({500, 501, 502})}, (Device(A, 0),), 100.0, 1e9)
    mine = table.owner(500).job
    assert [table.owner(pid).job == mine for pid in (501, 502)] == [True, False]
    table.close()


def test_a_container_keeps_the_user_that_it_has(tree, ids):
    tree.put(5, 100, uid=100_007, cgroup=f"0::/docker/{'a' * 64}\n")
    assert Sessions(tree.proc, ids("71000:100000:65536")).job_of(tree.proc.facts(5)).uid == 100_007
