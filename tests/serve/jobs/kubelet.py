"""kubelet's side: its API as a real gRPC server on a Unix socket, protobuf's own messages, real cgroups."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import grpc
import pytest

HERE = Path(__file__).parent


@cache
def messages() -> Any:
    """The messages of the published API, from protobuf's own compiler."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from grpc_tools import protoc

    target = HERE / "pod_resources.proto"
    out = Path("/tmp") / f"pod_resources-{time.monotonic_ns()}.bin"
    include = str(files("grpc_tools") / "_proto")
    assert protoc.main(["protoc", f"-I{HERE}", f"-I{include}", f"--descriptor_set_out={out}", str(target)]) == 0
    described = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    out.unlink()
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.Add(file)
    found = message_factory.GetMessageClassesForFiles([described.file[0].name], pool)
    return type("Messages", (), {name.removeprefix("v1."): kind for name, kind in found.items()})


def answer(*pods: dict[str, Any]) -> bytes:
    return messages().ListPodResourcesResponse(pod_resources=list(pods)).SerializeToString()


def pod(name: str, *devices: str, namespace: str = "ml", container: str = "c", **more: Any) -> dict[str, Any]:
    given = [{"resource_name": more.pop("resource", "nvidia.com/gpu"), "device_ids": list(devices)}] if devices else []
    return {"namespace": namespace, "name": name, "containers": [{"name": container, "devices": given, **more}]}


class Kubelet(grpc.GenericRpcHandler):
    """Answers with `reply()`; `calls` counts."""

    def __init__(self, folder: Path, reply: Callable[[], bytes] = answer) -> None:
        self.socket, self.reply, self.calls = folder / "kubelet.sock", reply, 0
        self._server: grpc.Server | None = None

    def service(self, details: Any) -> Any:
        if details.method != "/v1.PodResourcesLister/List":
            return None
        return grpc.unary_unary_rpc_method_handler(self._list)

    def _list(self, request: bytes, context: Any) -> bytes:
        assert request == b""
        self.calls += 1
        return self.reply()

    def start(self) -> None:
        """As kubelet starts: what is there of the socket is removed, and it is made anew."""
        self.socket.unlink(missing_ok=True)
        self._server = grpc.server(ThreadPoolExecutor(2), handlers=[self])
        self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(None).wait()
        self.socket.unlink(missing_ok=True)


@contextmanager
def hierarchy() -> Iterator[Path]:
    """The folder ``kubepods.slice`` of our own in a mounted hierarchy of cgroups."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    mounts = [Path(line[1]) for line in lines if line[2] == "cgroup2"]
    mounts += [Path(line[1]) for line in lines if line[2] == "cgroup" and "freezer" in line[3].split(",")]
    root = next((mount for mount in mounts if os.access(mount, os.W_OK)), None)
    if root is None:
        pytest.fail("no hierarchy of cgroups that can be written to; these tests need root")
    made = root / "kubepods.slice"
    with (Path(tempfile.gettempdir()) / "hashwarden-kubepods.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run side by side; there is one root
        yield from _made(made)


def _made(made: Path) -> Iterator[Path]:
    if made.exists():
        pytest.fail("there are pods on this machine")
    made.mkdir()
    try:
        yield made
    finally:
        for folder in sorted((f for f in made.rglob("*") if f.is_dir()), key=lambda f: -len(f.parts)):
            folder.rmdir()
        made.rmdir()


@contextmanager
def sleeper(folder: Path, *, own_namespace: bool = False) -> Iterator[int]:
    """PID of a process in a cgroup; in a cgroup namespace of its own that begins there, if asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    enter = f"echo $$ > {folder}/cgroup.procs; echo; exec {'unshare -C ' if own_namespace else ''}sleep 60"
    with subprocess.Popen(["sh", "-c", enter], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        ours, its = (Path(f"/proc/{who}/ns/cgroup") for who in ("self", process.pid))
        while own_namespace and its.readlink() == ours.readlink():
            os.sched_yield()
        try:
            yield process.pid
        finally:
            process.kill()
            process.wait()
