"""The jobs that are pushed, and the GPUs that they are said to be on. Not safe for several threads: the inbox locks.

What other threads read (`devices`, `on`) is made anew when something changes, and never changed in place.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS
from hashwarden.serve.inbox.clock import StreamClock
from hashwarden.serve.inbox.jobs import Facts, gpu_name
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.sources.source import NO_INDEX, Device, Reading

if TYPE_CHECKING:
    from hashwarden.serve.inbox.batch import Ticket

__all__ = ["Ledger", "Pushed", "Stream", "Waiting"]

F32 = npt.NDArray[np.float32]

_MOST_GONE: Final = 4096
_NAMES: Final = tuple(channel.name for channel in CHANNELS)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A sample, with its time on our clock and on the client's, and the request that brought it."""

    time_s: float
    unix_s: float
    values: F32
    ticket: Ticket


@final
@dataclass(slots=True, eq=False)
class Stream:
    """One job on one GPU.

    Attributes
    ----------
    key, gpu : str
        As they are called here.
    name : str
        Of the GPU, as the client calls it.
    clock : StreamClock
    waiting : deque of Waiting
        The first of them may be being judged.
    done_unix_s : float
        The client's time of the newest sample that was judged; -inf if there is none.
    spoke_s : float
        When the last sample was taken, or the GPU became known.
    left : bool
        Whether the GPU is another's by now.
    """

    key: str
    gpu: str
    name: str
    spoke_s: float
    clock: StreamClock = field(default_factory=StreamClock)
    waiting: deque[Waiting] = field(default_factory=deque)
    done_unix_s: float = float("-inf")
    left: bool = False

    def reading(self, one: Waiting, now_s: float) -> Reading:
        """A sample as sources give it."""
        there = np.flatnonzero(~np.isnan(one.values))
        values = dict(zip([_NAMES[place] for place in there.tolist()], one.values[there].tolist(), strict=True))
        return Reading(self.gpu, NO_INDEX, one.time_s, one.unix_s, values, job=self.key, heard_s=now_s,
                       every_s=self.clock.every_s)  # fmt: skip


@final
@dataclass(slots=True, eq=False)
class Pushed:
    """A job.

    Attributes
    ----------
    key : str
    facts : Facts
    streams : dict of str to Stream
        By GPU as it is called here; also of those that are said to be its, and were never heard of.
    heard_s : float
        When a request spoke of it last.
    enders : list of Ticket
        Requests that say that it is over.
    job : Job
        As the agent knows it.
    """

    key: str
    facts: Facts
    heard_s: float
    job: Job
    streams: dict[str, Stream] = field(default_factory=dict)
    enders: list[Ticket] = field(default_factory=list)


