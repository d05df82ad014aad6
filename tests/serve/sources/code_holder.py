"""A process that holds files: run with words ``how=path``, it says ``ready`` and waits. A module of tests, no test."""

import ctypes
import mmap
import os
import sys
import threading
import time
from pathlib import Path


def mapped(path):
    with Path(path).open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def heap(path):
    with Path(path).open("rb") as file:
        return bytearray(file.read())


def deleted(path):
    held = mapped(path)
    Path(path).unlink()
    return held


def memfd(path):
    """A file without a name that is changed through a mapping when somebody writes a line."""
    data = heap(path)
    descriptor = os.memfd_create("\x1b[31mred")
    os.write(descriptor, data)
    return mmap.mmap(descriptor, 0)


def many(_):
    """Thousands of mappings that the kernel cannot join, each with a page of its own."""
    held = [mmap.mmap(-1, 8192) for _ in range(8000)]
    libc = ctypes.CDLL(None)
    for each in held:
        each[0] = 1
        address = ctypes.addressof(ctypes.c_char.from_buffer(each))
        libc.mprotect(ctypes.c_void_p(address + 4096), 4096, 0)
    return held


def huge(_):
    """Terabytes that are reserved and never touched."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    return [libc.mmap(None, ctypes.c_size_t(1 << 43), 1, 0x4022, -1, 0) for _ in range(4)]


def hidden(_):
    """Another user's process that may not be looked at."""
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)


def churn(path):
    """Memory that comes, changes and goes without end, with code in it."""
    data = heap(path)

    def turn():
        while True:
            held = mmap.mmap(-1, 1 << 22)
            for place in range(0, len(held) - len(data), 1 << 19):
                held[place : place + len(data)] = data
            held[:64] = os.urandom(64)
            held.close()

    threading.Thread(target=turn, daemon=True).start()
    return data


def main():
    held = []
    for word in sys.argv[1:]:
        how, _, path = word.partition("=")
        held.append(globals()[how](path))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:  # "change PATH": the first thing held is overwritten in place
        if line.startswith("change "):
            held[0][:] = heap(line[7:].rstrip("\n")).ljust(len(held[0]), b"\0")
            sys.stdout.write("changed\n")
            sys.stdout.flush()
    time.sleep(1000)


if __name__ == "__main__":
    main()
