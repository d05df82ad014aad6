"""One fat binary to its cubins and PTX texts, and which of the texts need judging."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hashwarden.errors import TargetError, UnsupportedError
from hashwarden.kernels.sass.carve import carve
from hashwarden.kernels.sass.elf import ELF_MAGIC
from hashwarden.kernels.sass.fatbin import FatbinEntry, iter_fatbin
from hashwarden.kernels.sass.found import Code, Found, Problem, Ptx, as_target_error
from hashwarden.kernels.sass.limits import Budget
from hashwarden.kernels.sass.ptx import ptx_arch, ptx_kernels
from hashwarden.kernels.sass.source import ByteSource
from hashwarden.kernels.sass.spool import part_of

__all__ = ["read_fatbin"]

_MAX_NAMES = 64 << 20


def read_fatbin(source: ByteSource, budget: Budget) -> Iterator[Found]:
    """All code objects of one fat binary.

    PTX is told to lie beside code if each of its kernels is in a cubin of the same fat binary, as compilers leave it
    for GPUs that are yet to come; that its text does the same as that code is not checked.

    Parameters
    ----------
    source : ByteSource
        The fat binary, header included.
    budget : Budget
        Charged for each object and its decompressed bytes.
    """
    texts: list[FatbinEntry] = []
    others: list[FatbinEntry] = []
    names: set[bytes] = set()
    entries = list(_entries(source, budget))
    wants_names = any(isinstance(entry, FatbinEntry) and entry.kind == "ptx" for entry in entries)
    codes = 0
    for entry in entries:
        if isinstance(entry, TargetError):
            yield Problem(source.where, as_target_error(entry, source.where))
        elif entry.kind == "ptx":
            texts.append(entry)
        elif entry.kind != "elf":
            others.append(entry)
        else:
            found = _code(entry, budget)
            if isinstance(found, Code):
                codes += 1
                names |= _kernel_names(found.data) if wants_names else set()
            yield found
    for entry in texts:
        yield _text(entry, names, budget)
    for entry in others:
        yield from _other(entry, budget, alone=not codes and not texts)


def _entries(source: ByteSource, budget: Budget) -> Iterator[FatbinEntry | TargetError]:
    for entry in iter_fatbin(source, budget.limits):
        budget.count(source.where)
        yield entry


def _data(entry: FatbinEntry, budget: Budget) -> bytes | memoryview:
    budget.check_object(max(entry.expanded, entry.size), entry.where)
    if entry.compression != "plain":
        budget.expand(entry.expanded, entry.where)
        budget.check_ratio(entry.size, entry.expanded, entry.where)
    return entry.data()


def _code(entry: FatbinEntry, budget: Budget) -> Found:
    where = entry.source.where
    try:
        return Code(where, _data(entry, budget))
    except Exception as error:
        return Problem(where, as_target_error(error, where))


def _text(entry: FatbinEntry, names: set[bytes], budget: Budget) -> Found:
    where = entry.source.where
    try:
        data = bytes(_data(entry, budget)).rstrip(b"\0")
    except Exception as error:
        return Problem(where, as_target_error(error, where))
    return Ptx(where, entry.arch or ptx_arch(data), data, beside_code=ptx_kernels(data) <= names)


def _other(entry: FatbinEntry, budget: Budget, *, alone: bool) -> Iterator[Found]:
    """Cubins in an entry of unknown kind; where nothing else is there, intermediate code is a problem."""
    where = entry.source.where
    hits = 0
    if entry.compression == "plain":
        payload = part_of(entry.source, entry.offset, entry.size, where)
        for hit in carve(payload, budget):
            if hit.kind == "cubin" and hit.offset + hit.size <= payload.size:
                hits += 1
                budget.check_object(hit.size, where)
                yield Code(where, payload.read(hit.offset, hit.size))
    if alone and not hits:
        yield Problem(where, UnsupportedError(
            f"intermediate code ({entry.kind}) without machine code", "machine code or PTX",
            "Scan the linked program.", where=where,
        ))  # fmt: skip


def _kernel_names(data: bytes | memoryview) -> set[bytes]:
    """Names behind ``.text.`` in the section names of a cubin, without building its sections."""
    view = memoryview(data)
    if len(view) < 64 or bytes(view[:4]) != ELF_MAGIC:
        return set()
    table, count, index = *struct.unpack_from("<Q", view, 40), *struct.unpack_from("<HH", view, 60)
    header = table + index * 64
    if index >= count or header + 64 > len(view):
        return set()
    offset, size = struct.unpack_from("<QQ", view, header + 24)
    if size > _MAX_NAMES:
        return set()
    strings = bytes(view[offset : offset + size]).split(b"\0")
    return {name.partition(b".text.")[2] for name in strings if b".text." in name}