@final
class Ledger:
    """See the module.

    Parameters
    ----------
    home : str or None
        See `Facts.job`.
    counts : Counter of str
        Takes ``ended``, ``silent`` and ``moved``.

    Attributes
    ----------
    jobs : dict of str to Pushed
    devices : tuple of Device
    on : mapping of str to tuple of Job
        By GPU.
    over : list of Ticket
        Requests that ended a job, which was forgotten since they were last taken from here.
    """

    def __init__(self, home: str | None, counts: Counter[str]) -> None:
        self._home, self._counts = home, counts
        self.jobs: dict[str, Pushed] = {}
        self.devices: tuple[Device, ...] = ()
        self.on: Mapping[str, tuple[Job, ...]] = {}
        self.over: list[Ticket] = []
        self.ending: set[str] = set()
        self._claims: dict[str, dict[str, Stream]] = {}
        self._gone: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._fresh = False

    @property
    def gpus(self) -> int:
        """Jobs on GPUs."""
        return sum(len(job.streams) for job in self.jobs.values())

    def clock_of(self, key: str, gpu: str) -> StreamClock:
        """The clock of a stream, known or not: samples of a job that ended may be sent again, too."""
        job = self.jobs.get(key)
        if job is not None:
            return job.streams[gpu].clock if gpu in job.streams else StreamClock()
        gone = self._gone.get(key, {}).get(gpu)
        return StreamClock() if gone is None else StreamClock.taken_up(gone)

    def is_gone(self, key: str) -> bool:
        """Whether there was such a job, and it is over."""
        return key in self._gone and key not in self.jobs

    def grown(self, jobs: Sequence[Facts], parts: Iterable[tuple[Facts, str]]) -> tuple[int, int]:
        """How many jobs, and jobs on GPUs, there would be with these."""
        named = [(facts, gpu) for facts in jobs for gpu in facts.gpus]
        pairs = {(facts.key, gpu_name(facts.cluster, gpu)) for facts, gpu in [*named, *parts]}
        new = {facts.key for facts in jobs} - self.jobs.keys()
        more = sum(key not in self.jobs or gpu not in self.jobs[key].streams for key, gpu in pairs)
        return len(self.jobs) + len(new), self.gpus + more

    def know(self, facts: Facts, now_s: float) -> Pushed:
        """Take what is said of a job."""
        key = facts.key
        known = self.jobs.get(key)
        if known is None:
            known = self.jobs[key] = Pushed(key, facts, now_s, facts.job((), self._home))
            self._fresh = False
        merged = facts.after(known.facts)
        if merged != known.facts:
            known.facts, self._fresh = merged, False
        known.heard_s = now_s
        for gpu in facts.gpus:
            self.stream(key, gpu, now_s)
        return known

    def stream(self, key: str, gpu: str, now_s: float) -> Stream:
        """A job on a GPU, as the client calls it; made if it is new."""
        job = self.jobs[key]
        name = gpu_name(job.facts.cluster, gpu)
        if name not in job.streams:
            made = job.streams[name] = Stream(key, name, gpu, now_s)
            self._claims.setdefault(name, {})[key] = made
            self._fresh = False
        return job.streams[name]

    def hear(self, taken: Iterable[Stream], now_s: float, left_s: float) -> None:
        """Samples of these are about to be judged; whoever was silent on their GPUs for long has left them."""
        for stream in taken:
            stream.spoke_s = now_s
            if stream.left:
                stream.left, self._fresh = False, False
            for other in self._claims[stream.gpu].values():
                if not other.left and not other.waiting and now_s - other.spoke_s > left_s:
                    other.left, self._fresh = True, False
        for key in [job.key for job in self.jobs.values() if all(s.left for s in job.streams.values()) and job.streams]:
            self.end(self.jobs[key], "moved")

    def end(self, job: Pushed, why: str) -> None:
        """A job is over; the times of its last samples are remembered for a while."""
        self._counts[why] += 1
        del self.jobs[job.key]
        self.ending.discard(job.key)
        self.over += job.enders
        self._gone[job.key] = {gpu: stream.done_unix_s for gpu, stream in job.streams.items()}
        self._gone.move_to_end(job.key)
        while len(self._gone) > _MOST_GONE:
            self._gone.popitem(last=False)
        for gpu in job.streams:
            self._claims[gpu].pop(job.key, None)
            if not self._claims[gpu]:
                del self._claims[gpu]
        self._fresh = False

    def show(self) -> None:
        """Make `devices` and `on` anew if something changed."""
        if self._fresh:
            return
        self._fresh = True
        for job in self.jobs.values():
            gpus = tuple(gpu for gpu, stream in job.streams.items() if not stream.left)
            job.job = job.facts.job(gpus, self._home)
        self.devices = tuple(Device(gpu, NO_INDEX) for gpu in self._claims)
        self.on = {
            gpu: tuple(self.jobs[key].job for key, stream in claims.items() if not stream.left)
            for gpu, claims in self._claims.items()
        }  # fmt: skip

    def record(self) -> list[dict[str, Any]]:
        """All jobs as JSON, for a restart."""
        return [
            {"facts": job.facts.record(),
             "done": {s.name: s.done_unix_s for s in job.streams.values() if np.isfinite(s.done_unix_s)}}
            for job in self.jobs.values()
        ]  # fmt: skip

    def take_up(self, record: Mapping[str, Any], now_s: float) -> None:
        """A job that was known before a restart; KeyError, TypeError or ValueError if it is none."""
        facts = Facts.read(record["facts"])
        done = {str(gpu): float(at) for gpu, at in record["done"].items()}
        job = self.know(facts, now_s)
        for gpu, at in done.items():
            stream = self.stream(job.key, gpu, now_s)
            stream.clock, stream.done_unix_s = StreamClock.taken_up(at), at
