"""Checkpoints of a fit: one file, replaced in one move, so that a kill at any moment leaves the old one or the new.

What a fit needs to go on lies in it: weights, averaged weights, the best so far, the optimiser and the step. There is
no generator to keep: every draw follows from seed and step (`hashwarden.training.job.windows`).
"""

from __future__ import annotations

import io
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import torch

from hashwarden.errors import DataError, UsageError
from hashwarden.model.storage import replacing
from hashwarden.training.job.recipe import Recipe

__all__ = ["Checkpoints"]

_FORMAT = 1


@final
class Checkpoints:
    """Where a fit keeps its checkpoint.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    every : int
        Steps between two checkpoints.
    resume : bool
        Whether to go on from the file where there is one; without it a fit begins anew.
    """

    def __init__(self, path: Path, every: int = 25, resume: bool = True) -> None:
        self.path, self.every, self.resume = path, every, resume

    def due(self, step: int) -> bool:
        """Whether a checkpoint belongs after so many steps."""
        return step % self.every == 0

    def save(self, state: dict[str, Any], recipe: Recipe, digest: str) -> None:
        """Replace the checkpoint, in one move.

        Parameters
        ----------
        state : dict
            Tensors, numbers, text, and lists and dicts of them.
        recipe : Recipe
        digest : str
            Of the data.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()  # a disk that is full ends torch.save in an error that does not say so
        torch.save({"format": _FORMAT, "recipe": _told(recipe), "digest": digest, "state": state}, packed)
        with replacing(self.path) as file:
            file.write(packed.getbuffer())

    def load(self, recipe: Recipe, digest: str) -> dict[str, Any] | None:
        """What was saved last; None where there is nothing to resume.

        Raises
        ------
        DataError
            If the file is damaged.
        UsageError
            If it belongs to a fit with another recipe or of other data.
        """
        if not self.resume or not self.path.exists():
            return None
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
            raise DataError(
                f"a checkpoint that cannot be read ({type(error).__name__})", "a whole one",
                "Remove it, and begin anew.", where=str(self.path),
            ) from error  # fmt: skip
        for what, mine in (("format", _FORMAT), ("recipe", _told(recipe)), ("digest", digest)):
            if not isinstance(found, dict) or found.get(what) != mine:
                raise UsageError(
                    f"a checkpoint of another {what}", "one of the same recipe, seed and data",
                    "Ask for what it was made with, or leave out --resume.", where=str(self.path),
                )  # fmt: skip
        state: dict[str, Any] = found["state"]
        return state


def _told(recipe: Recipe) -> str:
    """The recipe in words, without what does not change the result's meaning."""
    return str({key: value for key, value in asdict(recipe).items() if key != "threads"})
