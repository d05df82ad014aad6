"""What a client asks of a model over gRPC, read from a message; raw bytes, or numbers of the tensor's type."""

from __future__ import annotations

from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashwarden.serve.api.asked import Asked, Limits, outputs_of, port_of
from hashwarden.serve.api.models import Served
from hashwarden.serve.api.ports import DTYPES
from hashwarden.serve.api.refusal import RefusedError
from hashwarden.serve.api.tensors import of_bytes

__all__ = ["filled", "read_message"]

Array = npt.NDArray[Any]

_CONTENTS: Final = {
    "FP32": "fp32_contents", "FP64": "fp64_contents", "BOOL": "bool_contents", "UINT8": "uint_contents",
}  # fmt: skip
_BYTE: Final = 255
_OTHERS: Final = ("shared_memory_region", "classification", "sequence_id")


def read_message(request: Any, model: Served, limits: Limits) -> Asked:  # noqa: ANN401  a message of protobuf
    """Read a ModelInferRequest.

    Raises
    ------
    RefusedError
    """
    _plain(request.parameters, "the request")
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise RefusedError(f"{len(raw)} raw contents", f"one for each of the {len(request.inputs)} inputs",
                           "Send all inputs raw, or none.")  # fmt: skip
    tensors: dict[str, Array] = {}
    for index, tensor in enumerate(request.inputs):
        port = port_of(model, tensor.name, tensors)
        shape = list(tensor.shape)
        if any(length < 0 for length in shape):
            raise RefusedError(f"shape {shape[:8]}", "lengths, 0 or more", "Send the shape of the whole batch.",
                               where=f"input {port.name}")  # fmt: skip
        port.check(tensor.datatype, shape, limits.rows)
        _plain(tensor.parameters, f"input {port.name}")
        if not raw:
            tensors[port.name] = _of_contents(tensor, shape)
        elif tensor.HasField("contents"):
            raise RefusedError("typed contents beside raw ones", "one of them", "Send it once.",
                               where=f"input {port.name}")  # fmt: skip
        else:
            tensors[port.name] = of_bytes(memoryview(raw[index]), tensor.datatype, shape, port.name)
    for wanted in request.outputs:
        _plain(wanted.parameters, "an output")
    return Asked(request.id, tensors, outputs_of(model, {each.name: True for each in request.outputs}, binary=True))


def filled(response: Any, model: Served, asked: Asked, found: dict[str, Array]) -> Any:  # noqa: ANN401
    """Fill a ModelInferResponse; all outputs go as raw bytes."""
    response.model_name, response.model_version, response.id = model.name, model.versions[0], asked.id
    for name in asked.outputs:
        values = np.ascontiguousarray(found[name], np.dtype("<f4"))
        response.outputs.add(name=name, datatype="FP32", shape=values.shape)
        response.raw_output_contents.append(values.tobytes())
    return response


def _of_contents(tensor: Any, shape: list[int]) -> Array:  # noqa: ANN401
    values = getattr(tensor.contents, _CONTENTS[tensor.datatype])
    if len(values) != prod(shape):
        raise RefusedError(f"{len(values)} values", f"{prod(shape)} for shape {shape}",
                           f"Send them in {_CONTENTS[tensor.datatype]}.", where=f"input {tensor.name}")  # fmt: skip
    found = np.array(values, np.int64 if tensor.datatype == "UINT8" else DTYPES[tensor.datatype])
    if tensor.datatype == "UINT8" and found.size and found.max() > _BYTE:
        raise RefusedError(f"the value {found.max()}", "0 to 255", "Send bytes.", where=f"input {tensor.name}")
    return found.reshape(shape)


def _plain(parameters: Any, where: str) -> None:  # noqa: ANN401
    """Refuse what would change the meaning of the request if it were left unread."""
    for name in _OTHERS:
        if name in parameters:
            raise RefusedError(f"the extension {name}", "requests that stand alone, tensors in them",
                               "Leave it out; of a sequence, send the state that the step before gave.",
                               where=where)  # fmt: skip
