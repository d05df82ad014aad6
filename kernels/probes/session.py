"""A session of probes on one GPU: opt-in, small, slow-paced, and gone without a trace when it ends.

A probe sees contention: its own latencies, and the time in which the GPU was not its own. It never sees another
process's instructions, and never its memory. Without MPS, contexts of different processes take turns: the neighbour
does not run while a probe runs, so arithmetic and shared-memory probes see it by the clock and by gaps only; the
caches and device memory show what it left behind. docs/probes.md says more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from hashwarden.errors import UsageError
from hashwarden.kernels.probes import layout
from hashwarden.kernels.probes.baseline import Baseline
from hashwarden.kernels.probes.device import MEMORY_LIMIT, DeviceFacts, ProbeDevice, require_memory, require_usable
from hashwarden.kernels.probes.features import features_of
from hashwarden.kernels.probes.layout import WATCH, Watch
from hashwarden.kernels.probes.pace import MOST_BUDGET_US, Budget, RateLimit
from hashwarden.kernels.probes.probe import BLOCKS, PROBES, QUANTILES, Probe
from hashwarden.kernels.probes.reference import NOTHING

__all__ = ["Gaps", "ProbeRound", "ProbeSession"]

_SEEDS: Final = 1 << 31


@final
@dataclass(frozen=True, slots=True)
class Gaps:
    """What a round saw of time that was not its own.

    Attributes
    ----------
    blocks : int
        Blocks that watched; one gap of the GPU is seen by each of them.
    count : int
        Gaps over all blocks.
    share : float
        Share of the watched time that lay in gaps, 0 to 1.
    lost_us : float
        Time in gaps, mean over the blocks.
    longest_us : float
        The longest gap; NaN without gaps.
    quantiles_us : tuple of float
        Lengths in the order of `QUANTILES`; NaN without gaps.
    unstored : int
        Gaps that were counted only, since a block stores 64.
    slices : int
        Breaks outside the watch: two probes further apart than the threshold, or one that took longer than a whole
        round may and four times as long as usual.
    slices_us : float
        Time that they took, in all.
    """

    blocks: int
    count: int
    share: float
    lost_us: float
    longest_us: float
    quantiles_us: tuple[float, ...]
    unstored: int
    slices: int
    slices_us: float


@final
@dataclass(frozen=True, slots=True)
class ProbeRound:
    """One round.

    Attributes
    ----------
    quantiles : mapping of str to tuple of float
        Clock cycles a link of each probe, in the order of `QUANTILES`; NaN for a probe that was left out. Reading
        the clock is part of it: some 30 cycles a sample, the same in the baseline.
    gaps : Gaps
        Time that was not its own.
    gpu_us : float
        GPU time by CUDA's events, what the GPU did for others in between included.
    wait_us : float
        What the host waited beyond that: launching, and waiting for a turn on the GPU.
    clock_mhz : float
        Clock of the SMs, NaN if the timer stood still.
    repetitions : mapping of str to int
        Samples of each warp.
    over_budget : bool
        Whether its own GPU time was over the budget; the next round then does less.
    """

    quantiles: Mapping[str, tuple[float, ...]]
    gaps: Gaps
    gpu_us: float
    wait_us: float
    clock_mhz: float
    repetitions: Mapping[str, int]
    over_budget: bool

    def features(self, baseline: Baseline | None = None) -> dict[str, float]:
        """Give the named features; see features.py."""
        return features_of(self, baseline)


@final
class ProbeSession:
    """Probes on one GPU.

    Parameters
    ----------
    device : ProbeDevice
        The GPU, such as ``CupyDevice(0)``. The session opens and closes it.
    budget_us : float
        GPU time of a round at most, 60 to 200 microseconds.
    rounds_per_second : float
        At most 4.
    watch : Watch
        How gaps are watched for.
    seed : int
        Of the chases and operands, 0 to 2**31 - 1.
    rate : RateLimit, optional
        Keeps rounds apart in place of one made from ``rounds_per_second``; for tests.

    Raises
    ------
    UsageError
        If the budget, the rate, the watch or the seed is out of range.
    PrivilegeError, NoDeviceError, MemoryShortError
        If the GPU must not or cannot be probed; nothing stays allocated.
    """

    def __init__(  # noqa: PLR0913  each is a limit of its own
        self,
        device: ProbeDevice,
        budget_us: float = MOST_BUDGET_US,
        rounds_per_second: float = 1.0,
        *,
        watch: Watch = WATCH,
        seed: int = 1,
        rate: RateLimit | None = None,
    ) -> None:
        if not 0 <= seed < _SEEDS:
            raise UsageError(f"the seed {seed}", f"0 to {_SEEDS - 1}", "Choose one in that range.")
        self._rate = rate or RateLimit(rounds_per_second)
        self._budget = Budget(budget_us, watch.spin_ns / 1e3)
        self._device, self._watch, self._seed = device, watch, seed
        self._counted: dict[str, int] = {}
        needed = layout.bytes_needed()
        if needed >= MEMORY_LIMIT:
            raise UsageError(f"{needed:,} bytes of device memory", f"under {MEMORY_LIMIT:,}", "Shorten the chases.")
        self.facts: DeviceFacts = device.facts()
        self.bytes = needed
        self.blocks = min(BLOCKS, self.facts.multiprocessors)
        require_usable(self.facts, needed)
        try:
            self._take()
        except BaseException:
            device.close()
            raise

    def _take(self) -> None:
        """Open the device, take the memory, build the chases, and run one small round to learn what it costs."""
        require_memory(self._device.open(), self.bytes, self.facts.name)
        for name, data in layout.arrays(self._seed).items():
            self._device.allocate(name, data)
        for name, words in layout.chase_words().items():
            self._device.take(name, words)
        for launches in layout.set_up(self._seed):
            self._device.run(launches)
        self._run({probe.name: 1 for probe in PROBES})

    def round(self) -> ProbeRound:
        """Run the next round, after waiting for its time."""
        self._rate.wait()
        return self._run(self._budget.plan())

    def calibrate(self, rounds: int = 8) -> Baseline:
        """Measure what the probes read while the GPU does nothing else; that it does so is the caller's word.

        Parameters
        ----------
        rounds : int
            Rounds to take the medians of, at least 3.

        Raises
        ------
        UsageError
            If a gap shows that something else ran, or if there are too few rounds.
        """
        if rounds < 3:
            raise UsageError(f"{rounds} rounds", "at least 3", "Take more.")
        taken = [self.round() for _ in range(rounds)]
        gaps = sum(r.gaps.count + r.gaps.slices for r in taken)
        if gaps:
            remedy = "Calibrate before a job starts, or after the last one has ended."
            raise UsageError(f"{gaps} gaps in {rounds} rounds", "an idle GPU", remedy, where=self.facts.name)
        return Baseline.of(self.facts, taken)

    def close(self) -> None:
        """Give the memory back; the context stays until the process ends."""
        self._device.close()

    def __enter__(self) -> ProbeSession:
        """Give the session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, whatever happened."""
        self.close()

    def _run(self, plan: Mapping[str, int]) -> ProbeRound:
        device = self._device
        if plan != self._counted:
            device.write("counts", layout.counts(plan, self.blocks))
            self._counted = dict(plan)
        timing = device.run(layout.round_of(plan, self.blocks, self._watch, self._seed))
        stamps = device.read("stamps").astype(np.int64)
        values, spans = device.read("values"), device.read("spans")[: self.blocks].astype(np.int64)
        ran = np.array([plan[probe.name] > 0 for probe in PROBES])
        spent = {p.name: float(stamps[row, 1] - stamps[row, 0]) / 1e3 for row, p in enumerate(PROBES) if ran[row]}
        stolen = self._stolen(spent, plan)
        spent = {name: value - stolen.get(name, 0.0) for name, value in spent.items()}
        stamps = np.concatenate([stamps[ran], spans[:1, :2]])  # the watch follows the probes
        gaps = self._gaps(device.read("totals"), values[-1], stamps, list(stolen.values()))
        lost = gaps.slices_us + gaps.lost_us
        self._budget.learn(spent, plan, timing.gpu_us, lost)
        return ProbeRound(
            {probe.name: _cycles(values[row], probe) for row, probe in enumerate(PROBES)},
            gaps,
            timing.gpu_us,
            max(timing.wall_us - timing.gpu_us, 0.0),
            _clock(spans),
            dict(plan),
            timing.gpu_us - lost > self._budget.budget_us,
        )

    def _stolen(self, spent: Mapping[str, float], plan: Mapping[str, int]) -> dict[str, float]:
        """Microseconds beyond the usual of the probes that took too long to have had the GPU for themselves."""
        usual = {name: self._budget.expected_us(name, plan[name]) for name in spent}
        most = {name: max(self._budget.budget_us, 4 * usual[name]) for name in spent}
        return {name: spent[name] - usual[name] for name in spent if spent[name] > most[name]}

    def _gaps(
        self,
        totals: NDArray[np.uint64],
        lengths: NDArray[np.uint32],
        stamps: NDArray[np.int64],
        stolen: list[float],
    ) -> Gaps:
        count, stored, lost, longest, watched = (int(value) for value in totals)
        between = stamps[1:, 0] - stamps[:-1, 1]
        beyond = between[between > self._watch.threshold_ns]
        return Gaps(
            self.blocks,
            count,
            min(lost / watched, 1.0) if watched else math.nan,
            lost / self.blocks / 1e3,
            longest / 1e3 if stored else math.nan,
            tuple(_known(value) / 1e3 for value in lengths),
            count - stored,
            len(beyond) + len(stolen),
            float(beyond.sum()) / 1e3 + sum(stolen),
        )


def _known(value: np.uint32) -> float:
    return math.nan if value == NOTHING else float(value)


def _cycles(values: NDArray[np.uint32], probe: Probe) -> tuple[float, ...]:
    return tuple(_known(value) / probe.links for value in values[: len(QUANTILES)])


def _clock(spans: NDArray[np.int64]) -> float:
    """Median over the blocks of cycles by time, in MHz."""
    times, cycles = spans[:, 1] - spans[:, 0], spans[:, 3] - spans[:, 2]
    usable = (times > 0) & (cycles > 0)
    return float(np.median(1e3 * cycles[usable] / times[usable])) if usable.any() else math.nan
