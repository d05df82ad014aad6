"""The Open Inference Protocol over gRPC: one function for each call, from message to message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from threading import Semaphore
from typing import Any, Final

import orjson

from hashwarden.serve.api.engine import Engine
from hashwarden.serve.api.grpc_asked import filled, read_message
from hashwarden.serve.api.grpc_messages import messages
from hashwarden.serve.api.models import Served
from hashwarden.serve.api.refusal import RefusedError

__all__ = ["OPEN", "Call", "calls", "stream"]

Call = Callable[[Any], Any]

OPEN: Final = ("ServerLive", "ServerReady")
"""What needs no token."""

_FP32: Final = 11
"""TYPE_FP32 in Triton's model_config.proto."""


def calls(engine: Engine, gate: Semaphore) -> Mapping[str, Call]:
    """The calls of one request and one answer, by name; `gate` is passed by as many at once as may score."""
    make = messages()

    def index(request: Any) -> Any:  # noqa: ANN401
        return make["RepositoryIndexResponse"](models=engine.index(request.ready))

    def statistics(request: Any) -> Any:  # noqa: ANN401
        asked = [_found(engine, request)] if request.name else [*engine.models.values()]
        return make["ModelStatisticsResponse"](**engine.statistics(asked))

    return {
        "ServerLive": lambda _: make["ServerLiveResponse"](live=True),
        "ServerReady": lambda _: make["ServerReadyResponse"](ready=engine.ready),
        "ServerMetadata": lambda _: make["ServerMetadataResponse"](**engine.metadata()),
        "ModelReady": lambda request: make["ModelReadyResponse"](ready=not _found(engine, request).fault),
        "ModelMetadata": lambda request: make["ModelMetadataResponse"](**_metadata(_found(engine, request))),
        "ModelInfer": lambda request: _infer(engine, gate, request),
        "ModelConfig": lambda request: make["ModelConfigResponse"](config=_config(engine, _found(engine, request))),
        "ModelStatistics": statistics,
        "RepositoryIndex": index,
    }


def stream(engine: Engine, gate: Semaphore) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """The call of many requests and as many answers, in order; a refusal is an answer too."""
    make = messages()["ModelStreamInferResponse"]

    def answered(requests: Iterator[Any]) -> Iterator[Any]:
        for request in requests:
            try:
                yield make(infer_response=_infer(engine, gate, request))
            except RefusedError as error:
                yield make(error_message=str(error), infer_response={"id": request.id})

    return answered


def _infer(engine: Engine, gate: Semaphore, request: Any) -> Any:  # noqa: ANN401
    model = engine.find(request.model_name, request.model_version)
    response = messages()["ModelInferResponse"]()
    with gate:
        return engine.counted(
            model, lambda: read_message(request, model, engine.limits), lambda *each: filled(response, model, *each)
        )


def _found(engine: Engine, request: Any) -> Served:  # noqa: ANN401
    if not request.name:
        raise RefusedError("no name of a model", " or ".join(engine.models), "Name one.", status=HTTPStatus.NOT_FOUND)
    return engine.find(request.name, request.version)


def _metadata(model: Served) -> dict[str, Any]:
    found = model.metadata()
    for port in [*found["inputs"], *found["outputs"]]:
        port["parameters"] = _parameters(port["parameters"])
    found["parameters"] = _parameters(found["parameters"])
    return found


def _parameters(values: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """As parameters of the protocol, which are flags or text; a list goes as JSON."""
    return {
        name: {"bool_param": value} if isinstance(value, bool)
        else {"string_param": value if isinstance(value, str) else orjson.dumps(value).decode()}
        for name, value in values.items()
    }  # fmt: skip


def _config(engine: Engine, model: Served) -> dict[str, Any]:
    found = engine.config(model)
    for tensor in [*found["input"], *found["output"]]:
        tensor["data_type"] = _FP32
    return found
