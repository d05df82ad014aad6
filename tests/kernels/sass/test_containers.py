"""Containers: what is in them is found by content, whatever wraps it; nothing hostile ends the walk."""

import gzip
import io
import lzma
import os
import runpy
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashwarden import errors
from hashwarden.kernels.sass.containers import printable, walk
from hashwarden.kernels.sass.found import Code, Mixes, Problem, Ptx
from hashwarden.kernels.sass.limits import FLAGS, Limits
from hashwarden.kernels.sass.source import MemorySource

SEEDS = runpy.run_path(str(Path(__file__).parents[2] / "fuzz" / "seeds.py"))
EVERY = SEEDS["every"]()
CUBIN, PTX = EVERY["cubin"], EVERY["ptx"]
fatbin, host_elf, zipped, tarred, ar = (SEEDS[name] for name in ("fatbin", "host_elf", "zipped", "tarred", "ar"))


def found(data: bytes, limits: Limits | None = None, where: str = "t") -> list:
    return list(walk(MemorySource(data, where), limits or Limits()))


def codes(data: bytes, limits: Limits | None = None) -> dict[str, bytes]:
    return {item.where: bytes(item.data) for item in found(data, limits) if isinstance(item, Code)}


def only_problem(data: bytes, limits: Limits | None = None) -> errors.TargetError:
    items = found(data, limits)
    assert [type(item) for item in items] == [Problem], items
    return items[0].error


WRAPS = {
    "fatbin": (lambda d: fatbin((2, d, "plain")), "#fatbin1"),
    "fatbin lz4": (lambda d: fatbin((2, d, "lz4")), "#fatbin1"),
    "fatbin zstd": (lambda d: fatbin((2, d, "zstd")), "#fatbin1"),
    "elf": (lambda d: host_elf((".text", b"\x90" * 40), (".nv_fatbin", fatbin((2, d, "lz4")))), "#fatbin1"),
    "relocatable": (lambda d: host_elf(("__nv_relfatbin", fatbin((2, d, "lz4")))), "#fatbin1"),
    "renamed section": (lambda d: host_elf((".innocent", fatbin((2, d, "lz4")))), "#fatbin1"),
    "plain data": (lambda d: host_elf((".rodata", b"abc" + d)), "#cubin@0x43"),
    "ar": (lambda d: ar({"k.o": d}), "!k.o"),
    "zip": (lambda d: zipped({"a/k": d}), "!a/k"),
    "zip stored": (lambda d: zipped({"a/k": d}, zipfile.ZIP_STORED), "!a/k"),
    "zip bzip2": (lambda d: zipped({"a/k": d}, zipfile.ZIP_BZIP2), "!a/k"),
    "zip lzma": (lambda d: zipped({"a/k": d}, zipfile.ZIP_LZMA), "!a/k"),
    "zip behind a program": (lambda d: host_elf((".text", b"\x90" * 40)) + zipped({"a/k": d}), "!a/k"),
    "tar": (lambda d: tarred({"k": d}), "!k"),
    "tar long name": (lambda d: tarred({"n" * 300: d}), "!" + "n" * 300),
    "tar gnu long name": (lambda d: tarred({"n" * 300: d}, tarfile.GNU_FORMAT), "!" + "n" * 300),
    "gzip": (lambda d: gzip.compress(d, mtime=0), ""),
    "gzip twice over": (lambda d: gzip.compress(d[:100], mtime=0) + gzip.compress(d[100:], mtime=0), ""),
    "xz": (lzma.compress, ""),
    "zstd": (zstandard.ZstdCompressor().compress, ""),
    "zip in tar.gz": (lambda d: gzip.compress(tarred({"a.whl": zipped({"k": d})}), mtime=0), "!a.whl!k"),
}


