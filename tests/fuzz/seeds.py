"""Small real inputs of every kind that is read: what the fuzzers mutate and the tests wrap.

A plain module, not a test: loaded with ``runpy.run_path`` by the tests, and run beside by the fuzzers.
"""

import gzip
import io
import struct
import tarfile
import zipfile
from functools import cache

import lz4.block
import lz4.frame
import numpy as np
import pyarrow.parquet as pq
import zstandard

from hashwarden.kernels.sass import mix
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.sass.parquet import to_arrow

SOURCE = r"""
extern "C" __global__ void rounds(const unsigned *in, unsigned *out, int n) {
    unsigned a = in[threadIdx.x];
    for (int i = 0; i < n; ++i) a = __funnelshift_l(a, a, 7) ^ in[a & 1023];
    out[threadIdx.x] = a;
}
"""


@cache
def compiled(kind: str = "cubin", arch: str = "sm_90", name: str = "rounds") -> bytes:
    """The kernel as ``cubin`` or ``ptx``, compiled without a GPU."""
    from cuda.bindings import nvrtc

    source = SOURCE.replace("rounds", name).encode()
    program = _checked(nvrtc.nvrtcCreateProgram(source, b"k.cu", 0, [], []))
    virtual = arch.replace("sm_", "compute_") if kind == "ptx" else arch
    _checked(nvrtc.nvrtcCompileProgram(program, 1, [f"-arch={virtual}".encode()]))
    size_of, get = (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX) if kind == "ptx" else (
        nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)  # fmt: skip
    code = b" " * _checked(size_of(program))
    _checked(get(program, code))  # fills it in place
    return code


def _checked(answer):
    status, *values = answer
    if status != 0:
        raise RuntimeError(f"NVRTC: {status}")
    return values[0] if values else None


def fatbin(*entries: tuple[int, bytes, str], arch: int = 90) -> bytes:
    """A fat binary of (kind, code, compression) entries; kind 1 is PTX, 2 a cubin."""
    body = b""
    for kind, code, compression in entries:
        flags, packed = 0, code
        if compression == "lz4":
            flags, packed = 0x2000, lz4.block.compress(code, store_size=False)
        elif compression == "zstd":
            flags, packed = 0x8000, zstandard.ZstdCompressor().compress(code)
        padded = packed + bytes(-len(packed) % 8)
        body += struct.pack(
            "<HHIQIIHHIIIQQQ", kind, 0x101, 64, len(padded), len(packed) if flags else 0, 0, 5, 8, arch, 0, 0, flags, 0,
            len(code) if flags else 0,
        )  # fmt: skip
        body += padded
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def host_elf(*sections: tuple[str, bytes]) -> bytes:
    """A shared object for x86-64 with the given sections and nothing else."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name, _ in sections) + b".shstrtab\0"
    body, headers, at = b"", [bytes(64)], 64
    for name, data in (*sections, (".shstrtab", names)):
        body += bytes(-len(body) % 8)
        kind = 3 if name == ".shstrtab" else 1
        place = names.index(b"\0" + name.encode() + b"\0") + 1
        headers.append(struct.pack("<IIQQQQIIQQ", place, kind, 2, 0, at + len(body), len(data), 0, 0, 8, 0))
        body += data
    body += bytes(-len(body) % 8)
    head = b"\x7fELF\2\1\1" + bytes(9)
    head += struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, at + len(body), 0, 64, 0, 0, 64, len(headers), len(headers) - 1
    )
    return head + body + b"".join(headers)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def ar(members: dict[str, bytes]) -> bytes:
    """A static library."""
    out = b"!<arch>\n"
    for name, data in members.items():
        out += (
            f"{name + '/':<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) & 1)
        )
    return out


@cache
def mixes() -> bytes:
    """A Parquet kernel mix table of two rows."""
    table = mix.analyse([read_cubin(compiled(), "a.cubin"), read_cubin(compiled(arch="sm_80"), "b.cubin")])
    out = io.BytesIO()
    pq.write_table(to_arrow(table), out)
    return out.getvalue()


@cache
def every() -> dict[str, bytes]:
    """One input of every kind, by name."""
    cubin, text = compiled(), compiled("ptx")
    both = fatbin((2, cubin, "lz4"), (1, text, "zstd"))
    library = host_elf((".text", bytes(64)), (".nv_fatbin", both), (".rodata", b"x" * 7 + cubin))
    docker = tarred({
        "manifest.json": b'[{"Layers": ["l1/layer.tar"]}]',
        "l1/layer.tar": gzip.compress(tarred({"usr/lib/libk.so": library}), 1, mtime=0),
    })  # fmt: skip
    return {
        "cubin": cubin,
        "cubin_sm120": compiled(arch="sm_120"),
        "ptx": text,
        "fatbin_plain": fatbin((2, cubin, "plain")),
        "fatbin_lz4": fatbin((2, cubin, "lz4"), (1, text, "lz4")),
        "fatbin_zstd": fatbin((2, cubin, "zstd")),
        "elf": library,
        "zip": zipped({"lib/k.so": library, "a.txt": b"hello"}),
        "zip_stored": zipped({"k.cubin": cubin}, zipfile.ZIP_STORED),
        "zip_lzma": zipped({"k.cubin": cubin}, zipfile.ZIP_LZMA),
        "tar": tarred({"k.so": library, "n" * 120 + ".cubin": cubin}),
        "tar_gnu": tarred({"n" * 120 + ".cubin": cubin}, tarfile.GNU_FORMAT),
        "tar_gz": gzip.compress(tarred({"k.cubin": cubin}), 1, mtime=0),
        "tar_zst": zstandard.ZstdCompressor().compress(tarred({"k.cubin": cubin})),
        "lz4": lz4.frame.compress(cubin),
        "ar": ar({"k.o": library, "b.o": host_elf((".nv_fatbin", fatbin((2, cubin, "plain"))))}),
        "docker": docker,
        "parquet": mixes(),
        "random": np.random.default_rng(1).bytes(4096),
    }
