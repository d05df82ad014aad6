"""Paths as kubelet and the runtimes make them, paths that only look so, and the kernel's words about real cgroups."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashwarden.serve.jobs.kubernetes_cgroup import LONGEST_PATH, ContainerPlace, place_of, place_of_path

UID = "2c48913c-b29f-11e7-9350-020968147796"
OTHER = "ffffffff-b29f-11e7-9350-020968147796"
ID = "0123456789abcdef" * 4
OTHER_ID = "f" * 64
UNDER = UID.replace("-", "_")
HERE = ContainerPlace(UID, ID)

POD = f"kubepods-burstable-pod{UNDER}.slice"
SYSTEMD = f"/kubepods.slice/kubepods-burstable.slice/{POD}"


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/burstable/pod{UID}/{ID}",
        f"/kubepods/besteffort/pod{UID}/{ID}",
        f"/kubepods/pod{UID}/{ID}",
        f"{SYSTEMD}/cri-containerd-{ID}.scope",
        f"{SYSTEMD}/crio-{ID}.scope",
        f"{SYSTEMD}/crio-{ID}.scope/container",
        f"{SYSTEMD}/docker-{ID}.scope",
        f"/kubepods.slice/kubepods-pod{UNDER}.slice/cri-containerd-{ID}.scope",
        f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UNDER}.slice/docker-{ID}.scope",
        f"/kubelet/kubepods/burstable/pod{UID}/{ID}",
        f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-{POD}/cri-containerd-{ID}.scope",
        f"/system.slice/containerd.service/{POD}:cri-containerd:{ID}",
        f"/{POD}:cri-containerd:{ID}",
        f"{SYSTEMD}/cri-containerd-{ID}.scope/init.scope/work",
        f"/../../{POD}/cri-containerd-{ID}.scope",
        f"/../../../kubepods-besteffort.slice/kubepods-besteffort-pod{UNDER}.slice/crio-{ID}.scope",
        f"/../../pod{UID}/{ID}",
        f"/../../../burstable/pod{UID}/{ID}/inner",
    ],
)
def test_every_driver_and_runtime(path):
    assert place_of_path(path) == HERE


def test_what_runs_in_the_pod_but_in_no_container():
    assert place_of_path(SYSTEMD) == ContainerPlace(UID, "")
    assert place_of_path(f"{SYSTEMD}/crio-conmon-{ID}.scope") == ContainerPlace(UID, "")


def test_the_hash_of_a_static_pod():
    plain = UID.replace("-", "")
    assert place_of_path(f"/kubepods/burstable/pod{plain}/{ID}") == ContainerPlace(plain, ID)


def test_a_container_that_looks_like_another_pod_further_in_says_nothing():
    inner = f"kubepods.slice/kubepods-pod{OTHER.replace('-', '_')}.slice/cri-containerd-{OTHER_ID}.scope"
    assert place_of_path(f"{SYSTEMD}/cri-containerd-{ID}.scope/{inner}") == HERE
    assert place_of_path(f"{SYSTEMD}/{inner}") == ContainerPlace(UID, "")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "relative",
        f"/user.slice/user-1000.slice/user@1000.service/kubepods.slice/{POD}/cri-containerd-{ID}.scope",
        f"/system.slice/docker-{ID}.scope",
        f"/docker/{ID}/kubepods/burstable/pod{UID}/{ID}",
        f"/pod{UID}/{ID}",
        f"/{POD}/cri-containerd-{ID}.scope",
        f"/home/{POD}:cri-containerd:{ID}",
        "/kubepods.slice",
        f"/kubepods/burstable/pod{UID}x/{ID}",
        f"/kubepods/../pod{UID}/{ID}",
        f"/../../cri-containerd-{ID}.scope",
        "/../..",
        f"/kubepods/pod{UID.upper()}/{ID}",
        "/kubepods" * 1000,
    ],
)
def test_what_is_no_pods(path):
    assert place_of_path(path) is None


def test_a_path_beyond_all_measure_is_not_read():
    assert place_of_path(f"{SYSTEMD}/cri-containerd-{ID}.scope/" + "x" * LONGEST_PATH) is None


def test_hierarchies_agree_or_nothing_is_said():
    v1 = [f"{SYSTEMD}/cri-containerd-{ID}.scope", "/", f"/kubepods/burstable/pod{UID}/{ID}"]
    assert place_of(v1) == HERE
    assert place_of([*v1, f"/kubepods/pod{OTHER}/{ID}"]) is None
    assert place_of(["/", "/init.scope"]) is None


@given(st.lists(st.sampled_from(["..", "kubepods.slice", POD, f"pod{UID}", ID, "", ".", "x", "kubelet"]), max_size=8))
def test_no_path_makes_it_stumble_or_name_somebody_else(parts):
    place = place_of_path("/" + "/".join(parts))
    assert place is None or place.pod_uid == UID


@pytest.fixture
def hierarchy() -> Iterator[Path]:
    """A cgroup of our own in a mounted hierarchy of the kernel."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    mounts = [Path(line[1]) for line in lines if line[2] == "cgroup2"]
    mounts += [Path(line[1]) for line in lines if line[2] == "cgroup" and "freezer" in line[3].split(",")]
    root = next((mount for mount in mounts if os.access(mount, os.W_OK)), None)
    if root is None:
        pytest.fail("no hierarchy of cgroups that can be written to; these tests need root")
    made = root / "kubepods.slice"
    if made.exists():
        pytest.skip("this machine is a node of Kubernetes")
    yield made
    for folder in sorted(made.rglob("*"), key=lambda p: -len(p.parts)) if made.exists() else ():
        if folder.is_dir():
            folder.rmdir()
    made.rmdir()


