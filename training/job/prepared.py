"""The corpus of an evaluation on disk: judged rows for the network, rolling statistics for the baselines, facts.

Made once and read by every fold, by position, from as many processes as there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, schema_hash
from hashwarden.model.storage import replacing
from hashwarden.model.trace import Run
from hashwarden.training.job.baselines import Sampled
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.folds import Facts
from hashwarden.training.job.rolling import EVERY_S, STATISTICS, rolling, rows_of
from hashwarden.training.job.store import CLASS, DT, FIRST_CHANNEL

__all__ = ["Prepared", "Story", "prepare"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int8]
WIDE: Final = len(CHANNELS) * len(STATISTICS)


@final
@dataclass(frozen=True, slots=True)
class Story:
    """What an evaluation needs to know of a run beside its samples.

    Attributes
    ----------
    facts : Facts
    family, origin : str
    share : float
    begins_s : float
        When its mining begins; 0 for what does not mine.
    """

    facts: Facts
    family: str
    origin: str
    share: float
    begins_s: float

    @classmethod
    def of(cls, run: Run) -> Story:
        """Take it from a run."""
        spans: Any = run.info.parameters.get("mining_spans_s") if run.label == "mining" else None
        begins = float(spans[0][0]) if spans else 0.0
        return cls(Facts.of(run), run.family, run.info.origin, run.info.share, begins)


@final
class Prepared:
    """A corpus that was made by `prepare`.

    Attributes
    ----------
    data : Dataset
        Judged rows.
    stories : list of Story
        In the order of the data set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, Dataset(folder)
        kept = json.loads((folder / "stories.json").read_text(encoding="utf-8"))
        self.stories = [
            Story(**{**story, "facts": Facts(**{**story["facts"], "families": tuple(story["facts"]["families"])})})
            for story in kept["stories"]
        ]
        self.key: str = kept["key"]
        self._ends = np.cumsum(kept["rows"])
        shape = (int(self._ends[-1]), WIDE)
        self._features = np.memmap(folder / "features.f32", np.float32, "r", shape=shape)

    def times(self, run: int) -> F64:
        """Seconds since the beginning of a run, shape (T,)."""
        times: F64 = np.cumsum(self.data.read(run)[:, DT], dtype=np.float64)
        return times

    def truth(self, run: int) -> I8:
        """The class at each sample, shape (T,); negative where nobody knows."""
        return self.data.read(run)[:, CLASS].astype(np.int8)

    def sampled(self, run: int) -> Sampled:
        """What the baselines see of a run."""
        times = self.times(run)
        end = int(self._ends[run])
        rows = rows_of(times)
        features = np.asarray(self._features[end - len(rows) : end])
        return Sampled(times[rows], features, mining=self.stories[run].facts.label == "mining")


def prepare(runs: Iterable[Run], folder: Path, key: str) -> Prepared:
    """Write a corpus into a folder, or open the one that lies there if it was made with the same key.

    Parameters
    ----------
    runs : iterable of Run
        Read only if the corpus has to be made.
    folder : Path
    key : str
        Says how the runs were made.

    Raises
    ------
    DataError
        If the folder holds a corpus of another key: its folds must not be mixed with these.
    """
    key = f"{key} channels={schema_hash()[:12]} every={EVERY_S:g}"
    mark = folder / "stories.json"
    if mark.exists():
        found = json.loads(mark.read_text(encoding="utf-8"))["key"]
        if found != key:
            raise DataError(f"a corpus made as {found!r}", repr(key), "Name another work folder.", where=str(folder))
        return Prepared(folder)
    data, stories = _judged(runs, folder, key)
    rows = _write_features(data, folder / "features.f32")
    _write(mark, {"key": key, "rows": rows, "stories": stories})
    return Prepared(folder)


def _judged(runs: Iterable[Run], folder: Path, key: str) -> tuple[Dataset, list[dict[str, Any]]]:
    """The rows of all runs and what is told of each, as they lie there from a call that got no further, or anew."""
    listed = folder / "judged.json"
    if listed.exists():
        found = json.loads(listed.read_text(encoding="utf-8"))
        if found["key"] == key:
            return Dataset(folder), found["stories"]
        listed.unlink()
    stories: list[Story] = []
    data = Dataset.of_runs(_listed(runs, stories), folder, where=key)
    told = [asdict(story) for story in stories]
    _write(listed, {"key": key, "stories": told})
    return data, told


def _write(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as file:
        file.write(json.dumps(content).encode())


def _listed(runs: Iterable[Run], stories: list[Story]) -> Iterator[Run]:
    for run in runs:
        if len(run):
            stories.append(Story.of(run))
            yield run


def _write_features(data: Dataset, path: Path) -> list[int]:
    counts = []
    with replacing(path) as file:
        for run in range(len(data)):
            rows = data.read(run)
            times = np.cumsum(rows[:, DT], dtype=np.float64)
            features = rolling(times, rows[:, FIRST_CHANNEL:], rows_of(times))
            file.write(features.tobytes())
            counts.append(len(features))
    return counts
