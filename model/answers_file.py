"""Files of known answers: what a model said when it was exported, beside its file and with its hash.

A scorer that gives other answers must not judge anybody.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from hashwarden.errors import CheckError, ModelError

__all__ = ["TOLERANCE", "AnswersFile", "answers_path", "check_same", "packed", "read_file", "unpacked"]

F32 = npt.NDArray[np.float32]
File = TypeVar("File", bound="AnswersFile")
Answers = TypeVar("Answers")

TOLERANCE: Final = 1e-4
"""Largest difference, relative above 1, that another processor or version of onnxruntime may make."""


class AnswersFile(BaseModel):
    """What every such file has; arrays are little-endian float32 in base64."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_sha256: str


def answers_path(model: Path) -> Path:
    """Where the known answers of a model file lie."""
    return model.with_name(f"{model.stem}_known_answers.json")


def read_file(kind: type[File], path: Path, model_sha256: str, made: Callable[[File], Answers]) -> Answers:
    """Read the known answers of the model file with this hash.

    Parameters
    ----------
    kind : type of AnswersFile
    path : Path
    model_sha256 : str
    made : callable
        From the file to what it holds; a ValueError of it says what is damaged.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or of another model.
    """
    try:
        file = kind.model_validate_json(path.read_bytes())
        answers = made(file)
    except OSError as error:
        raise _refused(f"they cannot be read ({error.strerror})", path) from error
    except (ValidationError, ValueError) as error:
        raise _refused(f"damaged: {str(error).splitlines()[0]}", path) from error
    if file.model_sha256 != model_sha256:
        raise _refused("known answers of another model", path)
    return answers


def check_same(got: Sequence[F32], wanted: Mapping[str, F32], model: Path, what: str = "") -> None:
    """Compare answers with those that are known.

    Parameters
    ----------
    got : sequence of float32 array
        In the order of `wanted`.
    wanted : mapping of str to float32 array
        By name.
    model : Path
        The model file.
    what : str
        Which part of the model they are of, if it has several.

    Raises
    ------
    CheckError
        If one differs: then this installation must not judge anybody.
    """
    for (name, theirs), mine in zip(wanted.items(), got, strict=True):
        same = mine.shape == theirs.shape
        worst = float((np.abs(mine - theirs) / np.maximum(1, np.abs(theirs))).max()) if same else np.inf
        if not worst <= TOLERANCE:
            raise CheckError(
                f"{name}{what and f' of the {what}'} that differ from the known answers by {worst:.2g}",
                f"at most {TOLERANCE}",
                "Install hashwarden and onnxruntime again; do not act on verdicts of this installation.",
                where=str(model),
            )


def packed(array: F32) -> str:
    """An array as text."""
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def unpacked(text: str, *shape: int) -> F32:
    """The array of a text; a ValueError if it has another number of values, or none."""
    if not min(shape) > 0:
        raise ValueError(f"no values: {shape}")
    flat = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    return flat.reshape(shape).astype(np.float32)


def _refused(got: str, path: Path) -> ModelError:
    return ModelError(
        got, "the known answers of the model", "Install hashwarden again, or export the model again.", where=str(path)
    )
