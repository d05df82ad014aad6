"""How often a model was asked and how long it took: the numbers of Triton's statistics extension.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final, final

__all__ = ["Statistics"]

_STAGES: Final = ("compute_input", "compute_infer", "compute_output")


@final
class Statistics:
    """Counters of one model, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows = self._runs = self._fails = self._last_ms = 0
        self._fail_ns = self._success_ns = 0
        self._stages = [0, 0, 0]

    def succeeded(self, rows: int, marks: tuple[int, int, int, int]) -> None:
        """Count an answer: its rows, and the nanoseconds at its begin and after reading, scoring and writing."""
        with self._lock:
            self._rows += rows
            self._runs += 1
            self._success_ns += marks[3] - marks[0]
            for stage in range(3):
                self._stages[stage] += marks[stage + 1] - marks[stage]
            self._last_ms = int(time.time() * 1000)

    def failed(self, spent_ns: int) -> None:
        """Count a refusal."""
        with self._lock:
            self._fails += 1
            self._fail_ns += spent_ns

    def told(self) -> dict[str, Any]:
        """The counters; counts are of requests but for ``inference_count``, which is of rows."""
        with self._lock:
            stages = {name: {"count": self._runs, "ns": ns} for name, ns in zip(_STAGES, self._stages, strict=True)}
            return {
                "last_inference": self._last_ms, "inference_count": self._rows, "execution_count": self._runs,
                "inference_stats": {
                    "success": {"count": self._runs, "ns": self._success_ns},
                    "fail": {"count": self._fails, "ns": self._fail_ns}, **stages,
                },
            }  # fmt: skip
