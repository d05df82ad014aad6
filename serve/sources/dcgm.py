"""The source ``dcgm``: what a running dcgm-exporter, or a Prometheus server that scrapes such, says of GPUs.

Nothing new on the node: any counters file will do, and deploy/dcgm/hashwarden-counters.csv has all that is of use.

The exporter keeps its last sample for whoever asks, so only a change is a reading; what it says first is not, for it
may be frozen since days. One that does not change for long is an error, not an idle GPU. GPUs of another node, as a
service in front of several exporters gives in turns, are nobody's here.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from hashwarden.errors import DataError, HashwardenError, NoDeviceError
from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.sources.dcgm_fields import NUMBERS, channels
from hashwarden.serve.sources.dcgm_fresh import Fresh
from hashwarden.serve.sources.dcgm_http import Address, fetch
from hashwarden.serve.sources.dcgm_prometheus import Prometheus
from hashwarden.serve.sources.dcgm_series import Series, devices_of
from hashwarden.serve.sources.dcgm_text import Parser
from hashwarden.serve.sources.health import Backoff
from hashwarden.serve.sources.nvml_energy import Energy
from hashwarden.serve.sources.nvml_names import instance_names
from hashwarden.serve.sources.source import Device, NoData, Options, Reading, SourceLost

__all__ = ["MOST_BYTES", "DcgmSource", "local_gpus", "make"]

MOST_BYTES: Final = 16 << 20
"""Of an exporter's answer; eight GPUs cut into seven instances each give less than two."""

ANSWER_S: Final = 4.0
"""Seconds for all that one reading asks; less than what the runner takes for a hang."""

LEAST_PERIOD_S: Final = {"exporter": 1.0, "prometheus": 5.0}
"""Seconds between two questions, at least."""

LEAST_ENERGY_S: Final = 10.0
"""Seconds between two states of the energy counter, at least: when the exporter looked is known to a second only."""

NAMES_S: Final = 60.0
"""Seconds until NVML is asked again for names of MIG instances that it did not know."""

LONGEST_BACKOFF_S: Final = 15.0
SKEW_S: Final = 30.0
_ENERGY, _LIMIT_ASKED, _LIMIT = 156, 160, 164


def make(options: Options) -> DcgmSource:
    """The source, not open yet."""
    return DcgmSource(options, clock=options.clock, unix=options.unix)


def local_gpus(folder: Path = Path("/proc/driver/nvidia/gpus")) -> frozenset[str]:
    """UUIDs of this machine's GPUs, as the driver tells without a library; empty if it does not."""
    found = set()
    for file in sorted(folder.glob("*/information"))[:64]:
        try:
            text = file.read_bytes()[:4096].decode("ascii", "replace")
        except OSError:
            continue
        found |= {line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("GPU UUID:")}
    return frozenset(uuid for uuid in found if uuid.startswith("GPU-") and "?" not in uuid)


