"""Names of functions by process: bounded in number and room, whatever processes call their functions."""

from __future__ import annotations

import sys

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.sources.launches_names import MOST_BYTES_OF_ONE, Names

ONE, TWO = ProcessKey(11, 100), ProcessKey(12, 100)


def long(*numbers):
    """A name of some 4,000 characters."""
    return "-".join(f"{number:02000d}" for number in numbers)


def held(names):
    """Bytes of the names that are kept."""
    return sum(map(sys.getsizeof, names._texts))


def test_names_are_bounded_and_the_oldest_process_goes_first():
    names = Names(most=10)
    for i in range(6):
        names.put(ONE, i, f"k{i}", 5)
    names.alias(ONE, 77, 3, 6)
    names.alias(ONE, 78, 999, 6)
    assert names.get(ONE, 77).name == "k3"
    assert names.get(ONE, 78) is None
    for i in range(4):
        names.put(TWO, i, "same", 7)
    assert names.get(ONE, 0) is None
    assert (len(names), names.forgotten) == (4, 7)
    names.forget(TWO)
    assert (len(names), names.processes) == (0, ())


def test_one_process_with_long_names_takes_no_room_from_others():
    names = Names()
    names.put(TWO, 1, "quiet", 0)
    for number in range(5000):
        names.put(ONE, number, long(1, number), 0)
    assert names.get(ONE, 0).name == long(1, 0)
    assert names.get(ONE, 4999) is None
    assert names.forgotten == 5001 - len(names)
    assert names.get(TWO, 1).name == "quiet"
    assert MOST_BYTES_OF_ONE * 0.99 < held(names) == names._text_bytes <= MOST_BYTES_OF_ONE + 100
    names.forget(ONE)
    names.forget(TWO)
    assert (len(names), names._text_bytes, names._texts, names._sizes) == (0, 0, {}, {})


def test_ever_new_names_of_one_handle_take_the_room_of_one():
    names = Names(most_bytes=1 << 20)
    for number in range(20_000):
        names.put(ONE, 1, long(1, number), 0)
    assert names.get(ONE, 1).name == long(1, 19_999)
    assert (len(names), names.forgotten) == (1, 0)
    assert held(names) == names._text_bytes <= 1 << 20


def test_many_processes_share_the_room_and_the_oldest_goes_first():
    names = Names(most_bytes=1 << 20)
    processes = [ProcessKey(pid, 1) for pid in range(100)]
    for process in processes:
        for number in range(10):
            names.put(process, number, long(process.pid, number), 0)
    assert held(names) == names._text_bytes <= 1 << 20
    kept = list(names.processes)
    assert kept == processes[-len(kept) :]
    assert len(names) == sum(names.get(process, number) is not None for process in kept for number in range(10))
    assert names.forgotten == 1000 - len(names)
    assert len(names) * 4000 > (1 << 20) / 2


def test_names_that_many_processes_share_are_counted_once():
    names = Names(most_bytes=1 << 20)
    for pid in range(200):
        for number in range(100):
            names.put(ProcessKey(pid, 1), number, long(1, number), 0)
    assert (len(names), names.forgotten) == (20_000, 0)
