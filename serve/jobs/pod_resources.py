"""kubelet's pod-resources API: which container of this node was given which devices, over gRPC on a Unix socket.

kubelet makes its socket anew whenever it starts, so the folder is what has to be mounted, and a channel that failed is
thrown away. kubelet answers at most 100 calls a second to everybody on the node together: this asks at most once in
`every_s`, and backs off while there is no answer. The API is v1 ``PodResourcesLister``, on by default since
Kubernetes 1.20 and stable since 1.28: https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from hashwarden.errors import MissingExtraError
from hashwarden.serve.jobs.pod_resources_wire import ContainerDevices, WireError, read_allocatable, read_pods
from hashwarden.serve.jobs.provider import ProviderAway
from hashwarden.serve.scan.text import printable, shorten

if TYPE_CHECKING:
    import grpc

__all__ = ["SOCKET", "PodResources"]

SOCKET: Final = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
"""Where kubelet makes it."""

LONGEST_ANSWER: Final = 8 << 20
"""Bytes: the message of 250 pods and 8 GPUs has 18 kB, with lists of CPUs and memory and a second container 32 kB."""

_LIST: Final = "/v1.PodResourcesLister/List"
_ALLOCATABLE: Final = "/v1.PodResourcesLister/GetAllocatableResources"
_LONGEST_WAIT_S: Final = 60.0


def _grpc() -> Any:  # noqa: ANN401  the package has no types
    # Its handlers of fork let children abort, or wait for ever, while another thread makes a call.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    try:
        import grpc
    except ImportError as error:
        raise MissingExtraError.of("grpcio", "kubernetes") from error
    return grpc


@final
class PodResources:
    """What containers were given, as kubelet said last. One thread at a time.

    Parameters
    ----------
    socket : Path
        kubelet's socket; it need not be there yet.
    timeout_s : float
        Longest wait for an answer.
    every_s : float
        Shortest time between two questions.
    clock : callable
        Seconds, monotonic.

    Raises
    ------
    MissingExtraError
        If grpcio is not installed.
    """

    def __init__(
        self,
        socket: Path = SOCKET,
        *,
        timeout_s: float = 5.0,
        every_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._grpc = _grpc()
        self._socket, self._timeout_s, self._every_s, self._clock = socket, timeout_s, every_s, clock
        self._channel: grpc.Channel | None = None
        self._next_s = float("-inf")
        self._failures = 0
        self._why = ""
        self._known: Sequence[ContainerDevices] = ()

    @property
    def known(self) -> Sequence[ContainerDevices]:
        """What was said last; empty before."""
        return self._known

    def refresh(self, *, soon: bool = False) -> bool:
        """Ask, if it is time to, and keep the answer.

        Parameters
        ----------
        soon : bool
            Whether something is there that the last answer does not explain: then a second is enough between two.

        Returns
        -------
        bool
            Whether there is an answer that is new.

        Raises
        ------
        ProviderAway
            If there was none, this time or the last; what was said before stays in `known`.
        """
        now = self._clock()
        due = self._next_s - (self._every_s - 1.0 if soon and not self._failures and self._every_s > 1.0 else 0.0)
        if now < due:
            if self._failures:
                raise ProviderAway(self._why)
            return False
        try:
            self._known = read_pods(self._call(_LIST))
        except (ProviderAway, WireError) as error:
            self._failures += 1
            self._next_s = now + min(self._every_s * 2.0 ** min(self._failures - 1, 10), _LONGEST_WAIT_S)
            self._why = f"kubelet's pod-resources API at {self._socket}: {shorten(printable(str(error)), 300)}"
            self.close()
            raise ProviderAway(self._why) from error
        self._failures, self._next_s = 0, now + self._every_s
        return True

    def allocatable(self) -> list[tuple[str, str]]:
        """Ask at once which devices of the node could be given: name of the resource and id of each.

        Raises
        ------
        ProviderAway
            If there is no answer, or none that can be read.
        """
        try:
            return read_allocatable(self._call(_ALLOCATABLE))
        except WireError as error:
            raise ProviderAway(f"kubelet's pod-resources API: {error}") from error

    def _call(self, method: str) -> bytes:
        """Answer to an empty message."""
        grpc = self._grpc
        if not self._socket.exists():
            raise ProviderAway("there is no such socket; is the folder mounted, and does kubelet run?")
        if self._channel is None:
            self._channel = grpc.insecure_channel(f"unix:{self._socket}", options=list(_options().items()))
        call = self._channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        try:
            answer: bytes = call(b"", timeout=self._timeout_s)
        except grpc.RpcError as error:
            self.close()
            raise ProviderAway(_said(error)) from error
        return answer

    def close(self) -> None:
        """Give the connection back; the next question makes a new one."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()


def _options() -> Mapping[str, Any]:
    """Settings of a channel: no proxy, no reconnecting in the background, no more bytes than `LONGEST_ANSWER`."""
    return {
        "grpc.default_authority": "localhost",
        "grpc.enable_http_proxy": 0,
        "grpc.enable_retries": 0,
        "grpc.max_receive_message_length": LONGEST_ANSWER,
        "grpc.max_metadata_size": 16 << 10,
        "grpc.use_local_subchannel_pool": 1,
    }


def _said(error: Any) -> str:  # noqa: ANN401  grpc's errors are calls too, and it has no types for that
    """Status and words of a failed call."""
    return f"{error.code().name}: {error.details()}"
