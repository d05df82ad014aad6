"""The gRPC server: threads, bounds on messages and calls, a bearer token in the metadata, on TCP or a Unix socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import Semaphore
from typing import TYPE_CHECKING, Any, Final, final

from hashwarden.errors import MissingExtraError, UsageError
from hashwarden.serve.api.engine import Engine
from hashwarden.serve.api.refusal import RefusedError

if TYPE_CHECKING:
    import grpc

__all__ = ["Authorise", "GrpcServer"]

Authorise = Callable[[str], None]
"""Given the bearer token of a call, empty if there is none; raises `RefusedError` with 401 or 403."""

_SERVICE: Final = "inference.GRPCInferenceService"
_BEARER: Final = "bearer "
_OPTIONS: Final = {
    "grpc.max_metadata_size": 16 * 1024, "grpc.so_reuseport": 0,
    "grpc.max_connection_age_ms": 300_000, "grpc.max_connection_age_grace_ms": 10_000,
    "grpc.keepalive_time_ms": 30_000, "grpc.keepalive_timeout_ms": 10_000,
}  # fmt: skip
"""Clients connect anew by themselves when a connection is at its end; only calls that are still open then are lost."""

_CODES: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
}  # fmt: skip
"""gRPC's codes for HTTP statuses."""


@final
class GrpcServer:
    """The protocol on one address.

    Parameters
    ----------
    engine : Engine
    address : str
        ``127.0.0.1:8001``, or ``unix:/run/hashwarden/grpc.sock``. Port 0 takes a free one.
    authorise : callable, optional
        Asked of every call but those of health; everybody may call if None.
    credentials : grpc.ServerCredentials, optional
        TLS; plain if None.
    threads : int
        Calls at one time; further ones end with RESOURCE_EXHAUSTED. A call has a thread as long as its client takes to
        send it, so that a quarter of them at most are streams, and a connection lives five minutes.

    Raises
    ------
    MissingExtraError
        If grpcio or protobuf is not installed.
    UsageError
        If the address cannot be used.
    """

    def __init__(
        self, engine: Engine, address: str, authorise: Authorise | None = None,
        credentials: grpc.ServerCredentials | None = None, threads: int = 32,
    ) -> None:  # fmt: skip
        grpc, handler = _handler(engine, authorise, max(1, threads // 4))
        most = engine.limits.body_bytes
        options = [("grpc.max_receive_message_length", most), ("grpc.max_send_message_length", most), *_OPTIONS.items()]
        pool = ThreadPoolExecutor(threads, thread_name_prefix="grpc")
        self._server = grpc.server(pool, [handler], options=options, maximum_concurrent_rpcs=threads)
        try:
            self.port = int(
                self._server.add_insecure_port(address) if credentials is None
                else self._server.add_secure_port(address, credentials)
            )  # fmt: skip
        except RuntimeError as error:
            raise UsageError(f"the address {address!r}, which cannot be listened on", "a free address of this machine",
                             "Choose another, or end what uses it.") from error  # fmt: skip

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """Take no more calls, and end when those that run are answered or the time is over."""
        self._server.stop(grace_s).wait()


def _handler(engine: Engine, authorise: Authorise | None, streams: int) -> tuple[Any, Any]:
    try:
        import grpc

        from hashwarden.serve.api.grpc_messages import messages
        from hashwarden.serve.api.grpc_service import OPEN, calls, stream

        make = messages()
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(error.name or "grpcio", "api") from error
    gate, room = Semaphore(engine.limits.threads), Semaphore(streams)
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            _one(grpc, call, None if name in OPEN else authorise),
            make[f"{name}Request"].FromString, make[f"{name}Response"].SerializeToString,
        )
        for name, call in calls(engine, gate).items()
    }  # fmt: skip
    handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
        _many(grpc, stream(engine, gate), authorise, room),
        make["ModelInferRequest"].FromString, make["ModelStreamInferResponse"].SerializeToString,
    )  # fmt: skip
    return grpc, grpc.method_handlers_generic_handler(_SERVICE, handlers)


def _one(grpc: Any, call: Callable[[Any], Any], authorise: Authorise | None) -> Callable[[Any, Any], Any]:  # noqa: ANN401
    def answered(request: Any, context: Any) -> Any:  # noqa: ANN401
        try:
            _admitted(context, authorise)
            return call(request)
        except RefusedError as error:
            return context.abort(_code(grpc, error), str(error))

    return answered


def _many(
    grpc: Any, call: Callable[[Iterator[Any]], Iterator[Any]], authorise: Authorise | None, room: Semaphore  # noqa: ANN401
) -> Callable[[Iterator[Any], Any], Iterator[Any]]:  # fmt: skip
    def answered(requests: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: ANN401
        try:
            _admitted(context, authorise)
            if not room.acquire(blocking=False):
                raise RefusedError("too many streams", "fewer", "Send single requests, or try again later.",
                                   status=HTTPStatus.TOO_MANY_REQUESTS)  # fmt: skip
        except RefusedError as error:
            context.abort(_code(grpc, error), str(error))
        try:
            yield from call(requests)
        finally:
            room.release()

    return answered


def _admitted(context: Any, authorise: Authorise | None) -> None:  # noqa: ANN401
    if authorise is None:
        return
    sent = [value for key, value in context.invocation_metadata() if key == "authorization"]
    if len(sent) > 1 or (sent and not sent[0].lower().startswith(_BEARER)):
        raise RefusedError("an authorization that is not understood", "Bearer and a token", "Send one.",
                           status=HTTPStatus.UNAUTHORIZED)  # fmt: skip
    authorise(sent[0][len(_BEARER):].strip() if sent else "")  # fmt: skip


def _code(grpc: Any, error: RefusedError) -> Any:  # noqa: ANN401
    return getattr(grpc.StatusCode, _CODES.get(error.status, "INTERNAL"))
