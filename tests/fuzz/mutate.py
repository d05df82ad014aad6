"""Hostile inputs from real ones: bytes changed anywhere, numbers changed where headers hold them, and good containers
around bad content."""

import gzip
import random
import struct
import zipfile
from collections.abc import Callable

INTERESTING = (0, 1, 7, 8, 63, 64, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 1 << 16, 0x7FFFFFFF, 0x80000000,
               0xFFFFFFFF, 1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
MAGICS = (b"\x7fELF\2\1\1", b"\x50\xed\x55\xba\1\0\x10\0", b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7",
          b"!<arch>\n", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"ustar\0", b"PAR1",
          b".version 8.0\n.target sm_90\n.entry k", b"\xfd7zXZ\0", b"BZh9")  # fmt: skip


def flip(data: bytearray, rng: random.Random) -> None:
    """A few random bytes."""
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        data[rng.randrange(len(data))] = rng.randrange(256)


def number(data: bytearray, rng: random.Random) -> None:
    """A number of 1, 2, 4 or 8 bytes, extreme or a little off; mostly at an even place near the start or end."""
    form = rng.choice("BHIQ")
    size = struct.calcsize(form)
    if len(data) < size:
        return
    reach = min(len(data) - size, rng.choice((64, 256, 4096, len(data))))
    place = rng.randrange(reach + 1) // size * size
    if rng.random() < 0.4:
        place = len(data) - size - place
    value = struct.unpack_from("<" + form, data, place)[0] + rng.choice((-1, 1, -8, 8, 64))
    value = rng.choice(INTERESTING) if rng.random() < 0.6 else value
    struct.pack_into("<" + form, data, place, value & (1 << 8 * size) - 1)


def truncate(data: bytearray, rng: random.Random) -> None:
    """Cut the end off."""
    del data[rng.randrange(len(data)) :]


def repeat(data: bytearray, rng: random.Random) -> None:
    """A part once more, at the same or another place."""
    start = rng.randrange(len(data))
    part = data[start : start + rng.choice((8, 64, 512, 4096))]
    place = rng.randrange(len(data))
    data[place:place] = part * rng.choice((1, 1, 2, 50))


def remove(data: bytearray, rng: random.Random) -> None:
    """Take a part out."""
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 4, 16, 64, 512))]


def magic(data: bytearray, rng: random.Random) -> None:
    """The start of another format, in the middle."""
    text = rng.choice(MAGICS)
    place = rng.randrange(len(data))
    data[place : place + len(text)] = text


def digits(data: bytearray, rng: random.Random) -> None:
    """Decimal or octal text, as tar and ar headers hold numbers, replaced."""
    places = [at for at in range(min(len(data), 2048)) if 48 <= data[at] <= 57]
    if places:
        data[rng.choice(places)] = rng.choice(b"0179 -\0\x80\xff")


MUTATIONS = (flip, number, number, number, truncate, repeat, remove, magic, digits)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four mutations of ``data``."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if changed:
            rng.choice(MUTATIONS)(changed, rng)
    return bytes(changed)


def wrappers(seeds: dict[str, object]) -> tuple[Callable[[bytes], bytes], ...]:
    """Good containers to put bad content in; ``seeds`` is what seeds.py defines."""
    fatbin, host_elf = seeds["fatbin"], seeds["host_elf"]
    zipped, tarred, ar = seeds["zipped"], seeds["tarred"], seeds["ar"]
    return (
        lambda data: fatbin((2, data, "lz4")),
        lambda data: fatbin((2, data, "zstd")),
        lambda data: fatbin((2, data, "plain"), (1, data, "lz4")),
        lambda data: host_elf((".nv_fatbin", data), (".data", data)),
        lambda data: zipped({"k": data}),
        lambda data: zipped({"k": data, "l": data}, zipfile.ZIP_STORED),
        lambda data: tarred({"k": data}),
        lambda data: ar({"k": data}),
        lambda data: gzip.compress(data, 1, mtime=0),
    )


def case(index: int, seed: int, corpus: list[bytes], wrap: tuple[Callable[[bytes], bytes], ...]) -> bytes:
    """Input number ``index`` of run ``seed``: the same whenever it is asked for."""
    rng = random.Random(seed << 32 | index)
    data = rng.choice(corpus)
    style = rng.random()
    if style < 0.5:
        return mutated(data, rng)
    if style < 0.6:  # two inputs spliced
        other = rng.choice(corpus)
        return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]
    data = rng.choice(wrap)(mutated(data, rng))
    return data if style < 0.9 else mutated(rng.choice(wrap)(data), rng)
