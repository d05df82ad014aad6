"""The few calls of bpf(2) that launch tracing needs, straight to the kernel: maps, programs, nothing else.

No library stands between: libbpf is not on every node (Ubuntu 22.04 has 0.5, another ABI) and bpftrace compiles with
LLVM at each start. What is loaded is fixed at build time, so a loader is all there is to do.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import json
import os
import platform
import resource
import struct
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, final

from hashwarden.errors import NoDeviceError, PrivilegeError, UnsupportedError
from hashwarden.serve.sources.launches_programs import PACKED

__all__ = ["ARRAY", "HASH", "LRU_HASH", "RING", "Map", "link_many", "load_programs", "syscall"]

HASH, ARRAY, LRU_HASH, RING = 1, 2, 9, 27
"""Kinds of maps."""

_CREATE, _LOOKUP, _UPDATE, _LOAD, _TAKE_BATCH, _LINK = 0, 1, 2, 5, 25, 28
_KPROBE: Final = 2
"""Type of programs that uprobes run."""
_MULTI: Final = 48
"""Attachment to many places at once, since Linux 6.6."""
_NUMBERS: Final = {"x86_64": (321, 298), "aarch64": (280, 241)}
"""Of bpf and perf_event_open."""
_LICENSE: Final = b"Dual BSD/GPL"
_AGAIN: Final = frozenset({errno.EAGAIN, errno.EBUSY, errno.EINTR})
_TRIALS: Final = 10
_LOG_BYTES: Final = 1 << 20
_LOAD_MAP: Final = 0x18
"""Opcode of the instruction that loads 64 bits; with source register 1 they are a map's descriptor."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _machine() -> str:
    machine = platform.machine()
    if machine not in _NUMBERS:
        raise NoDeviceError(f"the machine is {machine!r}", " or ".join(_NUMBERS), "Turn the source off.")
    return machine


def syscall(call: int, *arguments: object) -> int:
    """Call bpf (0) or perf_event_open (1).

    Raises
    ------
    PrivilegeError
        If the kernel refuses it to this process.
    OSError
        Anything else that the kernel says.
    """
    done: int = _libc.syscall(_NUMBERS[_machine()][call], *arguments)
    if done >= 0:
        return done
    number = ctypes.get_errno()
    name = ("bpf", "perf_event_open")[call]
    if number in {errno.EPERM, errno.EACCES}:
        raise PrivilegeError(f"{name}: {os.strerror(number)}", "root, or CAP_BPF and CAP_PERFMON", "Run it as root.")
    raise OSError(number, os.strerror(number), name)


def _bpf(command: int, attributes: bytes) -> int:
    block = ctypes.create_string_buffer(attributes, max(len(attributes), 72))
    return syscall(0, ctypes.c_int(command), block, ctypes.c_uint(len(block)))


def _address(buffer: object) -> int:
    return ctypes.addressof(buffer)  # type: ignore[arg-type]


@final
class Map:
    """A map in the kernel, gone when it is closed and no program uses it.

    Parameters
    ----------
    kind : int
    key, value : int
        Bytes; values are multiples of 8.
    entries : int
        Most that it holds; of a ring its bytes, a power of two.
    """

    def __init__(self, kind: int, key: int, value: int, entries: int) -> None:
        self.key, self.value, self.entries = key, value, entries
        self._buffers: tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]] | None = None
        attributes = struct.pack("<IIIII", kind, key, value, entries, 0)
        try:
            self.fd = _bpf(_CREATE, attributes)
        except PrivilegeError:  # before Linux 5.11 maps count against this limit
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            self.fd = _bpf(_CREATE, attributes)

    def close(self) -> None:
        """Let go of it."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None if there is none."""
        asked, room = ctypes.create_string_buffer(key, self.key), ctypes.create_string_buffer(self.value)
        try:
            _bpf(_LOOKUP, struct.pack("<IIQQQ", self.fd, 0, _address(asked), _address(room), 0))
        except FileNotFoundError:
            return None
        return room.raw

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        asked, room = ctypes.create_string_buffer(key, self.key), ctypes.create_string_buffer(value, self.value)
        _bpf(_UPDATE, struct.pack("<IIQQQ", self.fd, 0, _address(asked), _address(room), 0))

    def take(self) -> tuple[bytes, bytes]:
        """All keys and all values, end to end in the same order; the hash map is empty after it.

        Raises
        ------
        OSError
            If the kernel cannot give them, though it was asked again.
        """
        keys, values = self._room()
        taken: list[tuple[bytes, bytes]] = []
        for _ in range(_TRIALS):
            count, ended = self._take_batch(keys, values)
            taken.append((ctypes.string_at(keys, self.key * count), ctypes.string_at(values, self.value * count)))
            if ended:
                return b"".join(part[0] for part in taken), b"".join(part[1] for part in taken)
        raise OSError(errno.EBUSY, "the map does not come to an end", "bpf")

    def _room(self) -> tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]:
        """Where the kernel puts keys and values; made once, for it is asked for several times a second."""
        if self._buffers is None:
            sizes = (self.key * self.entries, self.value * self.entries)
            self._buffers = ctypes.create_string_buffer(sizes[0]), ctypes.create_string_buffer(sizes[1])
        return self._buffers

    def _take_batch(self, keys: ctypes.Array[ctypes.c_char], values: ctypes.Array[ctypes.c_char]) -> tuple[int, bool]:
        """How many came, and whether that was the end of the map."""
        token, block = ctypes.create_string_buffer(8), ctypes.create_string_buffer(72)
        struct.pack_into("<QQQQIIQQ", block, 0, 0, _address(token), _address(keys), _address(values),
                         self.entries, self.fd, 0, 0)  # fmt: skip
        ended = False
        try:
            syscall(0, ctypes.c_int(_TAKE_BATCH), block, ctypes.c_uint(56))
        except FileNotFoundError:
            ended = True
        except OSError as error:  # a part of the map is in use: what is left is asked for again
            if error.errno not in _AGAIN:
                raise
        count: int = struct.unpack_from("<I", block, 32)[0]
        return count, ended


