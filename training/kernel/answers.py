"""Known answers of a kernel model that was just exported: a few kernels of each group, asked of the file itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.model.answers_file import answers_path
from hashwarden.model.kernel.known_answers import KernelAnswers
from hashwarden.model.runtime import onnxruntime
from hashwarden.model.storage import replacing

__all__ = ["known_rows", "write_answers"]

_EACH: Final = 4
"""Kernels of each group."""


def known_rows(group: npt.NDArray[np.integer], usable: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Rows of the kernels to ask of: four of each group, as far apart as they lie in the data.

    Parameters
    ----------
    group : int array, shape (N,)
    usable : bool array, shape (N,)
    """
    rows = [np.flatnonzero(usable & (group == each)) for each in np.unique(group[usable])]
    return np.concatenate([each[np.linspace(0, len(each) - 1, _EACH).astype(np.int64)] for each in rows])


def write_answers(model: Path, features: npt.NDArray[np.float32]) -> Path:
    """Ask a model file of kernels and write what it says beside it.

    Parameters
    ----------
    model : Path
    features : float32 array, shape (K, features)
    """
    data = model.read_bytes()
    session = onnxruntime().InferenceSession(data)
    found = session.run(["groups", "families", "novelty"], {"features": features})
    path = answers_path(model)
    with replacing(path) as file:
        file.write(KernelAnswers(features, *found).to_json(hashlib.sha256(data).hexdigest()).encode())
    return path
