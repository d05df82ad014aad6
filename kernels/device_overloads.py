"""What Numba compiles for the names of device.py: one body for the CPU, one for CUDA."""

# ruff: noqa: ANN401, ARG001, ARG005  compiled code takes arrays and numbers of any type

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba.core.cgutils
import numba.core.types
import numba.cuda
import numba.cuda.extending
import numba.extending
import numba.np.arrayobj

cuda: Any = numba.cuda
extending: Any = numba.extending
cgutils: Any = numba.core.cgutils
types: Any = numba.core.types
arrayobj: Any = numba.np.arrayobj

__all__ = ["teach"]

# On the CPU the threads of a launch run one after the other, so that a plain read and write is atomic enough.


def _add_here(array: Any, index: Any, value: Any) -> Any:
    old = array[index]
    array[index] = old + value
    return old


def _max_here(array: Any, index: Any, value: Any) -> Any:
    old = array[index]
    array[index] = max(old, value)
    return old


def _min_here(array: Any, index: Any, value: Any) -> Any:
    old = array[index]
    array[index] = min(old, value)
    return old


def _or_here(array: Any, index: Any, value: Any) -> Any:
    old = array[index]
    array[index] = old | value
    return old


def _exchange_here(array: Any, index: Any, value: Any) -> Any:
    old = array[index]
    array[index] = value
    return old


def _swap_here(array: Any, index: Any, expected: Any, value: Any) -> Any:
    old = array[index]
    if old == expected:
        array[index] = value
    return old


def _add_there(array: Any, index: Any, value: Any) -> Any:
    return cuda.atomic.add(array, index, value)


def _max_there(array: Any, index: Any, value: Any) -> Any:
    return cuda.atomic.max(array, index, value)


def _min_there(array: Any, index: Any, value: Any) -> Any:
    return cuda.atomic.min(array, index, value)


def _or_there(array: Any, index: Any, value: Any) -> Any:
    return cuda.atomic.or_(array, index, value)


def _exchange_there(array: Any, index: Any, value: Any) -> Any:
    return cuda.atomic.exch(array, index, value)


def _swap_there(array: Any, index: Any, expected: Any, value: Any) -> Any:
    return cuda.atomic.cas(array, index, expected, value)


def _local_there(length: int, dtype: Any) -> Any:
    return cuda.local.array(length, dtype)


@extending.intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _on_stack(context: Any, length: Any, dtype: Any) -> Any:
    """Memory of the calling function: what it inlines must not outlive it."""
    if not isinstance(length, types.Literal):
        return None
    count, kind = length.literal_value, types.Array(dtype.dtype, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = context.get_data_type(kind.dtype)
        word, size = context.get_value_type(types.intp), context.get_abi_sizeof(element)
        place = cgutils.alloca_once(builder, element, size=word(count))
        shape, strides = (cgutils.pack_array(builder, [word(value)]) for value in (count, size))
        array = arrayobj.make_array(kind)(context, builder)
        arrayobj.populate_array(array, data=place, shape=shape, strides=strides, itemsize=word(size), meminfo=None)
        return array._getvalue()

    return kind(length, dtype), generate


def _local_here(length: int, dtype: Any) -> Any:
    return _on_stack(length, dtype)


def _teach(name: Callable[..., Any], here: Callable[..., Any], there: Callable[..., Any], **options: Any) -> None:
    """Tell Numba what stands for ``name`` in code for the CPU and in code for CUDA."""
    extending.overload(name, target="cpu", **options)(_always(here))
    # Without the package numba-cuda, Numba serves the CPU alone.
    if hasattr(cuda.extending, "overload"):
        cuda.extending.overload(name, target="cuda", **options)(_always(there))


def _always(body: Callable[..., Any]) -> Callable[..., Any]:
    """Answer Numba's question for a body; Numba wants the arguments of both to be equal, annotations included."""
    body.__annotations__.clear()
    if body.__code__.co_argcount == 2:
        return lambda length, dtype: body if isinstance(length, types.Literal) else None
    if body.__code__.co_argcount == 4:
        return lambda array, index, expected, value: body
    return lambda array, index, value: body


def teach(names: Any) -> None:
    """Tell Numba what stands for the functions of module ``names``."""
    _teach(names.atomic_add, _add_here, _add_there)
    _teach(names.atomic_max, _max_here, _max_there)
    _teach(names.atomic_min, _min_here, _min_there)
    _teach(names.atomic_or, _or_here, _or_there)
    _teach(names.atomic_exchange, _exchange_here, _exchange_there)
    _teach(names.compare_and_swap, _swap_here, _swap_there)
    # Inlined, because the memory belongs to the function that asks for it.
    _teach(names.local_array, _local_here, _local_there, prefer_literal=True, inline="always")
