import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.errors import MalformedError, TargetError, TruncatedError
from hashwarden.kernels.sass import mix
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.sass.elf import read_elf
from hashwarden.kernels.sass.source import MemorySource


def section_header(data, name):
    """Where the header of a section starts."""
    elf = read_elf(MemorySource(data, "x"))
    index = next(section.index for section in elf.sections if section.name == name)
    return struct.unpack_from("<Q", data, 40)[0] + 64 * index


def patched(data, at, form, *values):
    data = bytearray(data)
    struct.pack_into(form, data, at, *values)
    return bytes(data)


def test_columns_of_a_compiled_kernel(cubin_sm90):
    cubin = read_cubin(cubin_sm90, "k.cubin")
    assert (cubin.arch, cubin.names, cubin.where) == (90, ["k"], "k.cubin")
    assert cubin.shared.tolist() == [1024 + 128]  # sm_90 keeps a kilobyte for itself
    assert 8 <= cubin.regs[0] <= 64
    assert cubin.sizes[0] % 128 == 0
    assert len(cubin.code(0)) == cubin.sizes[0]
    assert len(cubin.sha1[0]) == 16
    assert cubin.other_code == 0


def test_the_newer_elf_version_keeps_the_architecture_elsewhere(cubin_sm120, cubin_sm90):
    assert read_cubin(cubin_sm120, "x").arch == 120
    older = patched(patched(cubin_sm90, 7, "B", 0x33), 48, "<I", 0x005A055A)
    assert read_cubin(older, "x").arch == 90


def test_constants_of_the_module():
    from cuda.core import Program, ProgramOptions

    source = """__constant__ unsigned table[2] = {0x428a2f98u, 0x71374491u};
    extern "C" __global__ void k(unsigned *out) { out[threadIdx.x] = table[threadIdx.x & 1]; }"""
    data = bytes(Program(source, "c++", ProgramOptions(arch="sm_80")).compile("cubin").code)
    cubin = read_cubin(data, "x")
    assert set(cubin.constants.tolist()) >= {0x428A2F98, 0x71374491}


def test_host_code_is_no_cubin(cubin_sm90):
    with pytest.raises(MalformedError, match="machine 62"):
        read_cubin(patched(cubin_sm90, 18, "<H", 62), "x")


def test_truncated(cubin_sm90):
    with pytest.raises(TruncatedError):
        read_cubin(cubin_sm90[: len(cubin_sm90) // 2], "x")


def test_code_outside_the_file(cubin_sm90):
    at = section_header(cubin_sm90, ".text.k")
    with pytest.raises(TruncatedError):
        read_cubin(patched(cubin_sm90, at + 24, "<Q", 1 << 40), "x")


def test_sections_that_share_bytes_are_refused(cubin_sm90):
    """With 1,000 constant sections over the same bytes a small file would ask for endless work."""
    names = b"\0.nv.constant3\0"
    body, count = b"\x98\x2f\x8a\x42" * 4096, 1000
    data = cubin_sm90[:40] + struct.pack("<Q", 64 + len(names) + len(body)) + cubin_sm90[48:58]
    data += struct.pack("<HHH", 64, count + 1, count) + names + body
    shared = struct.pack("<IIQQQQIIQQ", 1, 1, 0, 0, 64 + len(names), len(body), 0, 0, 1, 0)
    data += shared * count + struct.pack("<IIQQQQIIQQ", 1, 3, 0, 0, 64, len(names), 0, 0, 1, 0)
    with pytest.raises(MalformedError, match="share no bytes"):
        read_cubin(data, "x")


def test_a_shared_size_that_cannot_be(cubin_sm90):
    at = section_header(cubin_sm90, ".nv.shared.k")
    assert read_cubin(patched(cubin_sm90, at + 32, "<Q", (1 << 64) - 1), "x").shared.tolist() == [1 << 31]


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_damage_ends_in_a_table_or_a_target_error(cubin_sm90, data):
    image = bytearray(cubin_sm90)
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    try:
        cubin = read_cubin(bytes(image[: data.draw(st.integers(len(image) // 2, len(image)))]), "x")
    except TargetError:
        return
    assert (cubin.offsets + cubin.sizes <= len(image)).all()
    assert np.all(mix.analyse([cubin]).scalars["n_instr"] >= 8)
