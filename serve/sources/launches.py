"""The source ``launches``: which kernels the processes of jobs launch, by eBPF probes in libcuda.

The eBPF programs are compiled when hashwarden is built and loaded by bpf(2) itself. bpftrace, the obvious tool, was
tried and set aside: each of the two programs that would run side by side in a burst takes 90 MB, of 200 MB for the
whole agent; it compiles with LLVM at the start of every burst; it takes up a library that appears later only with a new
start, and what is looked up meanwhile is missed; and it cuts strings at 200 bytes, while names of templated kernels are
longer. benchmarks/launches.py measures both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, final

from hashwarden.errors import PrivilegeError
from hashwarden.serve.jobs.job import Owner, ProcessKey
from hashwarden.serve.sources.launches_channels import Novelty, Part, channels, load_rates
from hashwarden.serve.sources.launches_tracer import Burst, Found, Places, Tracer
from hashwarden.serve.sources.launches_window import Window
from hashwarden.serve.sources.source import Device, NoData, Options, Reading, SourceLost

__all__ = ["LaunchesSource", "make"]

STUCK_S: Final = 60.0
"""Without a sign of the tracer for so long, beside the burst: a process whose mappings cannot be read holds it up."""

NO_NUMBER: Final = -1
"""The driver is not asked, so that the numbers of devices are not known; they have their UUID."""

OWNED_S: Final = 5.0
"""For so long it is not asked again whose a process is, for what is told at every reading."""

_FIRST_NAMESPACE: Final = "pid:[4026531836]"
"""Of PIDs: the one of the machine, in which the kernel's probes name processes."""


def make(options: Options) -> LaunchesSource:
    """The source, not open yet."""
    return LaunchesSource(options)


class _Asked(NamedTuple):
    """Whose a process was when that was asked last; one without devices is asked about soon, then less often."""

    owner: Owner | None
    times: int
    due_s: float


class _Quiet(NamedTuple):
    """What was told of processes that loaded nothing, and until when that holds."""

    users: frozenset[ProcessKey]
    hidden: frozenset[ProcessKey]
    until_s: float
    rates: Mapping[tuple[str, str], float]


