"""Tensors as they travel: numbers in JSON, flat or nested, and little-endian bytes behind it; both bounded and checked.

The bytes are those of the binary tensor data extension:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashwarden.serve.api.ports import DTYPES
from hashwarden.serve.api.refusal import RefusedError

__all__ = ["of_bytes", "of_json"]

Array = npt.NDArray[Any]

_BYTE: Final = 255


def of_bytes(data: memoryview, datatype: str, shape: Sequence[int], name: str) -> Array:
    """The tensor that bytes hold, without a copy where they lie as a processor wants them.

    Raises
    ------
    RefusedError
        If there are more or fewer of them than the shape says.
    """
    dtype = DTYPES[datatype]
    wanted = prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise RefusedError(f"{len(data)} bytes", f"{wanted} for {datatype} of shape {list(shape)}",
                           "Send the whole tensor, row by row.", where=f"input {name}")  # fmt: skip
    return np.require(np.frombuffer(data, dtype).reshape(shape), requirements=["A"])


def of_json(data: list[Any], datatype: str, shape: Sequence[int], name: str) -> Array:
    """The tensor that a list holds; null is a missing value of a float tensor.

    Raises
    ------
    RefusedError
        If it holds other than numbers, or not as many as the shape says.
    """
    found = _numbers(data, datatype, name)
    if found.size != prod(shape) or found.ndim not in (1, len(shape)) or (found.ndim > 1 and found.shape != (*shape,)):
        raise RefusedError(f"data of shape {list(found.shape)}", f"{list(shape)}, flat or nested",
                           "Send the whole tensor, row by row.", where=f"input {name}")  # fmt: skip
    return found.reshape(shape)


def _numbers(data: list[Any], datatype: str, name: str) -> Array:
    wrong = RefusedError("data that is not all " + ("true or false" if datatype == "BOOL" else "numbers"),
                         f"{datatype}, flat or nested in the order of the shape",
                         "Send null for a missing value.", where=f"input {name}")  # fmt: skip
    try:
        found = np.array(data) if data else np.empty(0)
    except ValueError:  # lists of several lengths
        raise wrong from None
    if datatype in ("FP32", "FP64"):
        return _floats(found, datatype, wrong)
    if not (found.dtype.kind == "b" or (found.dtype.kind in "iu" and datatype == "UINT8") or not found.size):
        raise wrong
    if found.size and found.dtype.kind != "b" and not 0 <= found.min() <= found.max() <= _BYTE:
        raise wrong
    return found.astype(np.uint8)


def _floats(found: Array, datatype: str, wrong: RefusedError) -> Array:
    """As floats; an object array is one with nulls in it, and holds nothing else but numbers."""
    if found.dtype.kind == "O":
        if not all(each is None or type(each) in (int, float) for each in found.flat):
            raise wrong
    elif found.dtype.kind not in "fiu":
        raise wrong
    with np.errstate(over="ignore"):
        return found.astype(np.float64).astype(DTYPES[datatype])
