"""Records the jobs that run anyway: one run a device, labelled by an operator or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Final, final

from hashwarden.errors import HashwardenError, NoDeviceError, UsageError
from hashwarden.model.trace import Run
from hashwarden.serve.labels import checked_label
from hashwarden.serve.recorder import Recording, Tally, check_period, record, run_of
from hashwarden.serve.sources.runner import Runner
from hashwarden.serve.sources.source import Device

__all__ = ["Naming", "one_device", "open_sources", "record_live"]

_OPEN_S: Final = 30.0


@final
@dataclass(frozen=True, slots=True)
class Naming:
    """What an operator says that the jobs are: words of the taxonomy, and who says so; all empty for no label."""

    label: str = ""
    family: str = ""
    strategy: str = "plain"
    labelled_by: str = ""

    def named(self, run: Run) -> Run:
        """A run so called."""
        share = {"mining": float("nan"), "": float("nan")}.get(self.label, 0.0)
        info = run.info.model_copy(update={"labelled_by": self.labelled_by, "share": share})
        return replace(run, label=self.label, family=self.family, strategy=self.strategy, info=info)


def open_sources(runner: Runner, named: Sequence[str]) -> tuple[Device, ...]:
    """Open the sources of a runner; a source that was asked for by name must work.

    Raises
    ------
    HashwardenError
        What the first such source said, or NoDeviceError if there is no device to speak of.
    """
    devices = runner.open(_OPEN_S)
    for name, error in runner.errors.items():
        if isinstance(error, HashwardenError) and (name in named or not devices):
            raise error
    if not devices:
        said = "; ".join(f"{name}: {health.error or 'no answer'}" for name, health in runner.health.items())
        raise NoDeviceError(f"no source knows a GPU ({said})", "a GPU, or a trace to replay", "See nvidia-smi -L.")
    return devices


def one_device(devices: Sequence[Device]) -> Device:
    """The only device.

    Raises
    ------
    UsageError
        If there are several: a workload runs on one GPU, and counters of the others are not its own.
    """
    if len(devices) > 1:
        found = ", ".join(f"{device.index} ({device.gpu})" for device in devices)
        raise UsageError(f"{len(devices)} GPUs: {found}", "one, to run workloads on", "Choose it with --gpu.")
    return devices[0]


def record_live(  # noqa: PLR0913
    runner: Runner,
    devices: Sequence[Device],
    path: Path,
    naming: Naming,
    *,
    seconds: float,
    period_s: float,
    stop: Event,
    more: Mapping[str, object],
) -> Tally:
    """Record what runs on some devices.

    Parameters
    ----------
    runner : Runner
        Its sources are open.
    devices : sequence of Device
        A run each.
    path : Path
        Of the trace, which must not exist.
    naming : Naming
        The label of every run.
    seconds : float
        How long; 0 until it is stopped.
    period_s : float
        From sample to sample.
    stop : Event
        Ends it; what was recorded is sealed.
    more : mapping
        Goes into the runs' parameters.

    Raises
    ------
    UsageError
        If the label cannot be meant, or the file exists.
    StorageError
        If the disk is full; what was written is kept.
    DataError
        If not a single sample came.
    """
    check_period(period_s)
    checked_label(naming.label, naming.family, naming.strategy, naming.labelled_by)
    names = _names(path, devices)
    runs = {d.gpu: naming.named(run_of(d, period_s, name, more)) for d, name in zip(devices, names, strict=True)}
    recording = Recording(path, runs)
    try:
        tally = record(
            runner, recording.take, period_s=period_s, stop=stop, done=lambda passed: 0 < seconds <= passed
        )  # fmt: skip
    except BaseException:
        recording.salvage()
        raise
    recording.seal()
    return tally


def _names(path: Path, devices: Sequence[Device]) -> list[str]:
    """Names of runs: those of the file, and of the device where there are several."""
    if len(devices) == 1:
        return [path.stem]
    return [f"{path.stem}-{d.index}" if d.mig is None else f"{path.stem}-{d.index}-mig{d.mig}" for d in devices]
