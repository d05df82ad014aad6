"""The Arrow and Parquet form of a kernel mix table, with the schema checked on the way in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hashwarden.errors import DataError
from hashwarden.kernels.sass.constants import PRIMITIVES
from hashwarden.kernels.sass.table import MEM_KINDS, NESTED, SCALARS, TEXT, MixTable, Ragged

__all__ = ["REQUIRED_TEXT", "from_arrow", "schema", "to_arrow"]

_NAMES: dict[str, tuple[str, ...]] = {"kind": MEM_KINDS, "primitive": PRIMITIVES}
REQUIRED_TEXT = ("kernel",)


def _record(name: str) -> pa.DataType:
    return pa.struct([(f, pa.string() if f in _NAMES else pa.int64()) for f in NESTED[name]])


def schema(*, labelled: bool) -> pa.Schema:
    """The Arrow schema of a kernel mix table; ``labelled`` adds the columns of a training table."""
    text = TEXT if labelled else ("file", "kernel", "code_sha1")
    fields = [(name, pa.string()) for name in text] + [(name, pa.int64()) for name in SCALARS]
    if labelled:
        fields.append(("is_mining", pa.bool_()))
    fields += [(name, pa.list_(pa.int64())) for name in ("rotate", "funnel")]
    return pa.schema(fields + [(name, pa.list_(_record(name))) for name in NESTED])


def to_arrow(table: MixTable) -> pa.Table:
    """The table as Arrow, names instead of indices; every text column that it has is kept."""
    wanted = schema(labelled=table.is_mining is not None)
    for name in (name for name in table.text if name not in wanted.names):
        wanted = wanted.append(pa.field(name, pa.string()))
    columns: dict[str, pa.Array] = {}
    for name in (name for name in wanted.names if name in TEXT):
        columns[name] = pa.array(table.text.get(name, [""] * len(table)), pa.string())
    columns |= {name: pa.array(table.scalars[name]) for name in SCALARS}
    if table.is_mining is not None:
        columns["is_mining"] = pa.array(table.is_mining)
    by_depth = pa.array(np.arange(0, 5 * len(table) + 1, 5), pa.int32())
    for name, counts in (("rotate", table.rotate), ("funnel", table.funnel)):
        columns[name] = pa.ListArray.from_arrays(by_depth, pa.array(counts.ravel()))
    columns |= {name: _nested_to_arrow(name, table.nested[name]) for name in NESTED}
    return pa.table([columns[name] for name in wanted.names], schema=wanted)


def _nested_to_arrow(name: str, ragged: Ragged) -> pa.Array:
    arrays = []
    for column in NESTED[name]:
        array = pa.array(ragged.columns[column])
        if column in _NAMES:
            array = pa.array(_NAMES[column], pa.string()).take(array)
        arrays.append(array)
    records = pa.StructArray.from_arrays(arrays, fields=list(_record(name)))
    return pa.ListArray.from_arrays(pa.array(ragged.offsets, pa.int32()), records)


def from_arrow(table: pa.Table, where: str = "") -> MixTable:
    """Read a kernel mix table.

    Parameters
    ----------
    table : pyarrow.Table
        With the columns of `schema`; labels are optional, further columns are ignored.
    where : str
        Name for messages.

    Raises
    ------
    DataError
        If a column is missing, of another type, null, negative where counts are meant, or names an
        unknown memory kind or primitive.
    """
    needed = (*REQUIRED_TEXT, *SCALARS, "rotate", "funnel", *NESTED)
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise _bad(f"a table without the column(s) {', '.join(missing)}", where)
    table = table.combine_chunks()
    text = {n: _text(table, n, where) for n in TEXT if n in table.column_names}
    for name in ("file", "code_sha1"):
        text.setdefault(name, np.full(table.num_rows, "", object))
    label = None
    if "is_mining" in table.column_names:
        label = np.asarray(pc.fill_null(table["is_mining"], False)).astype(bool)
    return MixTable(
        {name: _whole_numbers(table[name], name, where) for name in SCALARS},
        _by_depth(table, "rotate", where),
        _by_depth(table, "funnel", where),
        {name: _nested(table, name, where) for name in NESTED},
        text,
        label,
    )


def _bad(got: str, where: str) -> DataError:
    return DataError(
        got,
        "the schema of a kernel mix table (docs/kernel-mix.md)",
        "Write the table with hashwarden, or mend the column.",
        where=where,
    )


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column


def _text(table: pa.Table, name: str, where: str) -> npt.NDArray[np.object_]:
    column = _flat(table[name])
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise _bad(f"column {name!r} of type {column.type}, not text", where)
    return pc.fill_null(column, "").to_numpy(zero_copy_only=False).astype(object)  # type: ignore[no-any-return]


def _whole_numbers(column: pa.ChunkedArray | pa.Array, name: str, where: str) -> npt.NDArray[np.int64]:
    flat = _flat(column)
    if not pa.types.is_integer(flat.type):
        raise _bad(f"column {name!r} of type {flat.type}, not whole numbers", where)
    if flat.null_count:
        raise _bad(f"column {name!r} with {flat.null_count} missing values", where)
    values: npt.NDArray[np.int64] = flat.to_numpy(zero_copy_only=False).astype(np.int64)
    if len(values) and (values.min() < 0 or values.max() >= 1 << 40):
        raise _bad(f"column {name!r} with values from {values.min()} to {values.max()}", where)
    return values


def _lists(table: pa.Table, name: str, where: str) -> tuple[npt.NDArray[np.int64], pa.Array]:
    column = _flat(table[name])
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise _bad(f"column {name!r} of type {column.type}, not a list", where)
    if column.null_count:
        raise _bad(f"column {name!r} with {column.null_count} missing lists", where)
    offsets = column.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], column.flatten()


def _by_depth(table: pa.Table, name: str, where: str) -> npt.NDArray[np.int64]:
    offsets, values = _lists(table, name, where)
    if not (np.diff(offsets) == 5).all():
        raise _bad(f"column {name!r} with lists of another length than 5", where)
    return _whole_numbers(values, name, where).reshape(-1, 5)


def _nested(table: pa.Table, name: str, where: str) -> Ragged:
    offsets, records = _lists(table, name, where)
    if len(records) == 0:
        return Ragged.empty(name, table.num_rows)
    if not pa.types.is_struct(records.type):
        raise _bad(f"column {name!r} with records of type {records.type}", where)
    columns = {}
    for column in NESTED[name]:
        if records.type.get_field_index(column) < 0:
            raise _bad(f"column {name!r} without the field {column!r}", where)
        values = pc.struct_field(records, column)
        if column in _NAMES:
            values = _indices(values, column, name, where)
        columns[column] = _whole_numbers(values, f"{name}.{column}", where)
    return Ragged(offsets, columns)


def _indices(values: pa.Array, column: str, name: str, where: str) -> pa.Array:
    index = pc.index_in(values, value_set=pa.array(_NAMES[column], pa.string()))
    if index.null_count:
        unknown = pc.unique(values.filter(pc.is_null(index))).to_pylist()[:3]
        raise _bad(f"column {name!r} with unknown {column}(s) {unknown}", where)
    return index
