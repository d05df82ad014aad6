"""kubelet's side of the pod-resources API: a real gRPC server on a Unix socket, and protobuf's own messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import grpc

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
