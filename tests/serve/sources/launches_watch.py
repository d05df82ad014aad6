"""A source ``launches`` that looks all the time, and what it said; a helper of tests, loaded by path."""

from __future__ import annotations

import re
import time
from pathlib import Path

from hashwarden.serve.sources.launches import LaunchesSource
from hashwarden.serve.sources.launches_symbols import function_offsets
from hashwarden.serve.sources.launches_tracer import Places
from hashwarden.serve.sources.source import NoData, Options

BURST_S = 0.5
WAIT_S = 20.0


class Watch:
    """A source that looks all the time, and what it said."""

    def __init__(self, library, owners=None, *, many=True, standing=True, burst_s=BURST_S):
        self.owners = {} if owners is None else owners
        self.options = Options(burst_s=burst_s, every_s=burst_s, owner=self.owners.get)
        places = Places(standard=(library,) if standing else (), many=many)
        self.source = LaunchesSource(self.options, places)
        self.readings = []

    def __enter__(self):
        assert self.source.open() == ()
        return self

    def __exit__(self, *_):
        self.source.close()

    def counting(self):
        if self.source._tracer.error is not None:
            raise self.source._tracer.error
        return self.source._tracer._tables.maps["control"].get(bytes(4)) != bytes(8)

    def read(self):
        try:
            self.readings = self.source.read()
        except NoData:
            self.readings = []
        return self.readings

    def until(self, what, wait_s=WAIT_S):
        end = time.monotonic() + wait_s
        while not (found := what()):
            assert time.monotonic() < end, "it never came"
            time.sleep(0.005)
        return found

    def during(self, action):
        """Act at the start of a window; gives the profiles of that window by PID."""
        for _ in range(5):  # a window that ended too early, on a busy machine, is left out
            self.until(lambda: not self.counting())
            self.until(self.counting)
            begun = time.monotonic()
            action()
            if self.counting():
                break
        found = {}

        def come():
            self.read()
            found.update({p.process.pid: p for p in self.options.board.fresh() if p.start_s + p.seconds > begun})
            return found

        self.until(come)
        return found

    def users(self, *pids):
        """Of these processes, those that are known to use a library that has probes, and which it is.

        All of a machine are seen: tests that run beside this one, or a benchmark, may use a libcuda too.
        """
        libraries = self.source._tracer.libraries
        known = tuple(libraries.users.items())
        ready = {inode for inode, library in tuple(libraries.libraries.items()) if library.ready}
        return {key.pid: inode for key, inode in known if key.pid in pids and inode in ready}

    def names(self, *pids):
        """How many names of functions of these processes are known."""
        names = self.source._tracer.names
        return sum(len(names._handles.get(key, ())) for key in names.processes if key.pid in pids)

    def knows(self, *pids):
        self.until(lambda: set(self.users(*pids)) == set(pids))

    def forgets(self, *pids):
        libraries = self.source._tracer.libraries
        self.until(lambda: not any(key.pid in pids for key in tuple(libraries.users)))
        self.until(lambda: not self.names(*pids))


def kernel(profile, name):
    return next((k for k in profile.kernels if k.name == name), None)


def first_byte(pid, library, name):
    """What stands at the beginning of a function, in a process's memory: 0xCC where a probe is."""
    with library.open("rb") as file:
        offset = function_offsets(file.fileno(), frozenset([name]))[name]
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if match := re.match(rf"([0-9a-f]+)-([0-9a-f]+) r[w-]xp ([0-9a-f]+) .*{library.name}", line):
            start, end, at = (int(part, 16) for part in match.groups())
            if at <= offset < at + end - start:
                with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
                    memory.seek(start + offset - at)
                    return memory.read(1)[0]
    raise AssertionError("the library is not mapped")
