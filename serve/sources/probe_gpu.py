"""The probes of one GPU: when their process lives, when it is told to probe, and what is made of its answers."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import DataError, HashwardenError
from hashwarden.kernels.probes.baseline import Baseline
from hashwarden.kernels.probes.device import (
    CONTEXT_BYTES,
    MEMORY_LIMIT,
    ComputeMode,
    DeviceFacts,
    require_memory,
    require_mode,
)
from hashwarden.kernels.probes.probe import QUANTILES
from hashwarden.model.channels import INDEX
from hashwarden.serve.sources.duty import Duty
from hashwarden.serve.sources.health import Backoff
from hashwarden.serve.sources.nvml_calls import Nvml
from hashwarden.serve.sources.probe_child import MOST_ROUNDS, RATE
from hashwarden.serve.sources.probe_process import ProbeProcess
from hashwarden.serve.sources.source import Device, Options

__all__ = ["CALIBRATION_ROUNDS", "ProbeGpu", "baseline_folder"]

CALIBRATION_ROUNDS: Final = 8
_MEDIAN: Final = QUANTILES.index("p50")
_FIRST_S, _LONGEST_S = 30.0, 600.0
_COMPUTE: Final = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetComputeRunningProcesses_v2")


def baseline_folder() -> Path:
    """Where baselines are kept: root's state, or the user's."""
    if os.geteuid() == 0:
        return Path("/var/lib/hashwarden/probes")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "hashwarden/probes"


@final
class ProbeGpu:
    """One GPU.

    Parameters
    ----------
    nvml : Nvml
        The driver.
    device : Device
        Which.
    handles : (object, object)
        NVML's, of the device and of the whole GPU.
    options : Options
        The duty cycle, and where its process is noted.
    start : callable
        From the UUID to the process.
    folder : Path
        Of the baselines.
    uniform : callable or None
        See `hashwarden.serve.sources.duty.Duty`.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self, nvml: Nvml, device: Device, handles: tuple[Any, Any], options: Options,
        start: Callable[[str], ProbeProcess], folder: Path, uniform: Callable[[], float] | None,
    ) -> None:  # fmt: skip
        self.device = device
        self._nvml, self._handles, self._options, self._start = nvml, handles, options, start
        self._duty = Duty(options.every_s) if uniform is None else Duty(options.every_s, uniform)
        self._backoff = Backoff(_FIRST_S, _LONGEST_S)
        self._process: ProbeProcess | None = None
        self._dying: list[ProbeProcess] = []
        self._error: HashwardenError | None = None
        self._baseline: Baseline | None = None
        self._path = folder / f"{_plain(device.gpu)}-{_plain(device.driver) or 'unknown'}.json"

    def require_mode(self) -> None:
        """Refuse a GPU that lets in one process only.

        Raises
        ------
        PrivilegeError
            If its compute mode is any but the default.
        """
        mode = self._nvml.call("nvmlDeviceGetComputeMode", self._handles[1], of=self.device.gpu)
        if mode is not None:
            require_mode(ComputeMode(mode), self.device.name)

    def step(self, now_s: float) -> dict[str, float]:
        """Do what it is time for; gives the channels of a burst that has ended.

        Raises
        ------
        HashwardenError
            Why there are no probes now; the same until they are tried again.
        DeviceLost, SourceLost
            If the GPU or the driver is gone.
        """
        if self._error is not None and not self._backoff.ready(now_s):
            raise self._error
        self._error = None
        try:
            if self._process is None:
                self._begin(now_s)
                return {}
            said = self._process.hear()
            found = self._heard(said, self._process) if said is not None else {}
            if self._process.idle and self._duty.due(now_s):
                self._probe(self._process, now_s)
        except HashwardenError as error:
            self._error = error
            self._backoff.failed(now_s)
            self.close()
            raise
        return found

    def close(self, wait_s: float = 0.0) -> None:
        """End the process.

        Parameters
        ----------
        wait_s : float
            How long to wait until it is gone; one that is not by then is no longer passed over as our own.
        """
        if self._process is not None:
            self._process.end()
            self._dying.append(self._process)
            self._process = None
        if wait_s:
            for process in self._dying:
                process.wait(wait_s)
                self._options.helpers.discard(process.pid)
        self._bury()

    def _bury(self) -> None:
        """Forget processes that have ended. One that hangs in the driver still stands on the GPU."""
        for process in [p for p in self._dying if p.gone]:
            self._dying.remove(process)
            self._options.helpers.discard(process.pid)

    def _begin(self, now_s: float) -> None:
        self._bury()
        if self._dying or not self._duty.due(now_s):
            return
        self.require_mode()
        self._require_memory(CONTEXT_BYTES + MEMORY_LIMIT)
        self._process = self._start(self.device.gpu)
        self._options.helpers.add(self._process.pid)

    def _require_memory(self, needed: int) -> None:
        memory = self._nvml.call("nvmlDeviceGetMemoryInfo", self._handles[0], of=self.device.gpu)
        if memory is not None:
            require_memory(int(memory.free), needed, self.device.name)

    def _probe(self, process: ProbeProcess, now_s: float) -> None:
        """Tell it to measure the baseline if the GPU is idle and there is none, and to probe otherwise."""
        self._duty.looked(now_s)
        self._require_memory(0)
        if self._baseline is None and self._is_idle(process):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            seconds = CALIBRATION_ROUNDS / RATE
            process.order(seconds, do="calibrate", rounds=CALIBRATION_ROUNDS, path=str(self._path))
            return
        rounds = max(1, min(round(RATE * self._options.burst_s), MOST_ROUNDS))
        process.order(rounds / RATE, do="rounds", rounds=rounds)

    def _is_idle(self, process: ProbeProcess) -> bool:
        """Whether nobody else stands on the GPU, as far as the driver tells; the probes then look for gaps too."""
        found = self._nvml.first(_COMPUTE, self._handles[0], of=self.device.gpu)
        if found is None:
            return False
        pids = {entry.pid for entry in found}
        return pids <= {process.pid} or len(pids) == 1  # in another PID namespace ours has another number

    def _heard(self, said: Mapping[str, Any], process: ProbeProcess) -> dict[str, float]:
        if said["said"] in {"ready", "calibrated"}:
            self._backoff.succeeded()
            self._baseline = self._load(process)
        return dict(self._channels(said)) if said["said"] == "rounds" else {}

    def _load(self, process: ProbeProcess) -> Baseline | None:
        """The baseline, if there is one of this GPU; a damaged one is measured again."""
        try:
            baseline = Baseline.load(self._path)
            baseline.require(_facts(process.facts or {}))
        except DataError:
            return None
        return baseline

    def _channels(self, said: Mapping[str, Any]) -> list[tuple[str, float]]:
        """Ratios over the idle GPU where there is a baseline, and the share of time that was not the probes' own."""
        latency = said.get("latency")
        found = [("probe_gap_ratio", _number(said.get("gap")))]
        if self._baseline is not None and isinstance(latency, dict):
            for name, quantiles in self._baseline.quantiles.items():
                idle = quantiles[_MEDIAN]
                if f"probe_{name}_ratio" in INDEX and idle > 0:
                    found.append((f"probe_{name}_ratio", _number(latency.get(name)) / idle))
        return [(name, value) for name, value in found if math.isfinite(value)]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _plain(text: str) -> str:
    """Fit for a file name."""
    return "".join(char if char.isascii() and (char.isalnum() or char in ".-") else "_" for char in text)[:80]


def _facts(told: Mapping[str, Any]) -> DeviceFacts:
    """What the process said of the GPU.

    Raises
    ------
    DataError
        If that is not understood.
    """
    try:
        major, minor = told["capability"]
        return DeviceFacts(
            str(told["name"]), (int(major), int(minor)), int(told["multiprocessors"]), 0, ComputeMode.DEFAULT, 0, 0
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"facts that are none ({error})", "a GPU's", "Start the probes anew.") from error
