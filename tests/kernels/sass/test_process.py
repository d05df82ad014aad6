"""The address space of a process: which mappings are files, which pages are memory, what is never touched."""

import mmap
import os

import pytest

from hashwarden.errors import TruncatedError
from hashwarden.kernels.sass.process import (
    PAGE,
    ProcessMemory,
    file_mappings,
    memory_ranges,
    parse_maps,
    present_ranges,
)

MAPS = """\
00400000-00500000 r-xp 00000000 08:02 173521                             /usr/bin/train me
00600000-00601000 rw-p 00200000 08:02 173521                             /usr/bin/train me
00601000-00700000 rw-p 00000000 00:00 0                                  [heap]
10000000-10100000 rw-s 00000000 00:05 1057                               /dev/nvidia0
10100000-10200000 rw-p 00000000 00:05 9                                  /dev/zero (deleted)
10200000-10300000 rw-s 00000000 00:01 44                                 /memfd:jit (deleted)
10300000-10400000 ---p 00000000 00:00 0
10400000-10500000 rw-p 00000000 00:00 0
7fff0000-7fff1000 r-xp 00000000 00:00 0                                  [vdso]
not a line
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def test_mapped_files_are_listed_once_and_devices_never():
    assert [m.path for m in file_mappings(parse_maps(MAPS))] == ["/usr/bin/train me", "/memfd:jit (deleted)"]


def test_memory_is_what_the_process_owns_with_neighbours_joined():
    assert memory_ranges(parse_maps(MAPS)) == [
        (0x600000, 0x700000), (0x10100000, 0x10200000), (0x10400000, 0x10500000),
    ]  # fmt: skip


def test_only_touched_pages_are_read():
    with mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area[PAGE * 100 : PAGE * 100 + 5] = b"hello"
        area[PAGE * 101 : PAGE * 101 + 5] = b"world"
        area[PAGE * 4000] = 1
        import ctypes

        start = ctypes.addressof(ctypes.c_char.from_buffer(area))
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
        memory = os.open("/proc/self/mem", os.O_RDONLY)
        try:
            runs = list(present_ranges(pagemap, start, start + len(area)))
            text = bytes(ProcessMemory(memory, runs[0][0], runs[0][1], "p").read(0, 5))
        finally:
            os.close(pagemap)
            os.close(memory)
    covered = sum(high - low for low, high in runs)
    assert text == b"hello"
    assert covered < 16 << 20  # huge pages may bring neighbours along
    assert any(low <= start + PAGE * 4000 < high for low, high in runs)


def test_pages_that_are_gone_read_as_zeros_and_are_counted():
    memory = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        area = ProcessMemory(memory, 0, 3 * PAGE, "p")
        assert bytes(area.read(0, 2 * PAGE)) == bytes(2 * PAGE)
        assert area.unreadable == {0, 1}
        with pytest.raises(TruncatedError):
            area.read(0, 4 * PAGE)
    finally:
        os.close(memory)
