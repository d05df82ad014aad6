"""Feed hostile inputs to the whole way from bytes to kernel mixes, in children with bounds.

    python tests/fuzz/run.py --count 100000

Prints how many inputs ran, what came of them, and every failure with the number that makes it again
(``--only N``). A failure is an exception that is no error of ours, more than `SECONDS` of processor time on one
input, or a child that died (crash, or memory beyond `MEMORY`).
"""

import argparse
import contextlib
import json
import os
import resource
import runpy
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
SECONDS = 5.0
MEMORY = 1 << 30
_TABLES_EVERY = 8
"""Reading Parquet takes 50 times as long as anything else: one in so many of its mutants is run."""


class Hang(BaseException):
    """An input took too long; no `Exception`, so that no handler on the way takes it."""


def consume(data: bytes, counts: Counter) -> None:
    """The way of every input: walk, read the cubins, compute their mix."""
    from hashwarden.errors import TargetError
    from hashwarden.kernels.sass import mix
    from hashwarden.kernels.sass.containers import walk
    from hashwarden.kernels.sass.cubin import read_cubin
    from hashwarden.kernels.sass.found import Code, Problem
    from hashwarden.kernels.sass.limits import Limits
    from hashwarden.kernels.sass.source import MemorySource

    limits = Limits(nesting=4, expanded_bytes=128 << 20, object_bytes=32 << 20, objects=10_000, seconds=SECONDS)
    for found in walk(MemorySource(data, "fuzz"), limits):
        counts[type(found).__name__] += 1
        if isinstance(found, Problem):
            counts[type(found.error).__name__] += 1
        elif isinstance(found, Code):
            try:
                counts["kernels"] += len(mix.analyse([read_cubin(found.data, found.where)]))
            except TargetError as error:
                counts[f"cubin {type(error).__name__}"] += 1


def child(numbers: range, seed: int, log: int) -> None:
    """Run inputs; before each, its number goes to ``log``, and at the end the counts."""
    seeds = runpy.run_path(str(HERE / "seeds.py"))
    mutate = runpy.run_path(str(HERE / "mutate.py"))
    every = seeds["every"]()
    corpus, wrap = list(every.values()), mutate["wrappers"](seeds)
    for data in corpus:  # compiles and imports everything before memory is bounded
        consume(data, Counter())
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    bound = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGVTALRM, _ring)
    counts: Counter = Counter()
    tables = 0
    for number in numbers:
        data = mutate["case"](number, seed, corpus, wrap)
        if b"PAR1" in data[:4]:
            tables += 1
            if tables % _TABLES_EVERY:
                data = mutate["mutated"](every["cubin"], __import__("random").Random(number))
        os.pwrite(log, number.to_bytes(8, "little"), 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            consume(data, counts)
        except BaseException as error:
            counts[f"FAILURE {number} {type(error).__name__}: {str(error)[:200]}"] += 1
            counts["failures"] += 1
            if counts["failures"] < 5:
                traceback.print_exc()
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        counts["inputs"] += 1
    os.pwrite(log, json.dumps(counts).encode(), 8)


def _ring(*_: object) -> None:
    raise Hang(f"more than {SECONDS} s of processor time")


def run(count: int, seed: int, children: int, first: int = 0) -> Counter:
    """Run inputs ``first`` to ``first + count - 1``; children that die are found out and replaced."""
    total: Counter = Counter()
    share = -(-count // children)
    waiting = [range(first + i * share, first + min((i + 1) * share, count)) for i in range(children)]
    running: dict[int, tuple[range, tempfile._TemporaryFileWrapper]] = {}
    while waiting or running:
        while waiting and len(running) < children:
            numbers, log = waiting.pop(), tempfile.TemporaryFile()  # noqa: SIM115  read after the child's end
            pid = os.fork()
            if pid == 0:
                code = 1
                with contextlib.suppress(BaseException):
                    child(numbers, seed, log.fileno())
                    code = 0
                os._exit(code)
            running[pid] = (numbers, log)
        pid, status = os.wait()
        numbers, log = running.pop(pid)
        at = int.from_bytes(os.pread(log.fileno(), 8, 0), "little")
        if status == 0:
            total.update(json.loads(os.pread(log.fileno(), 1 << 24, 8)))
        else:
            total[f"FAILURE {at}: the child died ({os.waitstatus_to_exitcode(status)})"] += 1
            total["failures"] += 1
            if total["failures"] > 20:
                break
            waiting.append(range(at + 1, numbers.stop))
            total["inputs"] += at - numbers.start
    return total


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--children", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", type=int, help="run this one input")
    given = parser.parse_args()
    if given.only is not None:
        total = run(1, given.seed, 1, given.only)
    else:
        total = run(given.count, given.seed, given.children)
    sys.stdout.write(json.dumps(total, indent=1) + f"\n{total['inputs']} inputs, {total['failures']} failures\n")
    return 1 if total["failures"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
