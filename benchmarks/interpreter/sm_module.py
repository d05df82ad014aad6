"""A cubin in the memory of the interpreter: constants, global variables, parameters; its kernels can be launched."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from sm_decode import disassembled, instructions
from sm_library import Fault, library
from sm_records import records

from hashwarden.errors import UsageError
from hashwarden.kernels.sass import isa
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.sass.elf import NOBITS, Elf, Section, read_elf
from hashwarden.kernels.sass.source import MemorySource
from hashwarden.kernels.workloads.engines.cupy_driver import mangled

__all__ = ["Kernel", "Module"]

PARAMETER, STACK = 0x17, 0x12
SIZED = 4
"""The form of attributes in `.nv.info` that carry bytes."""
RELOCATED_64 = 2
SHARED_WINDOW, LOCAL_WINDOW = 0xA5000000 << 32, 0xA6000000 << 32
SPARE_STACK = 1024
RESERVED_SHARED = 1024
MOST_SHARED = 228 << 10


@dataclass(frozen=True, slots=True)
class Bank:
    """Where the driver puts what kernels read from constant bank 0, in bytes."""

    block: int
    grid: int
    local_window: int
    stack: int
    constants: int
    parameters: int


AMPERE, HOPPER = Bank(0x0, 0xC, 0x20, 0x28, 0x50, 0x160), Bank(0x0, 0xC, 0x20, 0x28, 0xD0, 0x210)
BLACKWELL = Bank(0x360, 0x370, 0x2F8, 0x37C, 0x120, 0x380)
BANKS = {80: AMPERE, 86: AMPERE, 89: AMPERE, 90: HOPPER, 100: BLACKWELL, 103: BLACKWELL}
"""By architecture, as compiled code reads it; `constants` is where bank 3 lies for those who want its address."""
SHARED_WINDOW_AT = 0x18
"""Where code for sm_80 to sm_90 may look for the window of shared memory."""


@dataclass(slots=True)
class Kernel:
    """One kernel, ready to run.

    Attributes
    ----------
    words : uint32 array, shape (own instructions, 4)
    code : array of `sm_records.INSTRUCTION`, shape (instructions,)
        Its own, and behind them those of functions that it may call.
    counts : uint64 array, shape (2, instructions)
        Of all launches so far: by how many warps and by how many threads each instruction was executed.
    parameters : list of (int, int)
        Offset and bytes of each.
    shared, stack : int
        Bytes of static shared memory, and of the stack of a thread.
    """

    words: np.ndarray
    code: np.ndarray
    counts: np.ndarray
    parameters: list[tuple[int, int]]
    shared: int
    stack: int


class Module:
    """A loaded cubin.

    Parameters
    ----------
    data : bytes
        For an architecture of `BANKS`.
    """

    def __init__(self, data: bytes) -> None:
        self.cubin = read_cubin(data, "cubin")
        if self.cubin.arch not in BANKS:
            raise UsageError(f"sm_{self.cubin.arch}", f"one of {sorted(BANKS)}", "Compile for one of them.")
        self._elf = read_elf(MemorySource(data, "cubin"))
        self._sections = {section.name: section for section in self._elf.sections}
        self._memory = {
            section.index: np.frombuffer(bytearray(_content(self._elf, section)), np.uint8)
            for section in self._elf.sections
            if section.name.startswith((".nv.constant3", ".nv.constant4", ".nv.global"))
        }
        table = self._elf.symbols()
        self._names = [table.name(place) for place in range(len(table.table))]
        self._symbols = {
            name: (int(row["section"]), int(row["value"]), int(row["size"]))
            for name, row in zip(self._names, table.table, strict=True)
        }
        self._relocate()
        with tempfile.TemporaryDirectory(prefix="hashwarden-") as folder:
            path = Path(folder, "module.cubin")
            path.write_bytes(data)
            self._printed = disassembled(path)
        self.kernels: dict[str, Kernel] = {}

    def _relocate(self) -> None:
        """Put the addresses of global variables where kernels look for them."""
        for section in self._elf.sections:
            target = self._memory.get(section.info)
            if not section.name.startswith((".rela.nv.constant4", ".rel.nv.constant4")) or target is None:
                continue
            form = "<QQq" if section.name.startswith(".rela") else "<QQ"
            for offset, info, *added in struct.iter_unpack(form, self._elf.read(section)):
                if info & 0xFFFFFFFF != RELOCATED_64:
                    raise UsageError(f"a relocation of type {info & 0xFFFFFFFF}", "type 2", "Teach the interpreter.")
                addend = added[0] if added else struct.unpack_from("<q", target, offset)[0]
                home, value, _ = self._symbols[self._names[info >> 32]]
                place = self._memory[home].ctypes.data + value + addend
                target[offset : offset + 8] = np.frombuffer(struct.pack("<Q", place), np.uint8)

    @cached_property
    def _stacks(self) -> dict[str, int]:
        pairs = (struct.unpack("<II", value) for kind, value in self._attributes(".nv.info") if kind == STACK)
        return {self._names[symbol]: size for symbol, size in pairs}

    def _attributes(self, name: str) -> list[tuple[int, bytes]]:
        found, data, at = [], bytes(self._elf.read(self._sections[name])), 0
        while at < len(data):
            form, kind, size = struct.unpack_from("<BBH", data, at)
            at += 4
            if form == SIZED:
                found.append((kind, data[at : at + size]))
                at += size
        return found

    def kernel(self, name: str) -> Kernel:
        """Find and decode a kernel, by its name or its mangled name.

        Raises
        ------
        UsageError
            If there is none.
        UnsupportedError
            If it has an instruction that the interpreter does not know.
        """
        mangled = self._mangled(name)
        if mangled not in self.kernels:
            self.kernels[mangled] = self._decoded(mangled)
        return self.kernels[mangled]

    def _mangled(self, name: str) -> str:
        found = [it for it in self.cubin.names if it == name or f"{len(name)}{name}" in it]
        if not found:
            raise UsageError(f"no kernel {name}", ", ".join(self.cubin.names), "Name one of them.")
        return found[0]

    def _decoded(self, mangled: str) -> Kernel:
        words = np.frombuffer(self.cubin.code(self.cubin.names.index(mangled)), np.uint32).reshape(-1, 4)
        packed = self._linked(mangled)
        parameters = sorted(
            struct.unpack("<IHHI", value)[1:] for kind, value in self._attributes(f".nv.info.{mangled}")
            if kind == PARAMETER
        )  # fmt: skip
        shared = self._sections.get(f".nv.shared.{mangled}")
        return Kernel(
            words, packed, np.zeros((2, len(packed)), np.uint64),
            [(offset, flags >> 18) for _, offset, flags in parameters],
            shared.size if shared else RESERVED_SHARED, self._stacks.get(mangled, 0),
        )  # fmt: skip

    def _linked(self, kernel: str) -> np.ndarray:
        """The code of a kernel, and behind it that of all functions which are no kernels, as a driver would load it."""
        names = [kernel, *(name for name in self._printed if name not in self.cubin.names)]
        words = [self._words(name) for name in names]
        firsts = np.cumsum([0, *(len(code) for code in words)])
        homes = dict(zip(names, firsts.tolist(), strict=False))
        code = [
            instruction for name, own, first in zip(names, words, firsts.tolist(), strict=False)
            for instruction in instructions(
                self._printed[name][: len(own)], own, branch_places(own, self.cubin.arch), first, homes)
        ]  # fmt: skip
        given = library()
        return records(code, given.operations, given.modifiers)

    def _words(self, name: str) -> np.ndarray:
        words = np.frombuffer(self._elf.read(self._sections[f".text.{name}"]), np.uint32).reshape(-1, 4)
        return words[: len(self._printed[name])]

    def write(self, symbol: str, data: np.ndarray | bytes) -> None:
        """Set a constant or global variable; ``gold::c_outer`` is one of a namespace.

        Raises
        ------
        UsageError
            If there is none, or it is smaller.
        """
        found = self._symbols.get(mangled(symbol))
        if found is None or found[0] not in self._memory:
            raise UsageError(f"no variable {symbol}", "one of the module", "Correct the name.")
        home, value, size = found
        raw = np.frombuffer(data if isinstance(data, bytes) else data.tobytes(), np.uint8)
        if len(raw) > size:
            raise UsageError(f"{len(raw)} bytes for {symbol}", f"{size} at most", "Correct the plan.")
        self._memory[home][value : value + len(raw)] = raw

    def launch(
        self, name: str, grid: Sequence[int] | int, block: Sequence[int] | int, *arguments: Any,
        shared_bytes: int | None = None, **given: Any,
    ) -> None:  # fmt: skip
        """Run a kernel to its end; arrays are passed as pointers to themselves, NumPy scalars by value.

        Without ``shared_bytes`` a block may take all the dynamic shared memory that there is. ``limit`` and ``blocks``
        are those of `sm_library.Library.run`.

        Raises
        ------
        Fault
            If it reads or writes what it may not, deadlocks, or runs too long.
        """
        kernel, bank = self.kernel(name), BANKS[self.cubin.arch]
        shape = tuple(_three(sides) for sides in (grid, block))
        if len(arguments) != len(kernel.parameters):
            raise UsageError(f"{len(arguments)} arguments", f"{len(kernel.parameters)}", "Correct the launch.")
        shared = MOST_SHARED if shared_bytes is None else kernel.shared + shared_bytes
        local = (kernel.stack + SPARE_STACK + 15) & ~15
        first = bytearray(bank.parameters + sum(size for _, size in kernel.parameters) + 64)
        struct.pack_into("<Q", first, SHARED_WINDOW_AT, SHARED_WINDOW)
        struct.pack_into("<3I", first, bank.block, *shape[1])
        struct.pack_into("<3I", first, bank.grid, *shape[0])
        struct.pack_into("<Q", first, bank.local_window, LOCAL_WINDOW)
        struct.pack_into("<I", first, bank.stack, local)
        if ".nv.constant3" in self._sections:
            home = self._memory[self._sections[".nv.constant3"].index]
            struct.pack_into("<Q", first, bank.constants, home.ctypes.data)
        for argument, (offset, size) in zip(arguments, kernel.parameters, strict=True):
            raw = _cell(argument)
            if len(raw) != size:
                raise UsageError(f"an argument of {len(raw)} bytes", f"{size} bytes", "Correct the launch.")
            first[bank.parameters + offset : bank.parameters + offset + size] = raw
        try:
            library().run(
                kernel.code, kernel.counts, shape, {0: bytes(first)} | self._banks(self._mangled(name)),
                (shared, local), self._regions(arguments), **given,
            )  # fmt: skip
        except Fault as fault:
            raise Fault(f"{name[:60]}: {fault.got}", fault.expected, fault.remedy) from None

    def _banks(self, name: str) -> dict[int, bytes]:
        found = {}
        for number in (2, 3, 4):
            for section in (f".nv.constant{number}", f".nv.constant{number}.{name}"):
                if section in self._sections:
                    there = self._sections[section]
                    own = self._memory.get(there.index)
                    data = bytes(_content(self._elf, there)) if own is None else own.tobytes()
                    found[number] = data + bytes(-len(data) % 16)  # the last word is read whole
        return found

    def _regions(self, arguments: Sequence[Any]) -> np.ndarray:
        arrays = [_whole(it) for it in arguments if isinstance(it, np.ndarray)] + list(self._memory.values())
        regions = sorted((it.ctypes.data, it.ctypes.data + it.nbytes) for it in arrays if it.nbytes)
        return np.array(regions, np.uint64).reshape(-1, 2)


def branch_places(words: np.ndarray, arch: int) -> np.ndarray:
    """Where a branch at each place would jump to: as `flow.branch_targets`, whatever the opcode."""
    first, second, third = (words[:, column].astype(np.int64) for column in range(3))
    high = third & 0x3FFFF
    high -= (high >> 17) << 18
    newer = ((high << 30 | second >> 2) << 8 | first >> 16 & 255) << 2
    return np.arange(len(words)) + 1 + ((newer if arch >= isa.NEW_BRANCH else high << 32 | second) >> 4)


def _whole(array: np.ndarray) -> np.ndarray:
    """The array that a part was taken from: on a GPU, too, memory is taken whole."""
    return _whole(array.base) if isinstance(array.base, np.ndarray) else array


def _content(elf: Elf, section: Section) -> bytes:
    return bytes(section.size) if section.type == NOBITS else bytes(elf.read(section))


def _three(sides: Sequence[int] | int) -> tuple[int, ...]:
    given = (sides,) if isinstance(sides, int) else tuple(sides)
    return (*given, *(1,) * (3 - len(given)))


def _cell(argument: Any) -> bytes:
    if isinstance(argument, np.ndarray):
        assert argument.flags.c_contiguous
        return struct.pack("<Q", argument.ctypes.data)
    assert isinstance(argument, np.generic), "pass NumPy scalars, their type is the kernel's"
    return argument.tobytes()
