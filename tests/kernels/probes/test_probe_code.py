"""The machine code of the probes, read by our own decoder: what is timed is what is claimed."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sysconfig
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hashwarden.errors import CheckError
from hashwarden.kernels.probes.code_check import check, clock_reads
from hashwarden.kernels.probes.cupy_device import SOURCES, kernels_of, source_text
from hashwarden.kernels.probes.probe import ARCHITECTURES, LINKS, PROBES
from hashwarden.kernels.sass import isa

BOOKKEEPING = {"BRA", "IADD", "IADD3", "VIADD", "ISETP", "MOV", "IMAD", "LDC", "HFMA2", "LEA", "never run"}
"""What may stand beside the chain: loop counter, moves, addresses, padding of tensor code."""

WORDS = 4


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_the_timed_loop_is_one_chain_of_the_claimed_instruction(cubins, probe, arch):
    report = check(cubins["chains", arch], probe)
    assert report.chained == LINKS
    assert report.instruction == probe.instruction
    # One instruction of address arithmetic a link at most, for pointers only.
    assert report.helpers in ((0, LINKS) if probe.chase else (0,))
    assert {name for name, _ in report.others} <= BOOKKEEPING
    real = sum(count for name, count in report.others if name != "never run") - report.helpers
    assert real <= 6


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_source_compiles_and_holds_its_kernels(cubins, arch):
    for name in SOURCES:
        assert sorted(cubins[name, arch].names) == sorted(kernels_of(name))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_gap_watch_reads_the_timer_in_its_loop(cubins, arch):
    cubin = cubins["gaps", arch]
    words = np.frombuffer(cubin.code(0), np.uint32).reshape(-1, WORDS)
    assert len(clock_reads(words)) == 2
    special = words[:, 2] >> 8 & 255
    names = [isa.mnemonic(int(word) & 0xFFF) for word in words[:, 0]]
    timers = [at for at, name in enumerate(names) if name in {"CS2R", "S2R", "S2UR", "CS2UR"} and special[at] == 0x52]
    assert len(timers) >= 2, "one reading before the loop, one in it"


@pytest.mark.parametrize(("arch", "in_tensor_pipe"), [("sm_80", 8), ("sm_90", 8), ("sm_100", 0), ("sm_120", 0)])
def test_half_arithmetic_alternates_between_two_pipes_before_blackwell(cubins, arch, in_tensor_pipe):
    cubin = cubins["chains", arch]
    words = np.frombuffer(cubin.code(cubin.names.index("probe_hfma2")), np.uint32).reshape(-1, WORDS)
    first, last = clock_reads(words)
    named = words[first:last, 0]
    # With a register for each operand, so that neither a zero by HFMA2 nor the IADD of sm_120 counts.
    assert int(np.sum(named & 0xFFF == 0x235)) == in_tensor_pipe
    assert int(np.sum(named & 0xFFF == 0x231)) == LINKS - in_tensor_pipe


FULL = {
    "lop3": "LOP3.LUT",
    "shf": "SHF.L.W.U32.HI",
    "imad": "IMAD",
    "ffma": "FFMA",
    "dfma": "DFMA",
    "dp4a": "IDP.4A.S8.S8",
    "mufu": "MUFU.RSQ",
    "hmma": "HMMA.16816.F32",
    "imma": "IMMA.16832.S8.S8",
    "shared": "LDS",
    "l2": "LDG.E.STRONG.GPU",
    "dram": "LDG.E.STRONG.GPU",
    "atomic": "ATOMG.E.ADD.STRONG.GPU",
}
"""What NVIDIA's disassembler calls the instructions, modifiers included; HFMA2 has a test of its own."""


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_nvidias_disassembler_sees_the_same_between_the_clock_readings(cubins, arch, tmp_path):
    tools = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/**/bin/nvdisasm"))
    assert tools, "this test needs the package nvidia-cuda-nvdisasm (extra dev)"
    (tmp_path / "chains.cubin").write_bytes(cubins["chains", arch].data)
    command = [str(tools[0]), "-c", str(tmp_path / "chains.cubin")]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name, full in FULL.items():
        timed = re.search(rf"\.text\.probe_{name}:.*?SR_CLOCKLO(.*?)SR_CLOCKLO", listing, re.DOTALL)
        assert timed is not None
        seen = Counter(re.findall(r"\*/ +(?:@!?U?P\w+ +)?([A-Z0-9][A-Z0-9.]*)", timed[1]))
        assert seen[full] == LINKS, (name, seen)


