"""Reads a plan of recordings from a file: which workloads, at which settings, how hidden, beside what, for how long."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hashwarden.errors import DataError, UsageError
from hashwarden.serve.campaign import IDLE, Candidate, Item

__all__ = ["Wanted", "items_in"]

_MOST: Final = 10_000
_BYTES: Final = 10_000_000
_FEW_SMS: Final = "few-sms"

_Word = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=60)]
_Numbers = Annotated[dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")], int], Field(max_length=20)]


@final
class Wanted(BaseModel):
    """One recording as a plan names it; what is left out is as the workload, or the whole campaign, has it.

    Attributes
    ----------
    workload : str
        Its name, or ``idle``.
    variant : str
        Tells it from others of the same workload and evasion.
    evasion, size, engine : str
        As ``hashwarden record`` takes them.
    set, evasion_set : dict of str to int
        Parameters of the workload and of the evasion.
    company : list of str
        Workloads that its evasion needs (``with`` in the file).
    beside : list of str
        Workloads on the same GPU, each in a process of its own.
    seconds : float
        Length of its run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    workload: _Word
    variant: _Word = ""
    evasion: _Word = ""
    size: _Word = ""
    engine: _Word = ""
    set: _Numbers = {}
    evasion_set: _Numbers = {}
    company: Annotated[list[_Word], Field(max_length=8, alias="with")] = []
    beside: Annotated[list[_Word], Field(max_length=8)] = []
    seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0

    def item(self, known: Mapping[str, Candidate], engine: str) -> Item:
        """The recording that it stands for.

        Raises
        ------
        UsageError
            If no workload is called so, or its engine cannot be meant.
        """
        needed = "numba" if self.evasion == _FEW_SMS else ""  # only that engine can limit the blocks of a launch
        engine = self.engine or needed or engine
        if self.workload == IDLE:
            label, family, engine = IDLE, IDLE, "auto"
        else:
            candidate = _known(self.workload, known)
            label, family = candidate.label, candidate.family
            if engine not in {"auto", *candidate.engines}:
                expected = f"auto, {', '.join(candidate.engines)}"
                raise UsageError(f"{self.workload} with the engine {engine!r}", expected, "Choose one of them.")
        return Item(
            self.workload, label, family, self.evasion, engine, self.variant, self.size, _words(self.set),
            _words(self.evasion_set), tuple(self.company), tuple(self.beside), self.seconds,
        )  # fmt: skip


_PLAN: Final = TypeAdapter(Annotated[list[Wanted], Field(min_length=1, max_length=_MOST)])


def _known(name: str, known: Mapping[str, Candidate]) -> Candidate:
    if name not in known:
        raise UsageError(f"no workload is called {name!r}", "a known name", "hashwarden workloads list")
    return known[name]


def _words(numbers: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in numbers.items())


def items_in(path: Path, candidates: Sequence[Candidate], engine: str = "auto") -> list[Item]:
    """Read the recordings of a plan file, in its order.

    Parameters
    ----------
    path : Path
        JSON: a list of what `Wanted` describes.
    candidates : sequence of Candidate
        The workloads that there are.
    engine : str
        For those that name none.

    Raises
    ------
    DataError
        If the file cannot be read, is no such list, or names two recordings alike.
    UsageError
        If it names what there is not.
    """
    known = {candidate.name: candidate for candidate in candidates}
    items: dict[str, Item] = {}
    for number, wanted in enumerate(_read(path), 1):
        try:
            item = wanted.item(known, engine)
        except UsageError as error:
            raise UsageError(error.got, error.expected, error.remedy, where=f"{path}: entry {number}") from error
        if item.stem in items:
            got = f"a second recording called {item.stem}"
            raise DataError(got, "names of their own", "Give one a variant.", where=f"{path}: entry {number}")
        items[item.stem] = item
    return list(items.values())


def _read(path: Path) -> list[Wanted]:
    expected, remedy = "a JSON list of recordings", "docs/recording.md shows one."
    try:
        if path.stat().st_size > _BYTES:
            raise DataError(f"more than {_BYTES:,} bytes", expected, remedy, where=str(path))
        found: Any = json.loads(path.read_bytes())
        return _PLAN.validate_python(found)
    except OSError as error:
        raise DataError(error.strerror or str(error), "a file that can be read", remedy, where=str(path)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        got = f"{place}: {first['msg']}" if place else first["msg"]
        raise DataError(got, expected, remedy, where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"no JSON: {error}", expected, remedy, where=str(path)) from error
