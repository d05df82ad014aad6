"""The named tensors that go into a served model and come out, and what of a client's tensor is checked first.

Names, types and shapes are those of the Open Inference Protocol: https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, final

import numpy as np

from hashwarden.serve.api.refusal import RefusedError

__all__ = ["DTYPES", "FLOATS", "Port", "quoted", "too_many_rows"]

DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"), "BOOL": np.dtype("u1"), "UINT8": np.dtype("u1"),
}  # fmt: skip
"""Datatypes that are read, and how they lie in memory; a BOOL is one byte. All answers are FP32."""

FLOATS: Final = ("FP32", "FP64")

_SHOWN: Final = 60
"""Characters of a client's word that an error repeats."""


@final
@dataclass(frozen=True, slots=True)
class Port:
    """One tensor of a model; its first axis is that of the batch.

    Attributes
    ----------
    name : str
    width : int or None
        Length of the second axis; None if there is none.
    about : str
        What it holds, with unit and range.
    columns : tuple of str
        What each column is; empty where there is nothing to tell.
    accepts : tuple of str
        Datatypes that are read; the first is the one of its metadata.
    optional : bool
        Whether a request may leave it out.
    """

    name: str
    width: int | None
    about: str
    columns: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ("FP32",)
    optional: bool = False

    @property
    def datatype(self) -> str:
        """The datatype of its metadata."""
        return self.accepts[0]

    @property
    def shape(self) -> list[int]:
        """The shape of its metadata; -1 is an axis of any length."""
        return [-1] if self.width is None else [-1, self.width]

    def metadata(self) -> dict[str, Any]:
        """Its entry in the model's metadata."""
        told: dict[str, Any] = {"about": self.about, "columns": list(self.columns)}
        if len(self.accepts) > 1:
            told["accepts"] = list(self.accepts)
        if self.optional:
            told["optional"] = True
        return {"name": self.name, "datatype": self.datatype, "shape": self.shape, "parameters": told}

    def check(self, datatype: object, shape: Sequence[int], most: int) -> None:
        """Refuse a tensor of another type or shape, before any of its data is touched.

        Parameters
        ----------
        datatype : object
            As the client named it.
        shape : sequence of int
            None below 0.
        most : int
            Rows that a request may have.

        Raises
        ------
        RefusedError
        """
        if datatype not in self.accepts:
            raise RefusedError(f"datatype {quoted(datatype)}", " or ".join(self.accepts), "Convert the tensor.",
                          where=f"input {self.name}")  # fmt: skip
        fits = len(shape) == len(self.shape) and all(a == b for a, b in zip(shape[1:], self.shape[1:], strict=True))
        if not fits and not (self.width == 1 and len(shape) == 1):
            raise RefusedError(f"shape {list(shape)[:8]}", f"{self.shape}, -1 for the rows of the batch",
                          "The model's metadata names the columns.", where=f"input {self.name}")  # fmt: skip
        if shape[0] > most:
            raise too_many_rows(shape[0], most)


def too_many_rows(rows: int, most: int) -> RefusedError:
    """The refusal of a batch that is too large."""
    return RefusedError(f"a batch of {rows} rows", f"at most {most}", "Send several requests.",
                   status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)  # fmt: skip


def quoted(word: object) -> str:
    """A client's word as an error may repeat it: one line, short."""
    text = repr(word) if isinstance(word, str | int | float | bool | None) else f"a {type(word).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
