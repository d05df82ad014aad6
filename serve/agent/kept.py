"""Evidence on jobs that ended, for as long as another session of their user may go on with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

from hashwarden.serve.agent.joining import split

__all__ = ["MOST", "Kept"]

MOST: Final = 1024


@final
class Kept:
    """See the module.

    Parameters
    ----------
    for_s : float
        Seconds of the clock that `put` and `tidy` are told.
    """

    def __init__(self, for_s: float) -> None:
        self._for_s = for_s
        self._records: dict[str, tuple[float, Any]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def put(self, records: Mapping[str, Any], time_s: float) -> None:
        """Keep the evidence on what was watched, by name."""
        for name, record in records.items():
            self._records.pop(name, None)
            self._records[name] = (time_s, record)
        while len(self._records) > MOST:
            del self._records[next(iter(self._records))]

    def take(self, job: str) -> dict[str, Any]:
        """What is kept on a job, once."""
        names = [name for name in self._records if split(name)[0] == job]
        return {name: self._records.pop(name)[1] for name in names}

    def tidy(self, time_s: float) -> None:
        """Forget what is too old."""
        for name in [name for name, (since_s, _) in self._records.items() if time_s - since_s > self._for_s]:
            del self._records[name]

    def saved(self) -> dict[str, Any]:
        """All of it, for a restart."""
        return {name: record for name, (_, record) in self._records.items()}
