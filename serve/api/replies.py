"""The answer to an inference request: JSON, and behind it the bytes of the tensors that were asked for as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import orjson

from hashwarden.serve.api.asked import Asked
from hashwarden.serve.api.models import Served

__all__ = ["Reply", "reply_of"]


@final
@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back.

    Attributes
    ----------
    body : bytes
    json_length : int or None
        Of the JSON at its start; None if it is all.
    """

    body: bytes
    json_length: int | None


def reply_of(model: Served, asked: Asked, found: Mapping[str, npt.NDArray[Any]]) -> Reply:
    """Write an answer."""
    outputs: list[dict[str, Any]] = []
    parts: list[npt.NDArray[np.uint8]] = []
    for name, binary in asked.outputs.items():
        values = np.ascontiguousarray(found[name], np.dtype("<f4"))
        entry: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(values.shape)}
        if binary:
            parts.append(values.reshape(-1).view(np.uint8))
            entry["parameters"] = {"binary_data_size": values.nbytes}
        else:
            entry["data"] = values.ravel()
        outputs.append(entry)
    answer = {"model_name": model.name, "model_version": model.versions[0], "outputs": outputs}
    if asked.id:
        answer["id"] = asked.id
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return Reply(b"".join([head, *(part.data for part in parts)]), len(head)) if parts else Reply(head, None)
