"""A collector that plays samples from a list, with the signatures of cupti-python's (a test compares them)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class FakeSample:
    start_timestamp: int
    end_timestamp: int
    metric_values: list[float]


class FakeCounterData:
    def __init__(self, samples: list[FakeSample], incomplete: int = 0) -> None:
        self._samples = samples
        self.num_completed_samples = len(samples)
        self.num_populated_samples = len(samples) + incomplete
        self.num_total_samples = len(samples) + incomplete

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self):
        return iter(self._samples)


class FakeCollector:
    """Plays what is in ``decodings``: lists of samples, or errors that are raised. ``fails`` does so elsewhere."""

    def __init__(self, device_index: int = 0) -> None:
        self.device_index = device_index
        self.decodings: list[Any] = []
        self.fails: dict[str, list[Exception | None]] = {}
        self.calls: list[str] = []
        self.enabled = self.started = False
        self.configured: dict[str, Any] = {}

    def _call(self, name: str) -> None:
        self.calls.append(name)
        error = self.fails.get(name, [])[:1]
        self.fails[name] = self.fails.get(name, [])[1:]
        if error and error[0] is not None:
            raise error[0]

    def enable(self) -> None:
        self._call("enable")
        self.enabled = True

    def configure(
        self,
        *,
        metrics: list[str],
        hardware_buffer_size: int = 512 * 1024 * 1024,
        sampling_interval: int = 10000,
        trigger_mode: Any = None,
        hw_buffer_append_mode: Any = None,
        single_pass_metric_set_name: str | None = None,
    ) -> None:
        self.configured = {
            "metrics": metrics,
            "buffer": hardware_buffer_size,
            "interval": sampling_interval,
            "trigger": trigger_mode,
            "append": hw_buffer_append_mode,
        }
        self._call("configure")

    def start(self) -> None:
        assert self.enabled
        self._call("start")
        self.started = True

    def stop(self) -> None:
        self._call("stop")
        self.started = False

    def decode(self, max_samples: int = 10000) -> FakeCounterData:
        self._call("decode")
        found = self.decodings.pop(0) if self.decodings else []
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, FakeCounterData) else FakeCounterData(found[:max_samples])

    def disable(self) -> None:
        self._call("disable")
        self.enabled = self.started = False


@dataclass
class FakeDriver:
    name: str = "GH100"
    made: FakeCollector = field(default_factory=FakeCollector)

    def collector(self, device: int) -> FakeCollector:
        self.made.device_index = device
        return self.made

    def chip(self, device: int) -> str:
        return self.name

    def scopes(self, device: int, metrics: list[str]) -> dict[str, str]:
        return dict.fromkeys(metrics, "DEVICE")

    def trigger_mode(self, by_clock: bool) -> str:
        return "clock" if by_clock else "time"

    def append_mode(self) -> str:
        return "keep oldest"


SINCE_NS = 1_790_000_000_000_000_000
"""When sample number 0 starts; a start of 0 is none."""


def samples(first: int, count: int, width: int, interval: int = 500_000, value: float = 50.0) -> list[FakeSample]:
    """``count`` samples from number ``first`` on; the i-th channel reads ``value + i``."""
    values = [value + i for i in range(width)]
    starts = (SINCE_NS + i * interval for i in range(first, first + count))
    return [FakeSample(start, start + interval, list(values)) for start in starts]
