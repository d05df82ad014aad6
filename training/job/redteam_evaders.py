"""Evaders that a red team found: read, played again, made into runs to learn from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from pydantic import BaseModel, ConfigDict, ValidationError

from hashwarden.errors import DataError
from hashwarden.model.job.taxonomy import MINING_FAMILIES, STRATEGIES
from hashwarden.model.trace import Run
from hashwarden.training.job.redteam_play import Place, ScoreMaker, Watchers, attempt, gather
from hashwarden.training.job.redteam_search import Candidate, Tried
from hashwarden.training.synthesise.run import make_run

__all__ = ["Evaders", "evader_runs", "play_again", "read_evaders"]

_SEED: Final = 600_000_000


class _One(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    tier: str
    family: str
    strategy: str
    changes: dict[str, float]


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    gpu: str
    period_s: float
    seconds: float
    evaders: list[_One]


@final
@dataclass(frozen=True, slots=True)
class Evaders:
    """What a file of evaders holds: where they were found, and each once with the tiers that it evaded."""

    place: Place
    found: tuple[tuple[Candidate, tuple[str, ...]], ...]


def read_evaders(path: Path) -> Evaders:
    """Read ``redteam-evaders.json``.

    Raises
    ------
    DataError
        If it is none, or names a family or strategy that there is not.
    """
    try:
        file = _File.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        got = str(error).splitlines()[0]
        raise DataError(got, "a file of evaders", "Make one: hashwarden redteam", where=str(path)) from error
    tiers: dict[str, tuple[Candidate, list[str]]] = {}
    for one in file.evaders:
        if one.family not in MINING_FAMILIES or one.strategy not in STRATEGIES:
            what = f"the pair {one.family!r}, {one.strategy!r}"
            raise DataError(what, "a family and a strategy of this version", "Search again.", where=str(path))
        candidate = Candidate(one.family, one.strategy, one.changes)
        tiers.setdefault(_key(candidate), (candidate, []))[1].append(one.tier)
    place = Place(file.gpu, file.period_s, file.seconds, 0.0)
    return Evaders(place, tuple((candidate, tuple(seen)) for candidate, seen in tiers.values()))


def _key(candidate: Candidate) -> str:
    content: list[Any] = [candidate.family, candidate.strategy, sorted(candidate.changes.items())]
    return json.dumps(content)


def play_again(
    evaders: Evaders, maker: ScoreMaker, panel: Watchers, seeds: int, seed: int = 0
) -> list[Tried]:  # fmt: skip
    """Try them against a model, with seeds that the search did not use."""
    tried = []
    for candidate, _ in evaders.found:
        tasks = [(candidate, _SEED + seed * 1000 + turn) for turn in range(seeds)]
        tried.append(gather(candidate, attempt(tasks, evaders.place, maker, panel), evaders.place))
    return tried


def evader_runs(evaders: Evaders, seconds: float, seeds: int, gpus: Sequence[str], seed: int = 0) -> Iterator[Run]:
    """Synthesise runs of them to learn from, with seeds that neither the search nor `play_again` uses."""
    for number, (candidate, _) in enumerate(evaders.found):
        for turn in range(seeds):
            own = _SEED + 10_000_000 + seed * 100_000 + number * 1000 + turn
            gpu = gpus[(number + turn) % len(gpus)]
            yield make_run(
                "mining", candidate.family, candidate.strategy, gpu, seconds, evaders.place.period_s, seed=own,
                changes=candidate.changes,
            )  # fmt: skip
