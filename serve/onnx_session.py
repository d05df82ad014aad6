"""Model files as onnxruntime opens them: one thread, nothing beside the file, one clear error when one is not it.

What the scorers of kernels and of jobs have in common.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Protocol, final

from hashwarden.errors import ModelError
from hashwarden.model.runtime import onnxruntime

__all__ = ["CPU", "Ends", "Opened", "Provider", "Record", "check_ends", "open_session", "shipped"]

Provider = str | tuple[str, Mapping[str, str]]
Ends = Mapping[str, Sequence[str | int]]
"""Names and shapes of inputs or outputs; a word is an axis of any length."""

CPU: Final = "CPUExecutionProvider"

EXTERNAL: Final = b"\x0a\x08location\x12"
"""How a tensor that lies in another file names it: key ``location`` of an entry of two strings (onnx.proto)."""


class Record(Protocol):
    """What every model says of itself."""

    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def schema_version(self) -> int: ...  # noqa: D102


@final
@dataclass(frozen=True, slots=True)
class Opened:
    """A session, the properties of its model and the SHA-256 of the file."""

    session: Any
    properties: Mapping[str, str]
    sha256: str

    def identity(self, record: Record) -> Mapping[str, str]:
        """Name, version and hash of the model, for reports."""
        schema = str(record.schema_version)
        return {"name": record.model, "version": record.version, "schema": schema, "sha256": self.sha256}


def shipped(name: str) -> Path:
    """A model file of the installed package."""
    return Path(str(files("hashwarden.model").joinpath("artifacts", name)))


def open_session(
    path: Path, name: str, providers: Sequence[Provider] = (CPU,), settings: Mapping[str, str] | None = None
) -> Opened:
    """Open a model file.

    Parameters
    ----------
    path : Path
    name : str
        What the file should be, for the error.
    providers : sequence
        Execution providers, best first.
    settings : mapping, optional
        Entries of the session's configuration.

    Raises
    ------
    ModelError
        If the file cannot be read, keeps tensors in other files, or is no model.
    """
    data = _bytes_of(path, name)
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for key, value in (settings or {}).items():
        options.add_session_config_entry(key, value)
    given = [each if isinstance(each, str) else (each[0], dict(each[1])) for each in providers]
    try:
        # Without the first, onnxruntime goes on with another provider when one fails, and prints that it does.
        session = ort.InferenceSession(data, options, enable_fallback=0, providers=given)
    except Exception as error:  # onnxruntime raises classes of its own for each kind of damage
        got = f"onnxruntime refuses it: {str(error).splitlines()[0][:200]}"
        raise ModelError(got, "an ONNX model", "Install hashwarden again.", where=str(path)) from error
    return Opened(session, session.get_modelmeta().custom_metadata_map, hashlib.sha256(data).hexdigest())


def _bytes_of(path: Path, name: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        got = f"the model file cannot be read ({error.strerror})"
        raise ModelError(got, name, "Install hashwarden again.", where=str(path)) from error
    if EXTERNAL in data:
        got = "tensors that lie in another file"
        raise ModelError(got, "a model in one file", "Use the shipped model.", where=str(path))
    return data


def check_ends(session: Any, inputs: Ends, outputs: Ends, where: str) -> None:  # noqa: ANN401
    """Check names, shapes and types of everything that goes into a graph and comes out.

    Raises
    ------
    ModelError
    """
    for what, ends, wanted in (("inputs", session.get_inputs(), inputs), ("outputs", session.get_outputs(), outputs)):
        found = {end.name: (_lengths(end.shape), end.type) for end in ends}
        if found != {name: (_lengths(shape), "tensor(float)") for name, shape in wanted.items()}:
            got = f"a graph with {what} { ({end.name: (list(end.shape), end.type) for end in ends}) }"
            expected = f"float {what} { ({name: list(shape) for name, shape in wanted.items()}) }"
            raise ModelError(got, expected, "Train the model again.", where=where)


def _lengths(shape: Sequence[str | int | None]) -> list[int]:
    return [each if isinstance(each, int) else -1 for each in shape]
