"""What a client asks of a model, read from the body of an HTTP request: JSON, and bytes behind it where it says so.

Nothing is believed: every word is checked before it is used, and no tensor is made before its type and shape fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, final

import numpy.typing as npt
import orjson

from hashwarden.serve.api.models import Served
from hashwarden.serve.api.ports import Port, quoted
from hashwarden.serve.api.refusal import RefusedError
from hashwarden.serve.api.tensors import of_bytes, of_json

__all__ = ["Asked", "Limits", "outputs_of", "port_of", "read_asked"]

_OTHERS: Final = ("shared_memory_region", "classification")
"""Extensions of tensors that are not served."""

_SEQUENCES: Final = "sequence_id"


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a request.

    Attributes
    ----------
    rows : int
        Largest batch.
    body_bytes : int
        Of a request, unpacked.
    json_bytes : int
        Of the JSON in it: numbers as text take tens of times their size in memory while they are read.
    inline_bytes : int
        Requests up to this size are scored at once, between two others; larger ones by a thread.
    threads : int
        Requests that are scored at once by threads.
    waiting : int
        Requests that wait for such a thread; further ones are refused with 503.
    """

    rows: int = 16_384
    body_bytes: int = 32 * 2**20
    json_bytes: int = 8 * 2**20
    inline_bytes: int = 128 * 2**10
    threads: int = 2
    waiting: int = 64


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be answered.

    Attributes
    ----------
    id : str
        What the client calls it; empty if it does not.
    tensors : mapping of str to array
    outputs : mapping of str to bool
        The outputs to give, in order, and whether as bytes.
    """

    id: str
    tensors: Mapping[str, npt.NDArray[Any]]
    outputs: Mapping[str, bool]


def read_asked(body: memoryview, json_length: int | None, model: Served, limits: Limits) -> Asked:
    """Read a request.

    Parameters
    ----------
    body : memoryview
        Unpacked.
    json_length : int or None
        Of the JSON at the start of the body, as ``Inference-Header-Content-Length`` says; None if it is all.
    model : Served
    limits : Limits

    Raises
    ------
    RefusedError
    """
    length = len(body) if json_length is None else json_length
    if length > len(body):
        raise RefusedError(f"JSON of {length} bytes", f"at most the {len(body)} of the body",
                           "Send the whole body.", where="Inference-Header-Content-Length")  # fmt: skip
    if length > limits.json_bytes:
        raise RefusedError(f"JSON of {length} bytes", f"at most {limits.json_bytes}",
                           "Send large tensors as bytes (binary tensor data).",
                           status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)  # fmt: skip
    request = _object(_loaded(body[:length]), "the request")
    name, parameters = request.get("id", ""), _parameters(request, "the request")
    if not isinstance(name, str):
        raise _wrong("id", name, "text")
    if _SEQUENCES in parameters:
        raise RefusedError("a sequence", "requests that stand alone",
                           "Send the state that the step before gave, or push samples to the job API.",
                           where=_SEQUENCES)  # fmt: skip
    binary = _flag(parameters, "binary_data_output", default=False)
    return Asked(name, _tensors(request, body[length:], model, limits), _outputs(request, binary, model))


def port_of(model: Served, name: object, seen: Mapping[str, object]) -> Port:
    """The input with this name.

    Raises
    ------
    RefusedError
        If there is none, or it came already.
    """
    for port in model.inputs:
        if port.name == name:
            break
    else:
        known = ", ".join(port.name for port in model.inputs)
        raise RefusedError(f"an input named {quoted(name)}", known, "Ask for the model's metadata.",
                           where=f"model {model.name}")  # fmt: skip
    if port.name in seen:
        raise RefusedError("an input that is there twice", "one tensor for each input", "Send it once.",
                           where=f"input {port.name}")  # fmt: skip
    return port


def outputs_of(model: Served, names: Mapping[object, bool], binary: bool) -> Mapping[str, bool]:
    """The outputs to give: those that were asked for, or all.

    Raises
    ------
    RefusedError
        If the model has none of that name.
    """
    known = [port.name for port in model.outputs]
    if not names:
        return dict.fromkeys(known, binary)
    found: dict[str, bool] = {}
    for name, own in names.items():
        if not isinstance(name, str) or name not in known:
            raise RefusedError(f"an output named {quoted(name)}", ", ".join(known), "Ask for the model's metadata.",
                               where=f"model {model.name}")  # fmt: skip
        found[name] = own
    return found


def _tensors(
    request: Mapping[str, Any], data: memoryview, model: Served, limits: Limits
) -> dict[str, npt.NDArray[Any]]:
    found: dict[str, npt.NDArray[Any]] = {}
    at = 0
    for item in _list(request.get("inputs"), "inputs"):
        entry = _object(item, "an input")
        port = port_of(model, entry.get("name"), found)
        shape = _shape(entry.get("shape"), port)
        port.check(entry.get("datatype"), shape, limits.rows)
        parameters = _parameters(entry, f"input {port.name}")
        size = parameters.get("binary_data_size")
        if size is None:
            values = _list(entry.get("data"), f"data of input {port.name}")
            found[port.name] = of_json(values, entry["datatype"], shape, port.name)
            continue
        if type(size) is not int or size < 0 or "data" in entry:
            raise _wrong(f"binary_data_size of input {port.name}", size, "its bytes, and no data beside it")
        found[port.name] = of_bytes(data[at : at + size], entry["datatype"], shape, port.name)
        at += size
    if at != len(data):
        raise RefusedError(f"{len(data)} bytes behind the JSON", f"the {at} that binary_data_size tells of",
                           "Send the whole body, and Inference-Header-Content-Length with it.")  # fmt: skip
    return found


def _outputs(request: Mapping[str, Any], binary: bool, model: Served) -> Mapping[str, bool]:
    names: dict[object, bool] = {}
    for item in _list(request.get("outputs", []), "outputs"):
        entry = _object(item, "an output")
        parameters = _parameters(entry, "an output")
        name = entry.get("name")
        if not isinstance(name, str):
            raise _wrong("the name of an output", name, "text")
        names[name] = _flag(parameters, "binary_data", default=binary)
    return outputs_of(model, names, binary)


def _loaded(text: memoryview) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if b"NaN" in bytes(text):
            return _with_nan(bytes(text))
        raise _no_json(str(error)) from None


def _with_nan(text: bytes) -> object:
    """NaN is no JSON, but what some clients write for a missing value, Triton's among them."""
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise _no_json(str(error)) from None


def _no_json(why: str) -> RefusedError:
    return RefusedError(f"a body that is no JSON ({why[:120]})", "an inference request",
                        "Where bytes follow the JSON, send Inference-Header-Content-Length.")  # fmt: skip


def _shape(value: object, port: Port) -> list[int]:
    if isinstance(value, list) and all(type(each) is int and each >= 0 for each in value):
        return value
    raise _wrong(f"the shape of input {port.name}", value, "a list of lengths, 0 or more")


def _parameters(entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    found = _object(entry.get("parameters", {}), f"parameters of {where}")
    for name in _OTHERS:
        if name in found:
            raise RefusedError(f"the extension {name}", "tensors in the request and the answer",
                               "Leave it out.", where=where)  # fmt: skip
    return found


def _flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(name, value, "true or false")
    return value


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(what, value, "an object")
    return value


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(what, value, "a list")
    return value


def _wrong(what: str, value: object, expected: str) -> RefusedError:
    return RefusedError(quoted(value), expected, "See the service's OpenAPI document.", where=what)
