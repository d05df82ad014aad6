"""Paths as kubelet and the runtimes make them, paths that only look so, and the kernel's words about real cgroups."""

import importlib.util
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashwarden.serve.jobs.kubernetes_cgroup import LONGEST_PATH, ContainerPlace, place_of, place_of_path

_SPEC = importlib.util.spec_from_file_location("kubelet", Path(__file__).parent / "kubelet.py")
kubelet = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(kubelet)

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


def _paths(pid: int, *, seen_from: int | None = None) -> list[str]:
    """Of /proc/PID/cgroup, as read in the cgroup namespace of another process."""
    command = ["cat", f"/proc/{pid}/cgroup"]
    if seen_from is not None:
        command = ["nsenter", "-t", str(seen_from), "-C", *command]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split(":", 2)[2] for line in text.splitlines()]


def test_what_the_kernel_says_of_real_cgroups():
    with ExitStack() as stack:
        root = stack.enter_context(kubelet.hierarchy())
        container = root / "kubepods-burstable.slice" / POD / f"cri-containerd-{ID}.scope"
        agents = root / f"kubepods-pod{OTHER.replace('-', '_')}.slice" / f"cri-containerd-{OTHER_ID}.scope"
        watched = stack.enter_context(kubelet.sleeper(container))
        agent = stack.enter_context(kubelet.sleeper(agents, own_namespace=True))
        forger = stack.enter_context(kubelet.sleeper(container / "kubepods.slice" / f"kubepods-pod{OTHER}.slice"))
        assert place_of(_paths(watched)) == HERE
        assert place_of(_paths(forger)) == HERE
        seen = _paths(watched, seen_from=agent)
        assert any(path.startswith("/../") for path in seen), seen
        assert place_of(seen) == HERE
        assert place_of(_paths(forger, seen_from=agent)) == HERE
        assert place_of(_paths(os.getpid(), seen_from=agent)) is None
