"""The source ``pm``: what CUPTI's PM sampling saw between two readings, as channels.

Opt-in: it takes root, and one GPU's counters have one reader.

Not tried on a GPU; `hashwarden.kernels.streams.metric_sets.UNVERIFIED` says what only a GPU can tell.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final, final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from hashwarden.errors import NoDeviceError
from hashwarden.kernels.streams.sampler import Block, Sampler
from hashwarden.kernels.streams.state import StreamState
from hashwarden.serve.sources.source import Device, NoData, Options, Reading

__all__ = ["PmSource", "cuda_devices", "make"]

F64 = npt.NDArray[np.float64]

MEANS: Final = {
    "pm_sm_active_ratio": "sm_active",
    "pm_issue_ratio": "inst",
    "pm_alu_ratio": "alu",
    "pm_fma_ratio": "fma",
    "pm_tensor_ratio": "tensor",
    "pm_l2_ratio": "l2",
    "pm_dram_read_ratio": "dram_read",
    "pm_dram_write_ratio": "dram_write",
}
"""Channels that are the mean of a counter of the burst; counters are in percent of the sustained peak."""

GAP_S: Final = 0.001
IDLE_PERCENT: Final = 0.1
"""An interval of `GAP_S` is without work if SMs were active for less of it."""

RHYTHM_WINDOW_S: Final = 10.0
RHYTHM_EVERY_S: Final = 1.0


def make(options: Options) -> PmSource:
    """The source, not open yet."""
    return PmSource(options)


def cuda_devices() -> list[tuple[int, Device]]:
    """CUDA's number of each GPU that this process sees, and the GPU as NVML would number it: by its PCI address.

    Raises
    ------
    NoDeviceError
        If there is no driver.
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NoDeviceError("libcuda.so.1 cannot be loaded", "NVIDIA's driver", "Run on a machine with it.") from error
    count = ctypes.c_int(0)
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        raise NoDeviceError("CUDA cannot be initialised", "a GPU that this process may use", "See nvidia-smi -L.")
    found = []
    for number in range(count.value):
        uuid, bus = (ctypes.c_ubyte * 16)(), ctypes.create_string_buffer(32)
        name = ctypes.create_string_buffer(96)
        cuda.cuDeviceGetUuid(uuid, number)
        cuda.cuDeviceGetPCIBusId(bus, 32, number)
        cuda.cuDeviceGetName(name, 96, number)
        found.append((bus.value, number, f"GPU-{UUID(bytes=bytes(uuid))}", name.value.decode(errors="replace")))
    return [(number, Device(uuid, place, name)) for place, (_, number, uuid, name) in enumerate(sorted(found))]


@final
class PmSource:
    """Samplers of the wanted GPUs.

    Parameters
    ----------
    options : Options
        Which GPUs, how long between readings, how many samples a second.
    devices : callable
        See `cuda_devices`.
    sampler : callable, optional
        From CUDA's number of a GPU to its sampler.
    clock, unix : callable
        Seconds of the monotonic clock, and since 1970.
    """

    def __init__(
        self,
        options: Options,
        devices: Callable[[], Sequence[tuple[int, Device]]] = cuda_devices,
        sampler: Callable[[int], Sampler] | None = None,
        clock: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self._options, self._devices, self._clock, self._unix = options, devices, clock, unix
        self._sampler = sampler or self._make_sampler
        self._open: list[_Burst] = []
        self._cleanup = ExitStack()

    def open(self) -> Sequence[Device]:
        """Begin to sample; what cannot be sampled is an error of `Sampler`, and nothing stays enabled."""
        chosen = [(number, device) for number, device in self._devices() if self._options.wants(device)]
        if not chosen:
            wanted = ", ".join(self._options.gpus)
            raise NoDeviceError(f"no GPU of CUDA is {wanted}", "a number or UUID of `nvidia-smi -L`", "Correct it.")
        with ExitStack() as stack:
            self._open = [_Burst(d, stack.enter_context(self._sampler(number))) for number, d in chosen]
            self._cleanup = stack.pop_all()
        return [device for _, device in chosen]

    def read(self) -> Sequence[Reading]:
        """What was sampled since the last reading."""
        now, unix = self._clock(), self._unix()
        readings = [
            Reading(burst.device.gpu, burst.device.index, now, unix, values)
            for burst in self._open
            if (values := burst.values(now))
        ]
        if not readings:
            raise NoData("no sample came yet")
        return readings

    def close(self) -> None:
        """Stop sampling, and let go of the GPUs."""
        self._open = []
        self._cleanup.close()

    def _make_sampler(self, number: int) -> Sampler:
        poll = min(10.0, max(0.1, self._options.period_s))
        return Sampler(number, rate_hz=self._options.burst_hz, poll_s=poll)


@final
class _Burst:
    """One GPU's sampler, and the window in which its rhythm is looked for."""

    def __init__(self, device: Device, sampler: Sampler) -> None:
        self.device, self._sampler = device, sampler
        self._state: StreamState | None = None
        self._rhythm_s = float("-inf")

    def values(self, now_s: float) -> dict[str, float]:
        blocks = self._sampler.poll()
        if not blocks:
            return {}
        if self._state is None:  # only now is the interval known on every GPU
            self._state = self._sampler.state(RHYTHM_WINDOW_S)
            self._rhythm_s = now_s
        found = dict(_means(blocks))
        found["pm_idle_gap_ratio"] = _idle(blocks, self._sampler.interval_s)
        if now_s - self._rhythm_s >= RHYTHM_EVERY_S:
            self._rhythm_s = now_s
            found |= _rhythm(self._state)
        return {name: value for name, value in found.items() if value == value}  # noqa: PLR0124  NaN is missing


def _column(block: Block, name: str) -> F64:
    return block.values[:, block.names.index(name)]


def _means(blocks: Sequence[Block]) -> Iterator[tuple[str, float]]:
    """Means over the samples that are there; NaN if none is."""
    for channel, name in MEANS.items():
        if name in blocks[0].names:
            column = np.concatenate([_column(block, name) for block in blocks])
            there = column[np.isfinite(column)]
            yield channel, float(there.mean()) / 100 if len(there) else float("nan")


def _idle(blocks: Sequence[Block], interval_s: float) -> float:
    """Share of intervals of `GAP_S` in which no SM worked."""
    width = max(1, round(GAP_S / interval_s))
    parts = [_column(block, "sm_active") for block in blocks]
    rows = [part[: len(part) // width * width].reshape(-1, width) for part in parts]
    active = np.concatenate([row.mean(axis=1) for row in rows])
    active = active[np.isfinite(active)]
    return float((active < IDLE_PERCENT).mean()) if len(active) else float("nan")


def _rhythm(state: StreamState) -> Mapping[str, float]:
    """Period and its strength of the busier of the tensor and the integer pipe."""
    features = state.features()
    pipe = max(("tensor", "alu"), key=lambda name: np.nan_to_num(features[f"{name}.mean"]))
    strength = features[f"{pipe}.period_strength"]
    return {"pm_rhythm_seconds": features[f"{pipe}.period"], "pm_rhythm_strength_ratio": min(1.0, max(0.0, strength))}
