"""From any file to the code objects in it: what it is, is told by its content, never by its name.

Everything here is pure: bytes come from a `ByteSource`, temporary files from a `Spool`, so it runs the same in a test,
in a fuzzer and in a sandboxed worker. Failures become `Problem`; the walk goes on behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import final

from hashwarden.errors import EmptyTargetError, MalformedError, TargetError, TruncatedError, UnsupportedError
from hashwarden.kernels.sass.carve import Hit, carve
from hashwarden.kernels.sass.fatbins import read_fatbin
from hashwarden.kernels.sass.found import Code, Found, Problem, Ptx, guarded
from hashwarden.kernels.sass.images import layer_names
from hashwarden.kernels.sass.limits import Budget, Limits
from hashwarden.kernels.sass.mixtables import read_mix_table
from hashwarden.kernels.sass.pieces import Piece
from hashwarden.kernels.sass.ptx import looks_like_ptx, ptx_arch, ptx_kernels
from hashwarden.kernels.sass.source import ByteSource
from hashwarden.kernels.sass.spool import FilePart, LocalSpool, Spool, held, part_of
from hashwarden.kernels.sass.streams import MAGICS, Packed, decompress, expand
from hashwarden.kernels.sass.tarred import ar_members, is_tar, tar_members
from hashwarden.kernels.sass.zipped import Directory, ZipMember, find_directory, zip_members

__all__ = ["OFFER_BYTES", "Offer", "Walker", "printable", "walk"]

OFFER_BYTES = 8 << 20
"""Pieces below this size are not worth handing to another worker."""

_NAME_LENGTH = 1024
_RUN = 2048
"""Fat binaries in one piece at most."""
_HEAD = 16 << 10
_UNREAD = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"hsqs": "a squashfs image",
    b"\xed\xab\xee\xdb": "an RPM package",
    b"MSCF": "a cabinet archive",
}

Offer = Callable[[FilePart, Piece], bool]
"""Takes a piece over, to be read elsewhere, or not (False)."""


def walk(source: ByteSource, limits: Limits, spool: Spool | None = None) -> Iterator[Found]:
    """Everything that a target holds, here and now.

    Parameters
    ----------
    source : ByteSource
        The target.
    limits : Limits
        What it may cost.
    spool : Spool, optional
        Where large decompressed members go; temporary files of this process by default.

    Yields
    ------
    Found
        Code objects in the order in which they lie in the target, and problems where they arose.
    """
    yield from Walker(Budget(limits), spool or LocalSpool()).target(source)


def printable(name: str) -> str:
    """A member's name for messages: bounded, and without what could move a terminal's cursor."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name[:_NAME_LENGTH])


Enter = Callable[[str], bool]
"""Whether an object of that name is to be read."""


def _welcome(where: str) -> bool:
    del where
    return True


def _refuse(source: FilePart, piece: Piece) -> bool:
    del source, piece
    return False