def _paths(pid: int, *, seen_from: int | None = None) -> list[str]:
    """Of /proc/PID/cgroup, as read in the cgroup namespace of another process."""
    command = ["cat", f"/proc/{pid}/cgroup"]
    if seen_from is not None:
        command = ["nsenter", "-t", str(seen_from), "-C", *command]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split(":", 2)[2] for line in text.splitlines()]


def _sleeper(folder: Path, *, own_namespace: bool = False) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    enter = f"echo $$ > {folder}/cgroup.procs; echo; exec {'unshare -C ' if own_namespace else ''}sleep 60"
    process = subprocess.Popen(["sh", "-c", enter], stdout=subprocess.PIPE)
    process.stdout.readline()
    ours, its = (Path(f"/proc/{who}/ns/cgroup") for who in ("self", process.pid))
    while own_namespace and its.readlink() == ours.readlink():
        os.sched_yield()
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="cgroups are Linux's")
def test_what_the_kernel_says_of_real_cgroups(hierarchy):
    pod = hierarchy / "kubepods-burstable.slice" / POD
    watched = _sleeper(pod / f"cri-containerd-{ID}.scope")
    agent_pod = hierarchy / f"kubepods-pod{OTHER.replace('-', '_')}.slice"
    agent = _sleeper(agent_pod / f"cri-containerd-{OTHER_ID}.scope", own_namespace=True)
    forger = _sleeper(pod / f"cri-containerd-{ID}.scope" / "kubepods.slice" / f"kubepods-pod{OTHER}.slice")
    try:
        assert place_of(_paths(watched.pid)) == HERE
        assert place_of(_paths(forger.pid)) == HERE
        seen = _paths(watched.pid, seen_from=agent.pid)
        assert any(path.startswith("/../") for path in seen), seen
        assert place_of(seen) == HERE
        assert place_of(_paths(forger.pid, seen_from=agent.pid)) == HERE
        assert place_of(_paths(os.getpid(), seen_from=agent.pid)) is None
    finally:
        for process in (watched, agent, forger):
            process.kill()
            process.wait()
            process.stdout.close()
