"""Whether launches go through what launch tracing probes, on a real driver.

    python benchmarks/gpu/questions/launching.py --out results [--limit 60]

For each traced function: does the driver export it, does cuGetProcAddress give the address of what is exported, with
what does it begin, and is the code in memory that of the file (addresses). Then processes that launch a known number of
kernels by CUDA's runtime (torch), by the driver (CuPy) and by Numba, while the source launches counts (counted): that
needs root and eBPF, and is named as open without. Writes launching.json. Exit code 6 without a GPU.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from answer import Answer, options
from telemetry_process import Child

from hashwarden.errors import HashwardenError
from hashwarden.serve.launch_board import LaunchProfile
from hashwarden.serve.sources.launches import LaunchesSource
from hashwarden.serve.sources.launches_entries import entries, state
from hashwarden.serve.sources.launches_functions import ALWAYS, IN_BURSTS
from hashwarden.serve.sources.launches_mappings import mapped_library
from hashwarden.serve.sources.launches_symbols import function_offsets
from hashwarden.serve.sources.launches_tracer import Places
from hashwarden.serve.sources.source import NoData, Options

QUESTION = "Do launches go through the functions that are traced, and is each counted once?"
CHILD = Path(__file__).with_name("launching_child.py")
LIBRARY = "libcuda.so.1"
KINDS = ("torch", "cupy", "numba")
TIMES = 1000
BURST_S, START_S, LOOK_S = 3.0, 40.0, 0.01
LEGACY, PER_THREAD = 1, 2
"""What cuGetProcAddress is asked for: the function itself, or the one named ``_ptsz``."""

Row = dict[str, Any]


def addresses(library: str = LIBRARY) -> Row:
    """Of each traced function of the driver in this process.

    Raises
    ------
    HashwardenError
        If the library was not mapped under its name.
    """
    cuda = ctypes.CDLL(library)
    cuda.cuInit(0)
    version = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    mapping = mapped_library(os.getpid())
    if mapping is None:
        raise HashwardenError(f"{library} is not mapped", "a library of that name", "Look at /proc/self/maps.")
    names = sorted({function.name for function in (*ALWAYS, *IN_BURSTS)})
    fd = os.open(mapping.path, os.O_RDONLY)
    try:
        offsets = function_offsets(fd, frozenset(names))
        begins = {entry.offset: entry.code for entry in entries(fd, offsets, names)}
        memory = state(os.getpid(), mapping.base, entries(fd, offsets, names)).name.lower()
    finally:
        os.close(fd)
    rows = {name: _address(cuda, name, version.value, mapping.base + offsets[name]) for name in sorted(offsets)}
    for name, row in rows.items():
        row["begins"] = begins[offsets[name]].hex()
    return {"functions": rows, "missing": [n for n in names if n not in offsets], "memory": memory,
            "version": version.value}  # fmt: skip


def _address(cuda: ctypes.CDLL, name: str, version: int, exported: int) -> Row:
    plain, variant = name.removesuffix("_ptsz"), name.endswith("_ptsz")
    at, status = ctypes.c_void_p(), ctypes.c_int(-1)
    code = cuda.cuGetProcAddress_v2(
        plain.encode(), ctypes.byref(at), ctypes.c_int(version), ctypes.c_uint64(PER_THREAD if variant else LEGACY),
        ctypes.byref(status),
    )  # fmt: skip
    symbol = ctypes.cast(getattr(cuda, name), ctypes.c_void_p).value
    given = "refused" if code or not at.value else "same" if at.value == exported else "other"
    return {"given": given, "code": code, "status": status.value, "linked": symbol == exported}


def tell_addresses(answer: Answer, found: Row) -> None:
    """Sentences on them."""
    rows = found["functions"]
    by = {kind: sorted(n for n, row in rows.items() if row["given"] == kind) for kind in ("same", "other", "refused")}
    answer.say(f"addresses: of {len(rows)} traced functions that the driver ({found['version']}) exports, "
               f"cuGetProcAddress gives that address for {len(by['same'])}, another for "
               f"{', '.join(by['other']) or 'none'}, none for {', '.join(by['refused']) or 'none'}.")  # fmt: skip
    answer.say(f"addresses: the driver does not export {', '.join(found['missing']) or 'nothing'} of what is traced; "
               f"in memory the beginnings are {_MEMORY.get(found['memory'], found['memory'])}.")  # fmt: skip
    if "cuLaunchKernel" in rows:
        first = rows["cuLaunchKernel"]["begins"]
        answer.say(f"addresses: cuLaunchKernel begins with {first}, {_COST[first.startswith('55')]}.")


_MEMORY = {"plain": "as in the file", "altered": "not as in the file", "probed": "as in the file, with probes"}
_COST = {True: "which a probe imitates (push %rbp)", False: "which a probe steps over unless it is a push"}


def counted(kind: str, library: Path | None = None, script: Path = CHILD) -> Row:
    """Launch so often in another process while the source counts.

    Parameters
    ----------
    kind : str
        See launching_child.py.
    library : Path, optional
        The driver, where it does not lie where drivers do.
    script : Path
    """
    options_ = Options(burst_s=BURST_S, every_s=BURST_S)
    source = LaunchesSource(options_, Places(standard=(library,)) if library else Places())
    with Child(kind, str(TIMES), script=script) as child:
        source.open()
        try:
            child.asked(START_S)
            _known_to(source, child.pid)
            _until(lambda: not _counts(source))
            _until(lambda: _counts(source))
            begun = time.monotonic()
            launched = child.asked(START_S)["launched"]
            profile = _of_the_burst(source, options_, child.pid, begun)
        finally:
            source.close()
    kernels = sorted(((k.launches, k.name) for k in profile.kernels), reverse=True) if profile else []
    return {"launched": launched, "counted": profile.launches if profile else 0, "seen": profile is not None,
            "unnamed": sum(n for n, name in kernels if not name), "kernels": kernels[:5],
            "altered": any(key.pid == child.pid for key in options_.board.hidden())}  # fmt: skip


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + START_S
    while not holds():
        if time.monotonic() > end:
            raise HashwardenError(f"no burst within {START_S:.0f} s", "a source that traces", "See what it counts.")
        time.sleep(LOOK_S)


def _known_to(source: LaunchesSource, pid: int) -> None:
    _until(lambda: any(key.pid == pid for key in tuple(source._tracer.libraries.users)))


def _counts(source: LaunchesSource) -> bool:
    if source._tracer.error is not None:
        raise source._tracer.error
    return source._tracer._tables.maps["control"].get(bytes(4)) != bytes(8)


def _of_the_burst(source: LaunchesSource, options_: Options, pid: int, begun: float) -> LaunchProfile | None:
    """What the first burst that ended after this time saw of a process; None if it says nothing of it."""
    found: list[LaunchProfile] = []

    def ended() -> bool:
        with suppress(NoData):
            source.read()
        found[:] = [one for one in options_.board.fresh() if one.start_s + one.seconds > begun]
        return bool(found) or bool(options_.board.hidden())

    _until(ended)
    return next((profile for profile in found if profile.process.pid == pid), None)


def tell_counted(answer: Answer, kind: str, row: Row) -> None:
    """A sentence on it."""
    what = f"counted: {kind}: {row['counted']:,} of {row['launched']:,} launches"
    answer.say(f"{what}, {row['unnamed']:,} of them without a name"
               + ("; its code is not that of the file." if row["altered"] else "."))  # fmt: skip


def main() -> int:
    """Run from the command line."""
    chosen = options(__doc__, 60)
    answer = Answer("launching", QUESTION, chosen.out, chosen.limit)
    if "machine" not in answer.found:
        answer.leave("everything: no NVIDIA GPU, or no driver")
        return answer.end()
    if found := answer.part("addresses", addresses):
        tell_addresses(answer, found)
    for kind in KINDS:
        if row := answer.part(f"counted, {kind}", lambda kind=kind: counted(kind), 4 * BURST_S):
            tell_counted(answer, kind, row)
    return answer.end()


if __name__ == "__main__":
    raise SystemExit(main())
