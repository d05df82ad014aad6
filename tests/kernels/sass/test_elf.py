import io
import struct
import sys
import time
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from hashwarden.errors import MalformedError, TargetError, TruncatedError, UnsupportedError
from hashwarden.kernels.sass.elf import NOBITS, STRTAB, SYMTAB, read_elf
from hashwarden.kernels.sass.source import FileSource, MemorySource


def build_elf(sections, *, count=None, names_at=None, first=(0, 0), machine=190, flags=0x06005004):
    """An ELF file of (name, type, bytes, link); ``first`` is size and link of section 0."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name, *_ in sections) + b".shstrtab\0"
    parts, headers, at, place = [], [struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, first[0], first[1], 0, 0, 0)], 64, 1
    for name, kind, data, link in (*sections, (".shstrtab", STRTAB, names, 0)):
        headers.append(struct.pack("<IIQQQQIIQQ", place, kind, 0, 0, at, len(data), link, 0, 1, 0))
        parts.append(data)
        at, place = at + len(data), place + len(name) + 1
    count = len(headers) if count is None else count
    names_at = len(headers) - 1 if names_at is None else names_at
    ident = b"\x7fELF\x02\x01\x01\x41\x08" + bytes(7)
    head = ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 0, at, flags, 64, 0, 0, 64, count, names_at)
    return head + b"".join(parts) + b"".join(headers)


def elf_of(data):
    return read_elf(MemorySource(data, "x.cubin"))


SYMBOL = struct.pack("<IBBHQQ", 1, 0x12, 0x10, 1, 0, 32)
SMALL = build_elf(
    [(".text.k", 1, bytes(32), 0), (".symtab", SYMTAB, bytes(24) + SYMBOL, 3), (".strtab", STRTAB, b"\0k\0", 0)]
)


def test_sections_and_symbols():
    elf = elf_of(SMALL)
    assert elf.is_cubin
    assert (elf.flags, elf.os_abi) == (0x06005004, 0x41)
    assert [s.name for s in elf.sections] == ["", ".text.k", ".symtab", ".strtab", ".shstrtab"]
    assert bytes(elf.read(elf.sections[1])) == bytes(32)
    symbols = elf.symbols()
    assert len(symbols.table) == 2
    assert symbols.name(1) == "k"
    assert symbols.table["other"][1] == 0x10


def test_same_as_pyelftools_on_a_real_library():
    """The interpreter itself or a library beside it is an ELF file of thousands of symbols."""
    path = Path(sys.executable).resolve()
    with path.open("rb") as file:
        ours, data = read_elf(FileSource(file.fileno(), str(path))), file.read()
    theirs = ELFFile(io.BytesIO(data))
    want = [(s.name, s["sh_offset"], s["sh_size"], s["sh_link"]) for s in theirs.iter_sections()]
    assert [(s.name, s.offset, s.size, s.link) for s in ours.sections] == want
    assert ours.flags == theirs["e_flags"]


def test_symbols_same_as_pyelftools_on_a_cubin(cubin_sm90):
    ours = elf_of(cubin_sm90).symbols()
    theirs = list(ELFFile(io.BytesIO(cubin_sm90)).get_section_by_name(".symtab").iter_symbols())
    assert [ours.name(i) for i in range(len(ours.table))] == [s.name for s in theirs]
    assert ours.table["value"].tolist() == [s["st_value"] for s in theirs]
    assert ours.table["size"].tolist() == [s["st_size"] for s in theirs]


def test_extended_section_numbering():
    data = build_elf([(".a", 1, b"abc", 0)], count=0, names_at=0xFFFF, first=(3, 2))
    assert [s.name for s in elf_of(data).sections] == ["", ".a", ".shstrtab"]


def test_stripped_of_section_headers():
    data = bytearray(SMALL)
    data[40:48] = bytes(8)
    elf = elf_of(bytes(data))
    assert elf.sections == ()
    assert len(elf.symbols().table) == 0


def test_nobits_takes_no_room():
    elf = elf_of(build_elf([(".bss", NOBITS, b"", 0)]))
    section = elf.sections[1]
    assert bytes(elf.read(type(section)(1, ".bss", NOBITS, 0, 1 << 60, 1 << 60, 0, 0))) == b""


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", TruncatedError),
        (SMALL[:63], TruncatedError),
        (SMALL[:-1], TruncatedError),
        (b"MZ" + SMALL[2:], MalformedError),
        (SMALL[:4] + b"\x01" + SMALL[5:], UnsupportedError),
        (SMALL[:5] + b"\x02" + SMALL[6:], UnsupportedError),
        (SMALL[:58] + b"\x10\0" + SMALL[60:], MalformedError),
        (build_elf([], count=0, first=(1 << 40, 0)), MalformedError),
        (build_elf([], count=0, first=(1 << 18, 0)), TruncatedError),
    ],
)
def test_broken_headers(data, error):
    with pytest.raises(error):
        elf_of(data)


def test_a_section_behind_the_end_spoils_only_itself():
    good = build_elf([(".text.k", 1, bytes(32), 0), (".other", 1, b"xyz", 0)])
    at = struct.unpack_from("<Q", good, 40)[0] + 64 + 24
    elf = elf_of(good[:at] + struct.pack("<QQ", 1 << 50, 1 << 62) + good[at + 16 :])
    with pytest.raises(TruncatedError):
        elf.read(elf.sections[1])
    assert bytes(elf.read(elf.sections[2])) == b"xyz"


def test_symbol_table_that_names_no_string_table():
    with pytest.raises(MalformedError):
        elf_of(build_elf([(".symtab", SYMTAB, bytes(48), 77)])).symbols()


def test_many_sections_that_share_one_long_name_are_refused_quickly():
    strings = b"a" * (1 << 20)
    sections = 1000
    headers = struct.pack("<IIQQQQIIQQ", 0, STRTAB, 0, 0, 64, len(strings), 0, 0, 1, 0) * sections
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = ident + struct.pack("<HHIQQQIHHHHHH", 2, 190, 1, 0, 0, 64 + len(strings), 0, 64, 0, 0, 64, sections, 1)
    started = time.process_time()
    with pytest.raises(MalformedError):
        elf_of(head + strings + headers)
    assert time.process_time() - started < 5


@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(SMALL)))
def test_any_damage_ends_in_a_value_or_a_target_error(changes, length):
    data = bytearray(SMALL)
    for at, value in changes:
        data[at] = value
    try:
        elf = elf_of(bytes(data[:length]))
    except TargetError:
        return
    for section in elf.sections:
        try:
            assert len(elf.read(section)) <= len(data)
        except TruncatedError as error:
            assert "x.cubin" in str(error)  # noqa: PT017
    try:
        symbols = elf.symbols()
    except TargetError:
        return
    assert all(isinstance(symbols.name(i), str) for i in range(len(symbols.table)))