@pytest.mark.parametrize("kind", WRAPS)
def test_a_cubin_is_found_in_every_container(kind):
    wrap, suffix = WRAPS[kind]
    ((where, data),) = codes(wrap(CUBIN)).items()
    assert where == f"t{suffix}"
    assert data[: len(CUBIN)] == CUBIN
    assert not data[len(CUBIN) :].strip(b"\0")  # a plain entry is padded to eight bytes


@pytest.mark.parametrize("kind", EVERY)
def test_every_seed_is_read_without_a_problem(kind):
    assert not [item for item in found(EVERY[kind]) if isinstance(item, Problem)]


def test_fat_binaries_and_loose_cubins_of_one_file_come_in_order():
    data = host_elf((".nv_fatbin", fatbin((2, CUBIN, "lz4"), (2, CUBIN, "zstd")) + fatbin((2, CUBIN, "plain"))),
                    (".data", CUBIN))  # fmt: skip
    names = [item.where for item in found(data)]
    assert [name.partition("@")[0] for name in names] == ["t#fatbin1", "t#fatbin1", "t#fatbin2", "t#cubin"]


def test_a_kernel_mix_table_keeps_its_rows_and_their_order():
    (item,) = found(EVERY["parquet"])
    assert isinstance(item, Mixes)
    assert item.table.scalars["arch"].tolist() == [90, 80]
    assert item.table.text["file"].tolist() == ["a.cubin", "b.cubin"]


def test_ptx_beside_its_machine_code_is_told_from_ptx_alone():
    other = SEEDS["compiled"]("ptx", name="hidden")
    beside = [item.beside_code for item in found(fatbin((2, CUBIN, "lz4"), (1, PTX, "lz4"))) if isinstance(item, Ptx)]
    alone = [item.beside_code for item in found(fatbin((1, PTX, "lz4"))) if isinstance(item, Ptx)]
    mixed = [item.beside_code for item in found(fatbin((2, CUBIN, "lz4"), (1, other, "zstd"))) if isinstance(item, Ptx)]
    assert (beside, alone, mixed) == ([True], [False], [False])


def test_ptx_as_a_file_and_inside_a_program():
    (as_file,) = found(PTX)
    (inside,) = found(host_elf((".rodata", b"\0\1" + PTX + b"\0more")))
    assert isinstance(as_file, Ptx)
    assert as_file.arch == 90
    assert isinstance(inside, Ptx)
    assert b".entry" in inside.data
    assert inside.data.startswith(b".version")


def test_docker_layers_are_named_and_oci_layers_too():
    assert all("!layer1of1:l1!usr/lib/libk.so" in where for where in codes(EVERY["docker"]))
    layer = zstandard.ZstdCompressor().compress(tarred({"usr/k.cubin": CUBIN}))
    image = tarred({
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": b'{"manifests": [{"digest": "sha256:aa"}]}',
        "blobs/sha256/aa": b'{"layers": [{"digest": "sha256:no"}, {"digest": "sha256:bb"}]}',
        "blobs/sha256/bb": layer,
    })  # fmt: skip
    assert list(codes(image)) == ["t!layer2of2:sha256:bb!usr/k.cubin"]


def test_links_in_a_tar_are_not_followed():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("out")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert found(out.getvalue()) == []


def test_a_forged_cubin_header_hides_nothing_behind_it():
    forged = bytearray(CUBIN[:64])
    struct.pack_into("<Q", forged, 40, 64 + len(CUBIN))  # its section headers lie behind the real cubin
    struct.pack_into("<HHH", forged, 58, 64, 0, 0)
    assert CUBIN in codes(b"pad!" + bytes(forged) + CUBIN).values()


# What is wrong with an object is said by its own error.


def truncated_zip() -> bytes:
    return EVERY["zip"][:-40]


def encrypted_zip() -> bytes:
    data = bytearray(zipped({"k": CUBIN}))
    at = data.index(b"PK\1\2")
    data[at + 8] |= 1
    return bytes(data)


