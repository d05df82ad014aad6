"""Probes at places in files, until their descriptors are closed.

A probe belongs to the file, not to a process: every process that maps it is seen, those too that start later. Linux 6.6
and newer take many places in one link, which goes in one step; older ones take one place at a time through
perf_event_open, and wait up to a tenth of a second for each that goes.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from hashwarden.errors import UnsupportedError
from hashwarden.serve.sources.launches_bpf import Map, link_many, load_programs, syscall
from hashwarden.serve.sources.launches_functions import Function

__all__ = ["UPROBES", "Uprobes", "detach"]

UPROBES: Final = Path("/sys/bus/event_source/devices/uprobe")

_SET_PROGRAM, _ENABLE = 0x40042408, 0x2400
_CLOSE_ON_EXEC: Final = 8
_SIZE: Final = 112
_ANY, _FIRST_CPU = -1, 0
_AT_ONCE: Final = 32


@final
class Uprobes:
    """The programs of one library, and the places where they run.

    Parameters
    ----------
    maps : mapping of str to Map
    library : int
        Its number.
    many : bool
        Whether to try links of many places first.
    folder : Path
        Where the kernel says that it has uprobes.

    Raises
    ------
    UnsupportedError
        If it has none, or refuses the programs.
    PrivilegeError
        If they are refused to this process.
    """

    def __init__(self, maps: Mapping[str, Map], library: int, *, many: bool = True, folder: Path = UPROBES) -> None:
        try:
            self._type = int((folder / "type").read_text())
            self._return_bit = int((folder / "format" / "retprobe").read_text().strip().removeprefix("config:"))
        except (OSError, ValueError) as error:
            raise UnsupportedError(
                "the kernel offers no uprobes", f"{folder} (CONFIG_UPROBE_EVENTS, Linux 4.17)", "Turn the source off.",
            ) from error  # fmt: skip
        self._maps, self._library = maps, library
        self._single: dict[str, int] = {}
        self._many = load_programs(maps, library, many=True) if many else {}
        if not many:
            self._single = load_programs(maps, library)

    def attach(
        self, path: str, offsets: Mapping[str, int], functions: Iterable[Function]
    ) -> tuple[list[int], frozenset[int]]:
        """Probe those of the functions that a library has.

        Parameters
        ----------
        path : str
            A name under which this process can open the library.
        offsets : mapping of str to int
            Where its functions lie in the file.
        functions : iterable of Function

        Returns
        -------
        probes : list of int
            Descriptors, for `detach`.
        refused : frozenset of int
            Places that the kernel would not take.
        """
        places: dict[tuple[str, bool], set[int]] = {}
        for function in functions:
            if function.name in offsets:
                places.setdefault((function.program, function.at_return), set()).add(offsets[function.name])
        probes: list[int] = []
        refused: set[int] = set()
        for (program, at_return), group in places.items():
            try:
                probes.append(link_many(os.fsencode(path), sorted(group), self._many[program], at_return=at_return))
            except (KeyError, OSError):  # an older kernel, or one place of them is not to its liking
                self._single = self._single or load_programs(self._maps, self._library)
                for offset in sorted(group):
                    made = self._one(path, offset, self._single[program], at_return)
                    probes += [] if made is None else [made]
                    refused |= {offset} if made is None else set()
        return probes, frozenset(refused)

    def close(self) -> None:
        """Let go of the programs; probes that stay keep them."""
        for programs in (self._single, self._many):
            for fd in programs.values():
                os.close(fd)
            programs.clear()

    def _one(self, path: str, offset: int, program: int, at_return: bool) -> int | None:
        name = ctypes.create_string_buffer(os.fsencode(path))
        block = ctypes.create_string_buffer(_SIZE)
        struct.pack_into("<IIQQ", block, 0, self._type, _SIZE, at_return << self._return_bit, 1)
        struct.pack_into("<IIQQ", block, 48, 1, 0, ctypes.addressof(name), offset)
        try:
            fd = syscall(1, block, ctypes.c_int(_ANY), ctypes.c_int(_FIRST_CPU), ctypes.c_int(_ANY), _CLOSE_ON_EXEC)
        except OSError:
            return None
        try:
            fcntl.ioctl(fd, _SET_PROGRAM, program)
            fcntl.ioctl(fd, _ENABLE, 0)
        except OSError:
            os.close(fd)
            return None
        return fd


def detach(probes: list[int]) -> None:
    """Take probes away, all at once, for the kernel waits for each; the list is empty after it."""
    if probes:
        with ThreadPoolExecutor(min(len(probes), _AT_ONCE), "detach") as pool:
            list(pool.map(_close, probes))
    probes.clear()


def _close(fd: int) -> None:
    with suppress(OSError):
        os.close(fd)
