"""Which runs may calibrate a model again: labelled by somebody, honest, each once, and none that it learned from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Final, final

from hashwarden.errors import DataError
from hashwarden.model.job.taxonomy import CLASSES, MINING
from hashwarden.model.trace import Run
from hashwarden.training.job.calibrate import MINES, unfit
from hashwarden.training.job.labels import check_labels
from hashwarden.training.job.store import Rows

__all__ = ["OWN", "Input"]

OWN: Final = "calibrated again on "
"""Before the name of a trace among a model's training data: it calibrated, and taught nothing."""


@final
class Input:
    """Looks at runs on their way to the network.

    Parameters
    ----------
    training_data : mapping of str to str
        SHA-256 of the judged rows of what the model was made from (`hashwarden.model.job.metadata.JobMetadata`).

    Attributes
    ----------
    digests : dict of str to str
        SHA-256 of the judged rows of each trace, by its name.
    """

    def __init__(self, training_data: Mapping[str, str]) -> None:
        self._learned = {digest: name for name, digest in training_data.items() if not name.startswith(OWN)}
        self._seen: dict[bytes, str] = {}
        self.digests: dict[str, str] = {}

    def passed(self, path: Path, blocks: Iterable[Run]) -> Iterator[Run]:
        """The pieces of the runs of a trace as they come.

        Raises
        ------
        DataError
            For a run that mines, is unlabelled or labelled by nobody, or was there before; at the end if the model
            learned from the trace.
        """
        whole = hashlib.sha256()
        for name, pieces in groupby(blocks, key=lambda piece: piece.name):
            own, rows, where = hashlib.sha256(), Rows(), f"{path}: run {name!r}"
            for piece in pieces:
                check_labels(piece, str(path))
                if piece.label == CLASSES[MINING]:
                    raise unfit(MINES, where)
                data = rows.of(piece).tobytes()
                own.update(data)
                whole.update(data)
                yield piece
            if own.digest() in self._seen:
                raise unfit(f"the same samples as those of {self._seen[own.digest()]}", where)
            self._seen[own.digest()] = where
        self._name(path, whole.hexdigest())

    def _name(self, path: Path, digest: str) -> None:
        if digest in self._learned:
            raise DataError(
                f"a trace that the model was made from, as {self._learned[digest]!r}", "runs that it never saw",
                "Leave it out: the network knows these runs, so they look more honest than new ones.", where=str(path),
            )  # fmt: skip
        name, number = path.name, 2
        while name in self.digests:
            name, number = f"{path.name} ({number})", number + 1
        self.digests[name] = digest