def overlapping_zip() -> bytes:
    """Two hundred directory entries for the same member (as in a bomb by D. Fifield)."""
    data = zipped({"k": CUBIN})
    at, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    directory = data[at:end] * 200
    return data[:at] + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 200, 200, len(directory), at, 0)


def lying_zip() -> bytes:
    data = bytearray(zipped({"k": CUBIN}))
    at = data.index(b"PK\1\2")
    struct.pack_into("<I", data, at + 24, len(CUBIN) - 1)
    return bytes(data)


BAD = {
    "empty": (lambda: b"", errors.EmptyTargetError),
    "truncated zip": (truncated_zip, errors.TruncatedError),
    "truncated gzip": (lambda: EVERY["tar_gz"][:-200], errors.TruncatedError),
    "truncated zstd": (lambda: EVERY["tar_zst"][:-20], errors.TruncatedError),
    "truncated xz": (lambda: lzma.compress(CUBIN)[:-20], errors.TruncatedError),
    "truncated lz4": (lambda: EVERY["lz4"][:-20], errors.TruncatedError),
    "truncated tar": (lambda: tarred({"k": CUBIN})[:2000], errors.TruncatedError),
    "truncated ar": (lambda: EVERY["ar"][:200], errors.TruncatedError),
    "truncated program": (lambda: host_elf((".text", bytes(999)))[:500], errors.TruncatedError),
    "encrypted zip": (encrypted_zip, errors.EncryptedError),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(99), errors.UnsupportedError),
    "thin archive": (lambda: b"!<thin>\n" + bytes(99), errors.UnsupportedError),
    "damaged gzip": (lambda: EVERY["tar_gz"][:99] + b"\xff" * 99, errors.MalformedError),
    "zip that lies about a size": (lying_zip, errors.MalformedError),
    "zip directory of impossible size": (
        lambda: b"PK\3\4" + bytes(40) + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 9, 9, 999, 0, 0),
        errors.MalformedError,
    ),
    "parquet": (lambda: EVERY["parquet"][:3000] + b"\0" * 900 + EVERY["parquet"][3900:-8] + b"\xff\xff\xff\x7fPAR1",
                errors.MalformedError),
    "tar with a huge pax header": (
        lambda: tarred({"n" * ((1 << 20) + 9): b"x"}), errors.MalformedError,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_told_by_its_own_error(kind):
    make, expected = BAD[kind]
    error = only_problem(make())
    assert type(error) is expected
    assert error.where
    assert error.remedy


def test_overlapping_members_end_the_walk():
    items = found(overlapping_zip())
    assert isinstance(items[-1], Problem)
    assert isinstance(items[-1].error, errors.MalformedError)
    assert len(items) < 20


def nested(depth: int) -> bytes:
    data = CUBIN
    for _ in range(depth):
        data = zipped({"z": data})
    return data


BROKEN_LIMITS = {
    "nesting": (lambda: nested(4), Limits(nesting=3)),
    "expanded_bytes": (lambda: gzip.compress(bytes(1 << 20), mtime=0), Limits(expanded_bytes=1 << 19)),
    "expansion_ratio": (lambda: gzip.compress(bytes(80 << 20), 9, mtime=0), Limits(expansion_ratio=10)),
    "object_bytes": (lambda: CUBIN, Limits(object_bytes=100)),
    "objects": (lambda: zipped({str(i): b"x" for i in range(30)}), Limits(objects=10)),
    "seconds": (lambda: EVERY["zip"], Limits(seconds=-1.0)),
}


@pytest.mark.parametrize("name", BROKEN_LIMITS)
def test_every_limit_is_kept_and_named_with_its_flag(name):
    make, limits = BROKEN_LIMITS[name]
    error = found(make(), limits)[-1].error
    assert type(error) is errors.LimitError
    assert name in error.expected
    assert FLAGS[name] in error.remedy


def test_a_limit_of_the_whole_target_is_told_once():
    data = zipped({str(i): bytes(1000) for i in range(50)})
    items = found(data, Limits(expanded_bytes=5000))
    assert [type(item) for item in items] == [Problem]


def test_large_members_go_to_a_temporary_file_that_nobody_sees(tmp_path, monkeypatch):
    from hashwarden.kernels.sass import spool
    from hashwarden.kernels.sass.spool import FilePart, LocalSpool

    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 1000)
    opened = []

    class Watched:
        def __init__(self):
            self.inner = LocalSpool(str(tmp_path))

        def open(self):
            opened.append(self.inner.open())
            assert not list(tmp_path.iterdir())
            return opened[-1]

        def close(self, descriptor, number):
            self.inner.close(descriptor, number)

    items = list(walk(MemorySource(zipped({"k": CUBIN}), "t"), Limits(), Watched()))
    assert [bytes(item.data) for item in items] == [CUBIN]
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(opened[0][0])
    assert isinstance(FilePart(0, 0, 0, 10, "t").part(2, 3, "u"), FilePart)


