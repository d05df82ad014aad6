"""Jobs that ended lately, as they were last seen: who asks after the night's work, or after the job before this one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final, final

__all__ = ["KEPT_S", "MOST", "Ended"]

MOST: Final = 500
KEPT_S: Final = 86_400.0


@final
class Ended:
    """See the module; written by the thread that ticks, read by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[str, dict[str, Any]] = {}

    def put(self, page: Mapping[str, Any], unix_s: float) -> None:
        """Keep the page of a job that ended; the oldest go."""
        with self._lock:
            self._pages.pop(page["job"], None)
            self._pages[page["job"]] = {**page, "ended_unix_s": unix_s}
            while len(self._pages) > MOST or next(iter(self._pages.values()))["ended_unix_s"] < unix_s - KEPT_S:
                del self._pages[next(iter(self._pages))]

    def back(self, job: str) -> None:
        """A job goes on after all."""
        with self._lock:
            self._pages.pop(job, None)

    def get(self, job: str) -> dict[str, Any] | None:
        """The page of a job, whole."""
        with self._lock:
            return self._pages.get(job)

    def rows(self, gpu: str = "", user: str = "") -> list[dict[str, Any]]:
        """Those that were on a GPU, and of a user, as rows; all if none is named. The last to end comes last."""
        with self._lock:
            pages = list(self._pages.values())
        return [
            {name: value for name, value in page.items() if name not in ("history", "verdicts_full", "cases")}
            for page in pages
            if (not gpu or gpu in page["gpus"] or gpu in page["verdicts"]) and (not user or page["user"] == user)
        ]
