"""What the OpenAPI document says of the inference pages: only what is true of them, for it is tested against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hashwarden.serve.api.engine import Engine
from hashwarden.serve.api.ports import DTYPES

__all__ = [
    "CONFIG", "INDEX", "LIVE", "MODEL", "MODEL_READY", "READY", "SERVER", "STATISTICS", "infer", "paths_of", "route",
]  # fmt: skip

_Schema = dict[str, Any]


def _object(required: tuple[str, ...] = (), **properties: _Schema) -> _Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


_WORD: Final[_Schema] = {"type": "string"}
_TRUTH: Final[_Schema] = {"type": "boolean"}
_LENGTH: Final[_Schema] = {"type": "integer", "minimum": 0}
_COUNT: Final[_Schema] = _object(("count", "ns"), count=_LENGTH, ns=_LENGTH)
_ERROR: Final[_Schema] = _object(("error",), error=_WORD)
_TENSOR: Final[_Schema] = _object(
    ("name", "datatype", "shape", "parameters"), name=_WORD, datatype=_WORD,
    shape={"type": "array", "items": {"type": "integer", "minimum": -1}}, parameters={"type": "object"},
)  # fmt: skip
_BYTES: Final[_Schema] = {"type": "string", "format": "binary"}


def _answer(words: str, schema: _Schema, **more: _Schema) -> dict[str, Any]:
    kinds = {
        "application/json": schema,
        **{kind.replace("_", "/", 1).replace("_", "-"): each for kind, each in more.items()},
    }
    return {"description": words, "content": {kind: {"schema": each} for kind, each in kinds.items()}}


def _page(summary: str, schema: _Schema, **statuses: str) -> dict[str, Any]:
    refusals = {status.removeprefix("s"): _answer(words, _ERROR) for status, words in statuses.items()}
    return {"summary": summary, "responses": {"200": _answer("The answer", schema), **refusals}}


LIVE: Final = _page("Whether the service runs", _object(("live",), live=_TRUTH))
READY: Final = _page("Whether every model gives its known answers", _object(("ready",), ready=_TRUTH))
READY["responses"]["503"] = _answer("One does not", _object(("ready",), ready=_TRUTH))
SERVER: Final = _page(
    "Name, version and extensions of the service",
    _object(("name", "version", "extensions"), name=_WORD, version=_WORD, extensions={"type": "array", "items": _WORD}),
)
_ENTRY: Final = _object(
    ("name", "version", "state", "reason"), name=_WORD, version=_WORD, reason=_WORD,
    state={"type": "string", "enum": ["READY", "UNAVAILABLE"]},
)  # fmt: skip
INDEX: Final = _page("The models", {"type": "array", "items": _ENTRY}, s400="Not understood", s413="Too large")
INDEX["requestBody"] = {
    "required": False, "content": {"application/json": {"schema": _object(ready=_TRUTH)}},
}  # fmt: skip
MODEL: Final = _page(
    "Tensors, versions and identity of a model; parameters.columns names the columns of each tensor",
    _object(("name", "versions", "platform", "inputs", "outputs", "parameters"), name=_WORD, platform=_WORD,
            versions={"type": "array", "items": _WORD}, inputs={"type": "array", "items": _TENSOR},
            outputs={"type": "array", "items": _TENSOR}, parameters={"type": "object"}),
    s404="No such model or version",
)  # fmt: skip
_IS_READY: Final = _object(("name", "ready"), name=_WORD, ready=_TRUTH)
MODEL_READY: Final = _page("Whether a model gives its known answers", _IS_READY, s404="No such model or version")
MODEL_READY["responses"]["503"] = _answer("It does not", _IS_READY)
CONFIG: Final = _page(
    "A model's configuration, in Triton's words", _object(("name", "input", "output"), name=_WORD),
    s404="No such model or version",
)  # fmt: skip
STATISTICS: Final = _page(
    "How often a model was asked, and how long it took",
    _object(("model_stats",), model_stats={"type": "array", "items": _object(
        ("name", "version", "last_inference", "inference_count", "execution_count", "inference_stats"),
        name=_WORD, version=_WORD, last_inference=_LENGTH, inference_count=_LENGTH, execution_count=_LENGTH,
        inference_stats={"type": "object", "additionalProperties": _COUNT},
    )}),
    s404="No such model or version",
)  # fmt: skip


def infer(engine: Engine) -> dict[str, Any]:
    """The description of the page that scores."""
    port = [port for model in engine.models.values() for port in model.inputs]
    tensor = _object(
        ("name", "shape", "datatype"),
        name={"type": "string", "enum": sorted({each.name for each in port})},
        shape={"type": "array", "items": _LENGTH, "minItems": 1, "maxItems": 2},
        datatype={"type": "string", "enum": list(DTYPES)},
        parameters=_object(binary_data_size=_LENGTH), data={"type": "array"},
    )  # fmt: skip
    output = _object(("name",), name=_WORD, parameters=_object(binary_data=_TRUTH))
    request = _object(
        ("inputs",), id=_WORD, parameters=_object(binary_data_output=_TRUTH),
        inputs={"type": "array", "items": tensor, "minItems": 1}, outputs={"type": "array", "items": output},
    )  # fmt: skip
    given = _object(("name", "datatype", "shape"), name=_WORD, datatype={"type": "string", "enum": ["FP32"]},
                    shape={"type": "array", "items": _LENGTH},
                    data={"type": "array", "items": {"type": "number"}})  # fmt: skip
    answer = _object(
        ("model_name", "model_version", "outputs"), model_name=_WORD, model_version=_WORD, id=_WORD,
        outputs={"type": "array", "items": given},
    )  # fmt: skip
    return {
        "summary": "Score a batch",
        "description": "JSON, or JSON with bytes behind it (binary tensor data); the body may be gzip or deflate.",
        "requestBody": {"required": True, "content": {
            "application/json": {"schema": request, "example": _example(engine)},
            "application/octet-stream": {"schema": _BYTES}}},
        "responses": {
            "200": _answer("The scores", answer, application_octet_stream=_BYTES),
            "400": _answer("Not understood, or tensors that do not fit", _ERROR),
            "404": _answer("No such model or version", _ERROR),
            "413": _answer("Too large, or too many rows", _ERROR),
            "415": _answer("A content coding that is not read", _ERROR),
            "503": _answer("Too much at once, or a model that may not judge", _ERROR),
        },
        "parameters": [{"name": "Inference-Header-Content-Length", "in": "header", "required": False,
                        "schema": _LENGTH, "description": "Bytes of the JSON, if tensors follow it as bytes"}],
    }  # fmt: skip


def _example(engine: Engine) -> dict[str, Any]:
    """The smallest request of the first model that is answered: a row of zeros in each input that it must have."""
    needed = [port for port in next(iter(engine.models.values())).inputs if not port.optional]
    return {"inputs": [
        {"name": port.name, "shape": [1, port.width or 1], "datatype": port.datatype, "data": [0.0] * (port.width or 1)}
        for port in needed
    ]}  # fmt: skip


def paths_of(path: str) -> list[str]:
    """A path, and the one that names a version too if it is of a model."""
    base = "/v2/models/{model}"
    return [path, path.replace(base, base + "/versions/{version}")] if path.startswith(base) else [path]


def route(engine: Engine, path: str, described: Mapping[str, Any]) -> dict[str, Any]:
    """What FastAPI is told of a route."""
    parameters = [*described.get("parameters", [])]
    if "{model}" in path:
        parameters.append(_in_path("model", [*engine.models]))
    if "{version}" in path:
        known = dict.fromkeys(version for each in engine.models.values() for version in each.versions)
        parameters.append(_in_path("version", [*known]))
    words = [word.strip("{}") for word in path.split("/")[1:]]
    extra = {key: described[key] for key in ("requestBody",) if key in described}
    return {
        "summary": described["summary"], "description": described.get("description", ""),
        "operation_id": "_".join(words), "openapi_extra": {"parameters": parameters, **extra},
        "responses": {int(status): each for status, each in described["responses"].items()},
    }  # fmt: skip


def _in_path(name: str, known: list[str]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": known},
            "example": known[0]}  # fmt: skip
