"""What the agent asks the process that reads machine code, and what that answers: one JSON text each way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, final, get_args

from hashwarden.serve.jobs.job import ProcessKey

__all__ = ["MOST_BYTES", "Answer", "Question", "State", "Told"]

MOST_BYTES: Final = 16 << 20
"""Of a question or an answer."""

State = Literal["read", "later", "gone", "refused"]
"""Read to its end; read in part, the rest when there is processor time again; ended meanwhile; not to be read."""


@final
@dataclass(frozen=True, slots=True)
class Question:
    """What is to be read.

    Attributes
    ----------
    processes : tuple of ProcessKey
    seconds : float
        Processor time that it may take, about.
    folder : str
        Of the `CodeStore`.
    """

    processes: tuple[ProcessKey, ...]
    seconds: float
    folder: str

    def dump(self) -> bytes:
        """As JSON."""
        return json.dumps({
            "processes": [[process.pid, process.started] for process in self.processes],
            "seconds": self.seconds, "folder": self.folder,
        }).encode()  # fmt: skip

    @classmethod
    def load(cls, data: bytes) -> Question:
        """From JSON."""
        said = json.loads(data)
        return cls(tuple(ProcessKey(*pair) for pair in said["processes"]), said["seconds"], said["folder"])


@final
@dataclass(frozen=True, slots=True)
class Told:
    """What was read of one process.

    Attributes
    ----------
    process : ProcessKey
    state : str
        See `State`.
    keys : tuple of str
        Indices of the `CodeStore` that hold its kernels; contents without kernels are left out.
    """

    process: ProcessKey
    state: State
    keys: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What was read.

    Attributes
    ----------
    told : tuple of Told
    counts : dict of str to int
        What was read and what could not be, over all processes.
    """

    told: tuple[Told, ...]
    counts: Mapping[str, int] = field(default_factory=dict)

    def dump(self) -> bytes:
        """As JSON."""
        told = [[one.process.pid, one.process.started, one.state, list(one.keys)] for one in self.told]
        return json.dumps({"told": told, "counts": dict(self.counts)}).encode()

    @classmethod
    def load(cls, data: bytes) -> Answer:
        """From JSON.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            said = json.loads(data)
            return cls(_told(said["told"]), {str(name): int(count) for name, count in said["counts"].items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no answer: {error}") from error


def _told(entries: Sequence[Sequence[object]]) -> tuple[Told, ...]:
    found = []
    for pid, started, state, keys in entries:
        if state not in get_args(State) or not isinstance(keys, list):
            raise ValueError(f"a state {state!r}")
        found.append(Told(ProcessKey(int(str(pid)), int(str(started))), state, tuple(map(str, keys))))  # type: ignore[arg-type]
    return tuple(found)
