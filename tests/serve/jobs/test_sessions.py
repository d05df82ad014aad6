import pytest

from hashwarden.serve.jobs.sessions import Sessions, container_of

DIGITS = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "path",
    [
        f"/docker/{DIGITS}",
        f"/docker/{DIGITS}/user/deeper",
        f"/system.slice/docker-{DIGITS}.scope",
        f"/machine.slice/libpod-{DIGITS}.scope/container",
        f"/kubepods/besteffort/pod0a1b/{DIGITS}",
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b.slice/cri-containerd-{DIGITS}.scope",
    ],
)
def test_a_container_is_known_by_the_cgroup_that_its_engine_made(tree, path):
    tree.put(5, 100, cgroup=f"0::{path}\n")
    job = Sessions(tree.proc).job_of(tree.proc.facts(5))
    assert (job.key, job.kind) == (f"container:{DIGITS}", "process")


@pytest.mark.parametrize(
    "path",
    [
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{DIGITS}.scope",
        f"/system.slice/own.service/docker/{DIGITS}",
        f"/x/docker/{DIGITS}",
        f"/docker/{DIGITS[:-1]}",
    ],
)
def test_a_user_cannot_name_a_cgroup_after_another_ones_container(tree, path):
    tree.put(5, 100, cgroup=f"0::{path}\n")
    assert container_of(tree.proc.facts(5)) == ""
    assert Sessions(tree.proc).job_of(tree.proc.facts(5)).key.startswith("session:")


def test_the_first_container_of_a_path_holds_those_inside_of_it(tree):
    tree.put(5, 100, cgroup=f"0::/docker/{DIGITS}/docker/{'f' * 64}\n")
    assert container_of(tree.proc.facts(5)) == DIGITS


def test_a_login_is_one_job_whatever_its_processes_do(tree):
    scope = "0::/user.slice/user-1000.slice/session-3.scope\n"
    tree.put(5, 100, cgroup=scope)
    tree.put(6, 120, cgroup=scope, uid=0)  # sudo, in a session of its own
    sessions = Sessions(tree.proc)
    jobs = {sessions.job_of(tree.proc.facts(pid)) for pid in (5, 6)}
    assert len(jobs) == 1
    (job,) = jobs
    assert (job.key, job.uid, job.interactive) == ("login:7494866814e9:session-3", 1000, True)


def test_a_session_has_one_key_and_another_users_processes_in_it_another(tree):
    tree.put(5, 100, uid=0)
    tree.put(6, 120, session=5, uid=0)
    tree.put(7, 120, session=5, uid=1000)
    sessions = Sessions(tree.proc)
    keys = [sessions.job_of(tree.proc.facts(pid)).key for pid in (5, 6, 7)]
    assert keys == ["session:7494866814e9:5:100"] * 2 + ["session:7494866814e9:5:100:1000"]
    assert sessions.job_of(tree.proc.facts(5)).user == "root"