@final
class LaunchesSource:
    """Traces launches in the background, and gives what each burst saw.

    Parameters
    ----------
    options : Options
        Duty cycle, owners of processes, the board on which profiles are left, and the clocks of readings.
    places : Places
    clock : callable
        Seconds of the monotonic clock by which is traced: the kernel knows no other, whatever the clock of readings.
    """

    def __init__(
        self,
        options: Options,
        places: Places = Places(),  # noqa: B008
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options, self._places, self._clock = options, places, clock
        self._tracer: Tracer | None = None
        self._novelty = Novelty()
        self._asked: dict[ProcessKey, _Asked] = {}
        self._quiet: _Quiet | None = None
        self._read_s = 0.0

    def open(self) -> Sequence[Device]:
        """Place the probes for rare calls; speaks of devices that others name.

        Raises
        ------
        PrivilegeError
            Not root, or not in the machine's own PID namespace.
        UnsupportedError
            The kernel has no uprobes or refuses the programs.
        """
        namespace = str(Path("/proc/self/ns/pid").readlink())
        if namespace != _FIRST_NAMESPACE:
            raise PrivilegeError(
                f"the PID namespace is {namespace}", f"that of the machine, {_FIRST_NAMESPACE}",
                "Run in it: hostPID: true on Kubernetes, --pid=host in a container.",
            )  # fmt: skip
        owner, watched = self._options.owner, self._options.watched
        self._tracer = Tracer(
            self._options.burst_s,
            self._options.every_s,
            watched or (lambda pid: owner(pid) is not None),
            self._places,
            self._clock,
        )
        self._read_s = self._options.clock()
        return ()

    def read(self) -> Sequence[Reading]:
        """Loads since the last reading; after a burst also launches. NoData without a process that uses CUDA."""
        tracer = self._running()
        found, now, unix = tracer.take(), self._options.clock(), self._options.unix()
        seconds, self._read_s = max(now - self._read_s, 1e-6), now
        for burst in found.bursts:
            self._options.board.put(window.profile() for window in burst.windows)
            self._options.board.hide(burst.altered)
        values: dict[tuple[str, str], dict[str, float]] = {
            place: {"module_loads_per_s": rate} for place, rate in self._loaded(found, seconds).items()
        }
        for burst in found.bursts:  # of several the latest counts
            for place, launched in self._launched(burst).items():
                values.setdefault(place, {}).update(launched)
        if not values:
            raise NoData("no process of a job uses CUDA")
        return [Reading(gpu, NO_NUMBER, now, unix, said, job) for (job, gpu), said in values.items()]

    def close(self) -> None:
        """Take all probes away."""
        tracer, self._tracer = self._tracer, None
        self._options.board.hide(())
        if tracer is not None:
            tracer.close()

    @property
    def counts(self) -> Mapping[str, int]:
        """What was not seen, since it was opened, for metrics: each a reason why the picture may lack something."""
        if self._tracer is None:
            return {}
        lost, libraries = self._tracer.lost(), self._tracer.libraries
        return {
            "lost_loads": lost.loads, "lost_launches": lost.bursts, "lost_look_ups": lost.look_ups,
            "unreadable_names": lost.unreadable, "gone_launches": self._tracer.gone,
            "forgotten_names": self._tracer.names.forgotten, "refused_probes": libraries.refused,
            "altered_processes": len(libraries.altered),
            "libraries": len(libraries.libraries), "processes": len(libraries.users), "names": len(self._tracer.names),
        }  # fmt: skip

    def _running(self) -> Tracer:
        tracer = self._tracer
        if tracer is None:
            raise SourceLost("it is not open")
        if tracer.error is not None:
            raise SourceLost(f"tracing ended: {tracer.error}") from tracer.error
        if self._clock() - tracer.beat_s > STUCK_S + self._options.burst_s:
            raise SourceLost("tracing is stuck: the kernel does not answer")
        return tracer

    def _loaded(self, found: Found, seconds: float) -> Mapping[tuple[str, str], float]:
        """Modules loaded a second, by job and device; mostly none, by the same processes as a second ago."""
        before, hidden = self._quiet, self._options.board.hidden()
        if before is not None and (before.users is not found.users or before.hidden != hidden):
            before = None
        if not found.loads and before is not None and self._clock() < before.until_s:
            return before.rates
        owners = self._known({*found.users, *found.loads, *hidden})
        unseen = {owners[one].job for one in hidden if one in owners}
        owners = {one: owner for one, owner in owners.items() if owner.job not in unseen}
        rates = load_rates(found.loads, owners, seconds)
        until_s = min((self._asked[one].due_s for one in found.users), default=float("inf"))
        self._quiet = None if found.loads else _Quiet(found.users, hidden, until_s, rates)
        return rates

    def _known(self, processes: set[ProcessKey]) -> dict[ProcessKey, Owner]:
        """As `_owners`, but as of some seconds ago: asking for 200 processes costs more than all else a second."""
        now = self._clock()
        due = [one for one in processes if one not in self._asked or now >= self._asked[one].due_s]
        for one in due:
            before, owner = self._asked.get(one), self._owner(one)
            times = 1 if before is None else before.times + 1
            wait_s = OWNED_S if owner is not None and owner.gpus else min(float(times), OWNED_S)
            self._asked[one] = _Asked(owner, times, now + wait_s)
        if len(self._asked) > 2 * len(processes) + 64:
            self._asked = {one: asked for one, asked in self._asked.items() if one in processes}
        return {one: owner for one in processes if (owner := self._asked[one].owner) is not None}

    def _owners(self, processes: set[ProcessKey]) -> dict[ProcessKey, Owner]:
        return {process: owner for process in processes if (owner := self._owner(process)) is not None}

    def _owner(self, process: ProcessKey) -> Owner | None:
        known = self._options.owner_of
        return (known(process) if known else None) or self._options.owner(process.pid)

    def _launched(self, burst: Burst) -> dict[tuple[str, str], dict[str, float]]:
        """Channels by job and device; none of a job of which a process could not be seen."""
        owners = self._owners({window.process for window in burst.windows})
        hidden = {owner.job for owner in self._owners(set(burst.altered)).values()}
        jobs: dict[str, list[Window]] = {}
        for window in burst.windows:
            if window.process in owners and owners[window.process].job not in hidden:
                jobs.setdefault(owners[window.process].job, []).append(window)
        parts: dict[tuple[str, str], list[Part]] = {}
        for job, mine in jobs.items():
            for window, new in zip(mine, self._novelty.new(job, mine), strict=True):
                gpus = owners[window.process].gpus
                for gpu in gpus:
                    parts.setdefault((job, gpu), []).append((window, new, 1 / len(gpus)))
        return {place: channels(each) for place, each in parts.items()}
