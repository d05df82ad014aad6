"""Throttling: the power limit of whole GPUs is lowered, and put back to what it was, whatever happens in between.

Before a limit is changed a file says what it was. So after a crash it is known what to put back: where the limit is
what the file says it was lowered to, it is put back; where it is anything else, somebody else has set it, or it never
was lowered, and it is left alone. A process is never stopped or frozen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

from hashwarden.errors import MissingExtraError, NoDeviceError
from hashwarden.model.storage import refusal, replacing, synced
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Outcome, Result, SchedulerAway
from hashwarden.serve.sources.nvml_calls import DeviceLost, Nvml
from hashwarden.serve.sources.source import SourceLost

__all__ = ["PowerThrottle", "Throttled"]

_KINDS: Final = frozenset({ActionKind.THROTTLE, ActionKind.RELEASE})
_CLOSE_MW: Final = 1000
"""Drivers round limits; so near is the same."""

_LARGEST: Final = 1 << 16


@final
@dataclass(frozen=True, slots=True)
class Throttled:
    """What is known of a GPU that is throttled, or was about to be.

    Attributes
    ----------
    gpu : str
        UUID.
    before_mw, lowered_mw : int
        Limits in milliwatts.
    cases : tuple of str
        Which cases want it so; the last one that goes puts it back.
    """

    gpu: str
    before_mw: int
    lowered_mw: int
    cases: tuple[str, ...]


@final
class PowerThrottle:
    """Throttles and releases GPUs, as a scheduler does what it is asked for.

    Parameters
    ----------
    folder : Path
        Where it is noted; made if it is not there.
    jobs_on : callable
        From the UUID of a GPU to the jobs on it: a GPU that others use is left alone.
    nvml : callable
        Opens NVML.
    passed : callable
        Told of each step once it is done: for tests that end the process there.
    """

    def __init__(
        self, folder: Path, jobs_on: Callable[[str], Sequence[Job]], nvml: Callable[[], Nvml] = Nvml,
        passed: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._folder, self._jobs_on, self._nvml, self._passed = folder, jobs_on, nvml, passed

    @property
    def kinds(self) -> frozenset[ActionKind]:
        """Throttle and release."""
        return _KINDS

    def apply(self, action: Action) -> Outcome:
        """Lower the limits of all GPUs of a job, or of none; or put them back."""
        if action.kind not in _KINDS:
            return Outcome(action.id, Result.REFUSED, f"{action.kind} cannot be done to the power of a GPU")
        with self._opened() as (nvml, handles):
            if action.kind is ActionKind.RELEASE:
                return self._release(nvml, handles, action)
            unfit = self._unfit(nvml, handles, action.job)
            if unfit:
                return Outcome(action.id, Result.REFUSED, unfit)
            ratio = float(action.parameters.get("watts_ratio", "0.5"))
            said = [self._lower(nvml, handles[gpu], gpu, ratio, action.case) for gpu in action.job.gpus]
        lowered = [words for words, done in said if done]
        refused = [words for words, done in said if done is None]
        if refused:
            return Outcome(action.id, Result.REFUSED, "; ".join(refused))
        return Outcome(action.id, Result.DONE if lowered else Result.ALREADY, "; ".join(words for words, _ in said))

    def recover(self, keep: frozenset[str] = frozenset()) -> list[str]:
        """Put back what a program that ended too early left lowered; call it at start-up.

        Parameters
        ----------
        keep : frozenset of str
            Cases whose GPUs stay throttled (`hashwarden.serve.policy.engine.Engine.throttled`).

        Returns
        -------
        list of str
            What was done, in words.

        Raises
        ------
        SchedulerAway
            If the driver does not answer; try again later.
        """
        notes = [note for note in self.notes() if not keep.intersection(note.cases)]
        if not notes:
            return []
        with self._opened() as (nvml, handles):
            return [self._restore(nvml, handles, note) for note in notes]

    def notes(self) -> list[Throttled]:
        """The GPUs that are throttled, or were about to be."""
        paths = sorted(self._folder.glob("*.power")) if self._folder.is_dir() else []
        return [note for note in map(_read, paths) if note is not None]

    def close(self) -> None:
        """Nothing is held; GPUs stay as they are, for their cases are still open."""

    @contextmanager
    def _opened(self) -> Iterator[tuple[Nvml, dict[str, Any]]]:
        """NVML, and handles of whole GPUs by UUID."""
        try:
            nvml = self._nvml()
        except (NoDeviceError, MissingExtraError) as error:
            raise SchedulerAway(str(error)) from error
        try:
            yield nvml, dict(_gpus(nvml))
        except (DeviceLost, SourceLost) as error:
            raise SchedulerAway(str(error)) from error
        except OSError as error:
            raise SchedulerAway(refusal(error, "the note of a power limit")) from error
        finally:
            nvml.close()

    def _unfit(self, nvml: Nvml, handles: dict[str, Any], job: Job) -> str:
        """Why the GPUs of a job must not be throttled; empty if they may."""
        if not job.gpus:
            return "it is not known which GPUs the job has"
        for gpu in job.gpus:
            if gpu not in handles:
                return f"{gpu} is no whole GPU of this machine"
            mode = nvml.call("nvmlDeviceGetMigMode", handles[gpu])
            if mode is not None and mode[0]:
                return f"{gpu} is cut into MIG instances"
            others = [other.key for other in self._jobs_on(gpu) if other.key != job.key]
            if others:
                return f"{len(others)} other jobs use {gpu}"
        return ""

    def _lower(self, nvml: Nvml, handle: Any, gpu: str, ratio: float, case: str) -> tuple[str, bool | None]:  # noqa: ANN401
        """Lower one limit; gives words, and True for done, False for nothing to do, None for refused."""
        known = _read(self._path(gpu))
        if known is not None:
            if case not in known.cases:
                self._write(Throttled(gpu, known.before_mw, known.lowered_mw, (*known.cases, case)))
            return f"{gpu} is throttled already", False
        now = nvml.call("nvmlDeviceGetPowerManagementLimit", handle)
        bounds = nvml.call("nvmlDeviceGetPowerManagementLimitConstraints", handle)
        if not now or not bounds:
            return f"the driver tells no power limit of {gpu}", None
        target = max(int(bounds[0]), round(now * ratio))
        if target >= now:
            return f"{gpu} is at its lowest limit already", False
        self._write(Throttled(gpu, int(now), target, (case,)))
        self._passed("noted")
        nvml.call("nvmlDeviceSetPowerManagementLimit", handle, target)
        self._passed("lowered")
        after = nvml.call("nvmlDeviceGetPowerManagementLimit", handle)
        if after is None or abs(after - now) <= _CLOSE_MW < abs(target - now):
            self._drop(gpu)
            return f"the driver does not lower the power limit of {gpu} (root may)", None
        if after != target:
            self._write(Throttled(gpu, int(now), int(after), (case,)))
        return f"{gpu} from {now / 1000:g} W to {after / 1000:g} W", True

    def _release(self, nvml: Nvml, handles: dict[str, Any], action: Action) -> Outcome:
        said = []
        for note in self.notes():
            if action.case not in note.cases:
                continue
            left = tuple(case for case in note.cases if case != action.case)
            if left:
                self._write(Throttled(note.gpu, note.before_mw, note.lowered_mw, left))
                said.append(f"{note.gpu} stays throttled for {', '.join(left)}")
            else:
                said.append(self._restore(nvml, handles, note))
        return Outcome(action.id, Result.DONE if said else Result.ALREADY, "; ".join(said))

    def _restore(self, nvml: Nvml, handles: dict[str, Any], note: Throttled) -> str:
        if note.gpu not in handles:
            raise SchedulerAway(f"{note.gpu} is not there now; its limit is put back when it is")
        handle = handles[note.gpu]
        now = nvml.call("nvmlDeviceGetPowerManagementLimit", handle)
        if now is None:
            raise SchedulerAway(f"the driver tells no power limit of {note.gpu}")
        if abs(now - note.lowered_mw) > _CLOSE_MW:
            self._drop(note.gpu)
            return f"{note.gpu} has a limit of {now / 1000:g} W that is not of ours: left as it is"
        nvml.call("nvmlDeviceSetPowerManagementLimit", handle, note.before_mw)
        self._passed("restored")
        after = nvml.call("nvmlDeviceGetPowerManagementLimit", handle)
        if after is None or abs(after - note.before_mw) > _CLOSE_MW:
            raise SchedulerAway(f"the driver does not put the power limit of {note.gpu} back")
        self._drop(note.gpu)
        return f"{note.gpu} back to {note.before_mw / 1000:g} W"

    def _path(self, gpu: str) -> Path:
        return self._folder / f"{hashlib.sha256(gpu.encode()).hexdigest()[:32]}.power"

    def _write(self, note: Throttled) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(self._path(note.gpu)) as file:
            file.write(json.dumps(asdict(note)).encode())
        synced(self._folder)

    def _drop(self, gpu: str) -> None:
        self._path(gpu).unlink(missing_ok=True)


def _gpus(nvml: Nvml) -> Iterator[tuple[str, Any]]:
    for index in range(nvml.call("nvmlDeviceGetCount") or 0):
        try:
            handle = nvml.call("nvmlDeviceGetHandleByIndex", index)
            uuid = nvml.call("nvmlDeviceGetUUID", handle) if handle is not None else None
        except DeviceLost:
            continue
        if uuid:
            yield str(uuid), handle


def _read(path: Path) -> Throttled | None:
    """A note; None if there is none, or it cannot be read: what it said is lost, and a person sees the GPU's limit."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_LARGEST))
        return Throttled(str(found["gpu"]), int(found["before_mw"]), int(found["lowered_mw"]),
                         tuple(map(str, found["cases"])))  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None