def link_many(path: bytes, offsets: Sequence[int], program: int, *, at_return: bool) -> int:
    """Let a program, loaded for many places, run at all these offsets of a file, until the descriptor is closed."""
    name, places = ctypes.create_string_buffer(path), (ctypes.c_ulonglong * len(offsets))(*offsets)
    return _bpf(_LINK, struct.pack("<IIIIQQQQIIII", program, 0, _MULTI, 0, _address(name), _address(places), 0, 0,
                                   len(offsets), at_return, 0, 0))  # fmt: skip


def load_programs(maps: Mapping[str, Map], library: int, *, many: bool = False) -> dict[str, int]:
    """Load all programs for this machine; gives their descriptors by name.

    Parameters
    ----------
    maps : mapping of str to Map
        By the names that ``launches_probes.c`` gives them.
    library : int
        Number of the library whose calls they count.
    many : bool
        For `link_many` rather than for single probes.

    Raises
    ------
    UnsupportedError
        If the kernel is too old for them: they need Linux 5.8.
    """
    packed: Final = json.loads(zlib.decompress(base64.b64decode(PACKED[_machine()])))
    loaded: dict[str, int] = {}
    try:
        for name, program in packed.items():
            loaded[name] = _load(name, _linked(program, maps, library), _MULTI if many else 0)
    except BaseException:
        for fd in loaded.values():
            os.close(fd)
        raise
    return loaded


def _linked(program: Mapping[str, Any], maps: Mapping[str, Map], library: int) -> bytes:
    """Instructions, with the descriptors of maps put in, and the number of the library."""
    body = bytearray.fromhex(program["code"])
    for place, which in program["maps"].items():
        at = int(place) * 8
        if body[at] != _LOAD_MAP:
            raise UnsupportedError(f"instruction {place} loads no map", "programs as built", "Build them anew.")
        kind, value = (0, library) if which == "library" else (0x10, maps[which].fd)
        body[at + 1] = (body[at + 1] & 0x0F) | kind
        struct.pack_into("<i", body, at + 4, value)
    return bytes(body)


def _load(name: str, body: bytes, kind: int) -> int:
    block, license_ = ctypes.create_string_buffer(body, len(body)), ctypes.create_string_buffer(_LICENSE)
    log = ctypes.create_string_buffer(_LOG_BYTES)

    def attributes(level: int) -> bytes:
        text = (level, _LOG_BYTES, _address(log)) if level else (0, 0, 0)
        head = (_KPROBE, len(body) // 8, _address(block), _address(license_))
        return struct.pack("<IIQQIIQII16sII", *head, *text, 0, 0, name.encode(), 0, kind)

    try:
        return _bpf(_LOAD, attributes(0))
    except OSError as error:
        try:
            return _bpf(_LOAD, attributes(1))
        except OSError:
            said = log.value.decode(errors="replace").strip().splitlines()[-3:]
            raise UnsupportedError(
                f"the kernel refuses the program {name} ({error.strerror}): {' / '.join(said)}",
                "Linux 5.8 or newer with eBPF", "Turn the source off on this node.",
            ) from error  # fmt: skip
