"""A plan of recordings that fits a time: workloads and evasions, the most telling first, one trace file each.

What has its file already is not recorded again, so that a plan that was interrupted, or did not fit, goes on when it is
started again. What could not be recorded is named, with the reason.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event
from typing import Final, final

from hashwarden.errors import DataError, HashwardenError, MemoryShortError, MissingExtraError, NoDeviceError
from hashwarden.serve.journal import StorageError, journal_of
from hashwarden.serve.record_work import Done
from hashwarden.serve.recorder import seal

__all__ = ["IDLE", "Candidate", "Item", "Result", "items_of", "run_campaign"]

IDLE: Final = "idle"
"""The item without a workload."""

OVERHEAD_S: Final = 15.0
"""What a recording takes besides the run itself, until it was measured: starting, compiling, checking."""


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """A workload that may be recorded: its name, label, family and the engines that run it."""

    name: str
    label: str
    family: str
    engines: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Item:
    """One recording.

    Attributes
    ----------
    name, label, family : str
        Of the workload; the name `IDLE` for none.
    evasion, engine : str
        How it hides, and what runs it.
    variant : str
        Tells it from others of the same workload and evasion; empty for the usual one.
    size : str
        Empty for that of the whole campaign.
    settings, evasion_settings : tuple of str
        ``NAME=NUMBER``.
    company : tuple of str
        Workloads that its evasion needs, in the same process.
    beside : tuple of str
        Workloads on the same GPU, each in a process of its own: then the label is nobody's word.
    seconds : float
        Length of its run; 0 for that of the whole campaign.
    """

    name: str
    label: str
    family: str
    evasion: str = ""
    engine: str = "auto"
    variant: str = ""
    size: str = ""
    settings: tuple[str, ...] = ()
    evasion_settings: tuple[str, ...] = ()
    company: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def stem(self) -> str:
        """Name of its file, without the ending."""
        hidden = f"{self.name}+{self.evasion}" if self.evasion else self.name
        return f"{hidden}@{self.variant}" if self.variant else hidden


@final
@dataclass(frozen=True, slots=True)
class Result:
    """What became of an item: ``recorded``, ``skipped`` or ``failed``.

    Attributes
    ----------
    item : Item
    status, reason : str
    samples : int
        In its trace.
    seconds : float
        Wall time of all of it: starting, checking and the run.
    began_unix_s : float
        When it was started, in seconds since 1970; 0 if it was not.
    """

    item: Item
    status: str
    reason: str = ""
    samples: int = 0
    seconds: float = 0.0
    began_unix_s: float = 0.0


def items_of(candidates: Sequence[Candidate], evasions: Sequence[str], engine: str = "auto") -> list[Item]:
    """All recordings, so ordered that a plan that is cut short has seen as many kinds as it could.

    First an idle GPU and one workload of every family; then every evasion of one workload of each mining family; then
    the other workloads; then their evasions.

    Parameters
    ----------
    candidates : sequence of Candidate
        Workloads; those that no wanted engine runs are left out.
    evasions : sequence of str
        Ways to hide mining; the others hide nothing.
    engine : str
        The engine to use, or "auto".
    """
    able = [c for c in candidates if engine == "auto" or engine in c.engines]
    able.sort(key=lambda c: not {"cupy", "torch"} & set(c.engines))  # as fast as the GPU allows, first
    first: dict[tuple[str, str], Candidate] = {}
    for candidate in able:
        first.setdefault((candidate.label, candidate.family), candidate)
    heads = list(first.values())
    rest = [candidate for candidate in able if candidate not in heads]
    plain = [Item(c.name, c.label, c.family, "", engine) for c in heads]
    more = [Item(c.name, c.label, c.family, "", engine) for c in rest]
    hidden, more_hidden = (list(_hidden(group, evasions, engine)) for group in (heads, rest))
    return [Item(IDLE, "idle", "idle"), *plain, *hidden, *more, *more_hidden]


def _hidden(candidates: Sequence[Candidate], evasions: Sequence[str], engine: str) -> Iterator[Item]:
    for evasion in evasions:
        needed = "numba" if evasion == "few-sms" else ""  # only that engine can limit the blocks of a launch
        for c in candidates:
            fits = not needed or (needed in c.engines and engine in {"auto", needed})
            if c.label == "mining" and fits:
                yield Item(c.name, c.label, c.family, evasion, needed or engine)


def run_campaign(  # noqa: PLR0913
    items: Sequence[Item],
    folder: Path,
    record_one: Callable[[Item, Path, float], Done],
    *,
    seconds: float,
    within_s: float,
    stop: Event,
    say: Callable[[Result], object] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Result]:
    """Record what fits.

    Parameters
    ----------
    items : sequence of Item
        In the order in which they are tried.
    folder : Path
        Where the traces go; ``plan.json`` in it says what became of each item.
    record_one : callable
        Records an item to a path; is told how many seconds it may take until its workload begins.
    seconds : float
        Length of a run whose item names none.
    within_s : float
        Time for all of it.
    stop : Event
        Ends it; the rest is skipped.
    say : callable
        Is told each result as it comes.

    Raises
    ------
    StorageError
        If the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    start, overhead, measured = clock(), OVERHEAD_S, 0
    for item in items:
        path, left, long = folder / f"{item.stem}.parquet", within_s - (clock() - start), item.seconds or seconds
        reason = _reason(path, left, long + overhead, stop)
        began, unix = clock(), time.time()
        result = Result(item, "skipped", reason) if reason else _one(item, path, left - long, record_one, clock)
        if not reason:
            result = replace(result, began_unix_s=unix)
        if result.status == "recorded" and item.name != IDLE:
            measured += 1
            overhead += (clock() - began - long - overhead) / measured  # the mean so far
        results.append(result)
        say(result)
        _note(folder, results)
    return results


def _reason(path: Path, left_s: float, need_s: float, stop: Event) -> str:
    if path.exists():
        return "recorded already"
    if stop.is_set():
        return "interrupted"
    return f"no time: {max(0.0, left_s):.0f} s left, about {need_s:.0f} s needed" if left_s < need_s else ""


def _one(
    item: Item, path: Path, start_limit_s: float, record_one: Callable[[Item, Path, float], Done],
    clock: Callable[[], float],
) -> Result:  # fmt: skip
    start = clock()
    try:
        _rescue(path)
        done = record_one(item, path, start_limit_s)
    except StorageError:
        raise
    except (MissingExtraError, MemoryShortError, NoDeviceError) as error:  # this machine cannot, whoever tries
        return Result(item, "skipped", str(error), 0, clock() - start)
    except HashwardenError as error:
        return Result(item, "failed", str(error), 0, clock() - start)
    return Result(item, "recorded", done.note, done.samples, clock() - start)


def _rescue(path: Path) -> None:
    """What a killed recorder left of this item is kept beside the new recording."""
    journal = journal_of(path)
    if not journal.exists():
        return
    number = 1
    while (kept := path.with_name(f"{path.stem}.cut-off-{number}.parquet")).exists():
        number += 1
    try:
        seal(path)
    except StorageError:
        raise
    except DataError:  # it was killed before the first sample
        return
    path.replace(kept)


def _note(folder: Path, results: Sequence[Result]) -> None:
    fresh = folder / "plan.json.new"
    fresh.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    fresh.replace(folder / "plan.json")