@final
class Walker:
    """Walks through one target, or a piece of it.

    Parameters
    ----------
    budget : Budget
        What is left of the target's limits.
    spool : Spool
        Where large decompressed members go.
    offer : callable, optional
        Asked before a large piece is read here.
    enter : callable, optional
        Told the name of each object before it is read; the object is left out if it says False.
    """

    def __init__(self, budget: Budget, spool: Spool, offer: Offer = _refuse, enter: Enter = _welcome) -> None:
        self.budget, self._spool, self._offer, self._enter = budget, spool, offer, enter

    def target(self, source: ByteSource) -> Iterator[Found]:
        """Everything in a whole target; an empty one is a problem here, and nothing inside a container."""
        if source.size == 0:
            yield Problem(source.where, EmptyTargetError(
                "an empty file", "a file with GPU code", "Check the path.", where=source.where
            ))  # fmt: skip
        else:
            yield from self.object(source, 0)

    def piece(self, file: FilePart, piece: Piece) -> Iterator[Found]:
        """Everything in a piece that another walker offered; ``file`` is the whole file it lies in."""
        if piece.kind == "fatbins":
            whole = file.part(0, file.size, piece.where)
            yield from self._fatbins(whole, list(piece.extents), piece.first)
        elif piece.kind == "member":
            member = ZipMember(piece.where, piece.offset, piece.size, piece.expanded, piece.method)
            yield from guarded(self._zip_member(file, member, piece.where, piece.depth), piece.where)
        else:
            yield from self.object(file.part(piece.offset, piece.size, piece.where), piece.depth)

    def searched(self, source: ByteSource) -> Iterator[Found]:
        """Code objects anywhere in bytes that are no file, such as the memory of a process."""
        if self._enter(source.where):
            yield from guarded(self._carved(source), source.where)

    def object(self, source: ByteSource, depth: int) -> Iterator[Found]:
        """Everything in one object that lies in ``depth`` containers."""
        if self._enter(source.where):
            yield from guarded(self._object(source, depth), source.where)

    def _object(self, source: ByteSource, depth: int) -> Iterator[Found]:
        if source.size == 0:
            return
        head = bytes(source.read(0, min(_HEAD, source.size)))
        reader = self._reader(head)
        if reader is None:
            yield from self._anything(source, head, depth)
        else:
            self.budget.check_nesting(depth + 1, source.where)
            yield from reader(source, depth + 1)

    def _reader(self, head: bytes) -> Callable[[ByteSource, int], Iterator[Found]] | None:
        """What reads a container that begins like this; None if it is none."""
        if any(head.startswith(magic) for magic in MAGICS):
            return self._stream
        if head.startswith((b"!<arch>\n", b"!<thin>\n")):
            return self._ar
        if is_tar(head):
            return self._tar
        return None

    def _anything(self, source: ByteSource, head: bytes, depth: int) -> Iterator[Found]:
        """A file that is no container, or is one at its end, as zip files are."""
        for magic, name in _UNREAD.items():
            if head.startswith(magic):
                raise UnsupportedError(f"{name}, which is not read", "a zip or tar archive, or a folder",
                                       "Unpack it yourself and scan the folder.", where=source.where)  # fmt: skip
        directory = find_directory(source) if head[:2] == b"PK" or source.size >= 22 else None
        if directory is not None:
            self.budget.check_nesting(depth + 1, source.where)
            if directory.prefix and head[:4] != b"PK\3\4":  # a program with an archive behind it
                prefix = part_of(source, 0, directory.prefix, source.where)
                yield from guarded(self._plain(prefix, head), source.where)
            yield from self._zip(source, directory, depth + 1)
        elif head[:4] == b"PK\3\4":
            raise TruncatedError("a zip file without its directory", "a whole zip file", "Fetch it again.",
                                 where=source.where)  # fmt: skip
        else:
            yield from self._plain(source, head)

    def _plain(self, source: ByteSource, head: bytes) -> Iterator[Found]:
        if head[:4] == b"PAR1":
            yield from read_mix_table(source, self.budget)
        elif looks_like_ptx(head):
            yield self._text(source, Hit("ptx", 0, source.size))
        else:
            yield from self._carved(source)
            if head[:4] == b"\x7fELF":
                _check_elf_is_whole(source, head)

    def _stream(self, source: ByteSource, depth: int) -> Iterator[Found]:
        head = bytes(source.read(0, min(8, source.size)))
        kind = next(kind for magic, kind in MAGICS.items() if head.startswith(magic))
        pieces, packed = expand(source, kind)
        with held(pieces, source.where, self._spool, self.budget, packed) as inner:
            yield from self.object(inner, depth)

    def _tar(self, source: ByteSource, depth: int) -> Iterator[Found]:
        layers = layer_names(source, tar_members(source, Budget(self.budget.limits)))
        for member in tar_members(source, self.budget):
            yield from self._part(source, layers.get(member.name, member.name), (member.offset, member.size), depth)

    def _ar(self, source: ByteSource, depth: int) -> Iterator[Found]:
        for member in ar_members(source, self.budget):
            yield from self._part(source, member.name, (member.offset, member.size), depth)

    def _part(self, source: ByteSource, name: str, place: tuple[int, int], depth: int) -> Iterator[Found]:
        """A member that lies in its archive as it is."""
        where = f"{source.where}!{printable(name)}"
        part = part_of(source, *place, where)
        taken = False
        if isinstance(part, FilePart) and part.size >= OFFER_BYTES:
            taken = self._offer(part, Piece("object", where, part.offset, part.size, depth))
        if not taken:
            yield from self.object(part, depth)

    def _zip(self, source: ByteSource, directory: Directory, depth: int) -> Iterator[Found]:
        for member in zip_members(source, directory, self.budget):
            if self.budget.spent:
                return
            if isinstance(member, TargetError):
                member.where = printable(member.where)
                yield Problem(member.where, member)
                continue
            where = f"{source.where}!{printable(member.name)}"
            if member.packed >= OFFER_BYTES and isinstance(source, FilePart):
                offset = source.offset + member.offset
                if self._offer(
                    source, Piece("member", where, offset, member.packed, depth, member.method, member.size)
                ):
                    continue
            yield from guarded(self._zip_member(source, member, where, depth), where)

    def _zip_member(self, source: ByteSource, member: ZipMember, where: str, depth: int) -> Iterator[Found]:
        if not self._enter(where):
            return
        data = part_of(source, member.offset, member.packed, where)
        if member.method == "stored":
            yield from self.object(data, depth)
            return
        self.budget.check_ratio(member.packed, member.size, where)
        packed = Packed(data)
        pieces = _exactly(decompress(member.method, packed, where), member.size, where)
        with held(pieces, where, self._spool, self.budget, lambda: packed.taken) as inner:
            yield from self.object(inner, depth)

    def _carved(self, source: ByteSource) -> Iterator[Found]:
        """Code objects anywhere in a file; runs of fat binaries are handed out together."""
        run: list[tuple[int, int]] = []
        number, claimed = 1, 0
        for hit in carve(source, self.budget):
            claimed += hit.size
            if claimed > 4 * source.size + OFFER_BYTES:
                raise MalformedError("code objects that share their bytes", "objects side by side",
                                     "Do not trust this file.", where=source.where)  # fmt: skip
            if run and (hit.kind != "fatbin" or len(run) >= _RUN or sum(size for _, size in run) >= 2 * OFFER_BYTES):
                yield from self._run(source, run, number)
                number, run = number + len(run), []
            if hit.kind == "fatbin":
                run.append((hit.offset, hit.size))
            else:
                self.budget.count(source.where)
                yield from guarded(self._hit(source, hit), source.where)
        yield from self._run(source, run, number)

    def _run(self, source: ByteSource, run: list[tuple[int, int]], number: int) -> Iterator[Found]:
        if isinstance(source, FilePart) and sum(size for _, size in run) >= OFFER_BYTES:
            extents = tuple((source.offset + offset, size) for offset, size in run)
            if self._offer(source, Piece("fatbins", source.where, first=number, extents=extents)):
                return
        yield from self._fatbins(source, run, number)

    def _fatbins(self, source: ByteSource, run: list[tuple[int, int]], number: int) -> Iterator[Found]:
        for index, (offset, size) in enumerate(run, number):
            where = f"{source.where}#fatbin{index}"
            if self.budget.spent:
                return
            if self._enter(where):
                yield from guarded(self._fatbin(source, offset, size, where), where)

    def _fatbin(self, source: ByteSource, offset: int, size: int, where: str) -> Iterator[Found]:
        yield from read_fatbin(part_of(source, offset, size, where), self.budget)

    def _hit(self, source: ByteSource, hit: Hit) -> Iterator[Found]:
        if hit.kind == "ptx":
            text = self._text(source, hit)
            if isinstance(text, Ptx) and ptx_kernels(text.data):
                yield text
            return
        where = source.where if hit.offset == 0 else f"{source.where}#cubin@{hit.offset:#x}"
        self.budget.check_object(hit.size, where)
        yield Code(where, part_of(source, hit.offset, hit.size, where).read(0, hit.size))

    def _text(self, source: ByteSource, hit: Hit) -> Found:
        where = source.where if hit.offset == 0 else f"{source.where}#ptx@{hit.offset:#x}"
        self.budget.check_object(hit.size, where)
        text = bytes(source.read(hit.offset, hit.size)).rstrip(b"\0")
        return Ptx(where, ptx_arch(text), text)


def _exactly(pieces: Iterator[bytes], size: int, where: str) -> Iterator[bytes]:
    """The pieces, which together are as long as the directory says."""
    made = 0
    for piece in pieces:
        made += len(piece)
        if made > size:
            break
        yield piece
    if made != size:
        raise MalformedError(f"a member of {made} bytes or more", f"{size} bytes, as the directory says",
                             "Fetch or build the archive again.", where=where)  # fmt: skip


def _check_elf_is_whole(source: ByteSource, head: bytes) -> None:
    """Raise `TruncatedError` if the section headers of a 64-bit little-endian file lie behind its end."""
    if len(head) < 64 or head[4:6] != b"\2\1" or int.from_bytes(head[18:20], "little") == 190:
        return
    table, entry, count = (int.from_bytes(head[at : at + n], "little") for at, n in ((40, 8), (58, 2), (60, 2)))
    if table and table + entry * count > source.size:
        raise TruncatedError(f"section headers up to byte {table + entry * count} of {source.size}",
                             "a whole ELF file", "Fetch the file again.", where=source.where)  # fmt: skip