def test_names_cannot_move_the_cursor():
    assert printable("a\x1b[2J\u202eb\n") == "a\ufffd[2J\ufffdb\ufffd"
    (where,) = codes(zipped({"a\x1b[2Jb": CUBIN}))
    assert "\x1b" not in where


names = st.text(st.characters(codec="utf-8", exclude_characters="\0/\\"), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(members=st.dictionaries(names, st.binary(max_size=300) | st.just(CUBIN), max_size=6), form=st.sampled_from([
    zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))  # fmt: skip
def test_a_zip_yields_what_was_put_in(members, form):
    from hashwarden.kernels.sass.limits import Budget
    from hashwarden.kernels.sass.streams import Packed, decompress
    from hashwarden.kernels.sass.zipped import find_directory, zip_members

    source = MemorySource(zipped(members, form), "t")
    got = {}
    for member in zip_members(source, find_directory(source), Budget(Limits())):
        part = source.window(member.offset, member.packed)
        got[member.name] = b"".join(decompress(member.method, Packed(part), "t"))
    assert got == {name: data for name, data in members.items() if data}


@settings(max_examples=60, deadline=None)
@given(members=st.dictionaries(names, st.binary(min_size=1, max_size=2000), max_size=6),
       form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))  # fmt: skip
def test_a_tar_yields_what_was_put_in(members, form):
    from hashwarden.kernels.sass.limits import Budget
    from hashwarden.kernels.sass.tarred import tar_members

    source = MemorySource(tarred(members, form), "t")
    got = {m.name: bytes(source.read(m.offset, m.size)) for m in tar_members(source, Budget(Limits()))}
    assert got == members


@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=70_000), kind=st.sampled_from(["gzip", "bzip2", "xz", "zstd", "lz4", "deflate"]))
def test_a_stream_yields_what_was_packed_and_a_cut_one_is_told(data, kind):
    import bz2

    import lz4.frame

    from hashwarden.kernels.sass.streams import Packed, decompress

    raw = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = {
        "gzip": lambda: gzip.compress(data), "bzip2": lambda: bz2.compress(data), "xz": lambda: lzma.compress(data),
        "zstd": lambda: zstandard.ZstdCompressor().compress(data), "lz4": lambda: lz4.frame.compress(data),
        "deflate": lambda: raw.compress(data) + raw.flush(),
    }[kind]()  # fmt: skip
    assert b"".join(decompress(kind, Packed(MemorySource(packed, "t")), "t")) == data
    with pytest.raises((errors.TruncatedError, errors.MalformedError)):
        list(decompress(kind, Packed(MemorySource(packed[: len(packed) // 2], "t")), "t"))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=600), start=st.sampled_from(sorted(EVERY)))
def test_any_bytes_behind_any_start_give_objects_or_problems(data, start):
    head = EVERY[start][: len(data)]
    for item in found(head + data):
        assert isinstance(item, (Code, Ptx, Mixes, Problem))