@final
class DcgmSource:
    """See the module.

    Parameters
    ----------
    options : Options
        Which address, and which GPUs.
    clock, unix : callable
        Seconds of the monotonic clock, and since 1970.
    local : callable
        See `local_gpus`.
    backoff : Backoff, optional
        The wait before somebody who failed is asked again.
    fresh : callable
        Makes what tells new from old.
    environment : mapping
        See `hashwarden.serve.sources.dcgm_http`.
    names : callable
        See `hashwarden.serve.sources.nvml_names.instance_names`; asked only where there are MIG instances.

    Attributes
    ----------
    faults : Counter of str
        What could not be believed, since it was opened.
    labels : mapping of str to mapping
        By UUID: whose work the devices are said to do (`hashwarden.serve.sources.dcgm_series.Series`). A new mapping
        with each answer, so that other threads may read it.
    """

    def __init__(  # noqa: PLR0913
        self,
        options: Options,
        *,
        clock: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
        local: Callable[[], frozenset[str]] = local_gpus,
        backoff: Backoff | None = None,
        fresh: Callable[[], Fresh] = Fresh,
        environment: Mapping[str, str] = os.environ,
        names: Callable[[], Mapping[str, str]] = instance_names,
    ) -> None:
        self._options, self._clock, self._unix, self._local = options, clock, unix, local
        self._backoff = backoff or Backoff(1.0, LONGEST_BACKOFF_S)
        self._make_fresh, self._environment, self._ask_names = fresh, environment, names
        self._server: Prometheus | None = None
        self._address: Address | None = None
        self._forget()

    def _forget(self) -> None:
        self.faults: Counter[str] = Counter()
        self.labels: Mapping[str, Mapping[str, str]] = {}
        self._parser, self._fresh = Parser(NUMBERS), self._make_fresh()
        self._known: frozenset[str] = frozenset()
        self._last: tuple[bytes, dict[str, Series]] = (b"", {})
        self._energy: dict[str, tuple[float, Energy]] = {}
        self._error: HashwardenError | None = None
        self._next_s = self._named_s = float("-inf")
        self._names: Mapping[str, str] = {}
        self._instances: frozenset[str] = frozenset()

    def open(self) -> Sequence[Device]:
        """Ask once, to learn of the devices.

        Raises
        ------
        UsageError, NoDeviceError, DataError
            If the address cannot be meant, nobody answers, or there is no GPU in the answer.
        """
        self._forget()
        if self._options.prometheus_url:
            self._server = Prometheus(self._options.prometheus_url, self._options.gpus, self._environment)
        else:
            self._address = Address.of(self._options.dcgm_url)
        seen = self._ask()
        self._known = frozenset(seen)
        self._fresh.new({gpu: series.raw for gpu, series in seen.items()}, self._clock())
        return [series.device for series in seen.values()]

    def read(self) -> Sequence[Reading]:
        """What is new since the last reading.

        Raises
        ------
        NoData
            If nothing is new, and that is no wonder.
        SourceLost
            If it speaks of other GPUs now.
        HashwardenError
            If nobody answers, if the answer cannot be used, or if nothing has been new for too long.
        """
        now = self._clock()
        if self._error is not None and not self._backoff.ready(now):
            raise self._error
        if now < self._next_s:
            raise NoData("it is not time to ask again")
        try:
            seen = self._ask()
        except HashwardenError as error:
            self._error, self._instances = error, frozenset()  # who was away may have been cut up anew
            self._backoff.failed(now)
            raise
        self._error = None
        self._backoff.succeeded()
        return self._news(seen, now)

    def close(self) -> None:
        """Nothing is held between two readings."""
        self.labels = {}

    def _ask(self) -> dict[str, Series]:
        deadline = time.monotonic() + ANSWER_S
        if self._server is not None:
            seen = devices_of(self._server.samples(deadline), self.faults, federated=True)
        elif self._address is not None:
            seen = self._scraped(self._address, deadline)
        named = self._named(seen)
        wanted = {gpu: series for gpu, series in named.items() if self._options.wants(series.device)}
        if not wanted:
            which = ", ".join(self._options.gpus) or "any"
            raise NoDeviceError(f"no GPU of {len(seen)} there is {which}", "a number or UUID", "Correct it.")
        self.labels = {gpu: series.labels for gpu, series in wanted.items()}
        return wanted

    def _named(self, seen: Mapping[str, Series]) -> dict[str, Series]:
        """MIG instances by NVML's names, as every other source has them; by DCGM's where NVML is not to be had."""
        instances, now = frozenset(gpu for gpu, one in seen.items() if one.device.mig is not None), self._clock()
        late = not instances <= self._names.keys() and now - self._named_s >= NAMES_S
        if instances and (instances != self._instances or late):
            self._instances, self._names, self._named_s = instances, self._ask_names() or self._names, now
        return {series.device.gpu: series for series in (_renamed(one, self._names) for one in seen.values())}

    def _scraped(self, address: Address, deadline: float) -> dict[str, Series]:
        body = fetch(address, deadline=deadline, most=MOST_BYTES, environment=self._environment)
        digest = hashlib.sha256(body).digest()
        if digest != self._last[0]:
            self._last = (digest, self._read(address, body))
        return self._last[1]

    def _read(self, address: Address, body: bytes) -> dict[str, Series]:
        samples = list(self._parser.samples(body))
        self.faults["lines that are no samples"] += self._parser.wrong
        if not samples:
            begins = shorten(printable(body[:200].decode("utf-8", "replace").strip()), 60)
            got = f"no field of DCGM that is known, but {begins!r}"
            raise DataError(
                got, "the metrics of dcgm-exporter", "See the address and its counters.", where=address.text
            )
        seen = devices_of(samples, self.faults)
        local = self._local()
        here = {gpu: series for gpu, series in seen.items() if not local or gpu.split("/")[0] in local}
        if seen and not here:
            hosts = ", ".join(sorted({series.labels.get("hostname", "?") for series in seen.values()})[:3])
            remedy = "Give this node's own exporter, no service; for a whole cluster ask its Prometheus server."
            raise DataError(f"only GPUs of another node ({hosts})", "this node's", remedy, where=address.text)
        return here

    def _news(self, seen: Mapping[str, Series], now: float) -> list[Reading]:
        if not seen.keys() <= self._known:
            which = ", ".join(sorted(seen.keys() - self._known)[:3])
            raise SourceLost(f"it speaks of other GPUs now ({which}): new ones, or those of another node")
        new = self._fresh.new({gpu: series.raw for gpu, series in seen.items()}, now)
        least = LEAST_PERIOD_S["exporter" if self._server is None else "prometheus"]
        self._next_s = max(now + 0.9 * max(self._options.period_s, least), self._fresh.due_s())
        readings = [reading for gpu in sorted(new) if (reading := self._reading(seen[gpu], now)) is not None]
        if readings:
            return readings
        if any(self._age_s(seen[gpu]) is None for gpu in new):
            got, remedy = "samples of another time only", "Compare the clocks of this machine and of its own."
            raise DataError(got, f"of the last {self._fresh.stale_s:.0f} s", remedy)
        stale = self._fresh.stale(now)
        if self._known <= stale.keys():
            remedy = "Start it and its host engine anew; until then the GPUs are not watched."
            raise DataError("; ".join(list(stale.values())[:3]), "counters that move", remedy)
        raise NoData("nothing is new")

    def _reading(self, series: Series, now: float) -> Reading | None:
        age_s = self._age_s(series)
        if age_s is None:
            self.faults["samples of another time: old ones, or a clock that is wrong"] += 1
            return None
        gpu, mig = series.device.gpu, series.device.mig is not None
        values = channels(series.raw, mig=mig)
        if not mig:
            values |= self._mean_power(gpu, series.raw, now - age_s)
        return Reading(gpu, series.device.index, now - age_s, self._unix() - age_s, values) if values else None

    def _age_s(self, series: Series) -> float | None:
        """How old a sample is, 0 if the exporter does not tell; None if that cannot be of now."""
        age_s = 0.0 if math.isnan(series.unix_s) else self._unix() - series.unix_s
        return max(0.0, age_s) if -SKEW_S <= age_s <= self._fresh.stale_s else None

    def _mean_power(self, gpu: str, raw: Mapping[int, float], at: float) -> dict[str, float]:
        """Power from the energy counter, over some seconds at least."""
        limit, used = raw.get(_LIMIT, raw.get(_LIMIT_ASKED, 0.0)), raw.get(_ENERGY)
        last_s, energy = self._energy.setdefault(gpu, (float("-inf"), Energy()))
        if used is None or not 0 <= used < 1 << 63 or at - last_s < LEAST_ENERGY_S:
            return {}
        self._energy[gpu] = (at, energy)
        watts = energy.watts(at, int(used))
        return {} if watts is None or limit <= 0 else {"energy_power_ratio": watts / limit}


def _renamed(series: Series, names: Mapping[str, str]) -> Series:
    device = series.device
    name = names.get(device.alias)
    return series if name is None else replace(series, device=replace(device, gpu=name))