def without(source: str, old: str, new: str) -> str:
    assert old in source
    return source.replace(old, new)


@pytest.mark.parametrize(
    ("probe", "old", "new", "words"),
    [
        # Plain C++ that folds: all steps become one.
        ("lop3", "link & 1 ? lop3(x, c, d) : lop3(x, a, b);", "x &= a;", "loops|LOP3"),
        # A step that does not need the one before it.
        ("imad", "imad(x, a, b);", "u32 y = a; imad(y, a, b); x ^= y;", "IMAD"),
        # Another instruction than the claimed one.
        ("ffma", "ffma(x, a, b);", "x = __fadd_rn(x, a);", "0 FFMA"),
        # Twice as many.
        ("mufu", "rsqrt_(x);", "rsqrt_(x); rsqrt_(x);", "32 MUFU"),
        # Not the tensor core at all.
        ("hmma", "hmma(c, a, b);", "c[0] += 1.0f;", "0 HMMA"),
    ],
)
def test_what_is_folded_cut_or_replaced_is_refused(compiled, probe, old, new, words):
    cubin = compiled(without(source_text("chains"), old, new), "sm_90")
    with pytest.raises(CheckError, match=words):
        check(cubin, next(p for p in PROBES if p.name == probe))


def test_a_clock_that_is_read_too_early_is_refused(compiled):
    text = without(source_text("chains"), "settle(slot, chain.word());\n        const u64 cycles", "const u64 cycles")
    cubin = compiled(text, "sm_90")
    with pytest.raises(CheckError, match="no store of the last result"):
        check(cubin, PROBES[0])


def test_other_lengths_are_refused(compiled):
    cubin = compiled(source_text("chains"), "sm_90", ("-DLINKS=8",))
    with pytest.raises(CheckError, match="8 LOP3"):
        check(cubin, PROBES[0])


def tampered(cubin, kernel: str, change) -> object:
    data = bytearray(cubin.data)
    number = cubin.names.index(kernel)
    start, size = int(cubin.offsets[number]), int(cubin.sizes[number])
    words = np.frombuffer(data, np.uint32, size // 4, start).reshape(-1, WORDS)
    change(words)
    return dataclasses.replace(cubin, data=memoryview(bytes(data)))


def test_one_changed_register_breaks_the_chain(cubins):
    def cut(words):
        chain = [at for at, word in enumerate(words) if int(word[0]) & 511 == 0x023]
        words[chain[7], 0] |= 0x00FF0000  # its result goes to RZ, which is nobody's operand

    with pytest.raises(CheckError, match="16 FFMA in the timed loop, 15 of them in one chain"):
        check(tampered(cubins["chains", "sm_90"], "probe_ffma", cut), next(p for p in PROBES if p.name == "ffma"))


def test_a_missing_clock_reading_is_refused(cubins):
    def blind(words):
        words[clock_reads(words)[1], 2] = 0xFF00

    with pytest.raises(CheckError, match="1 readings of the clock"):
        check(tampered(cubins["chains", "sm_90"], "probe_lop3", blind), PROBES[0])


def test_a_missing_kernel_is_refused(cubins):
    with pytest.raises(CheckError, match="no such kernel"):
        check(cubins["gaps", "sm_90"], PROBES[0])
