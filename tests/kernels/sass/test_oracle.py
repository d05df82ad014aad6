"""NVIDIA's disassembler as the oracle: mnemonic for mnemonic, branch target for branch target.

Run on code of permissively licensed packages only. Its raw mode (``-b``) reads bare instructions, which
spares it the control-flow analysis that makes it slow on whole cubins.
"""

import random
import re
import subprocess
import sysconfig
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hashwarden.kernels.sass import isa
from hashwarden.kernels.sass.flow import branch_targets
from hashwarden.kernels.sass.opcodes import OTHER_NAMES

PACKAGES = ("xformers", "cukks_cu128", "jax_cuda13_plugin", "torchvision", "ctranslate2")
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 110, 120)
"""Volta (70, 72) is gone from the disassembler; its encoding is that of sm_75."""

INSTRUCTIONS = 500_000
PER_PACKAGE = 400_000
"""Bytes of each package and architecture."""

LINE = re.compile(
    r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)(\.\S+)?\s*(.*?)\s*;?\s+/\* 0x([0-9a-f]{16}) \*/$"
)
CONTROL = ("BRA", "BRX", "BRXU", "JMP", "JMX", "JMXU", "BREAK", "BSSY", "BSYNC", "CALL", "RET", "WARPSYNC", "YIELD")
EXPLAINED = {op: names for op, (names, _) in OTHER_NAMES.items()}


def nvdisasm():
    """The binary inside the nvidia-cuda-nvdisasm wheel."""
    found = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/**/bin/nvdisasm"))
    assert found, "this test needs the package nvidia-cuda-nvdisasm (extra dev)"
    return found[0]


def sample(package_cubins, arch):
    """Whole kernels, drawn by chance, of each package that has this architecture."""
    picked, packages = [], set()
    for package in PACKAGES:
        kernels = [bytes(c.code(k)) for c in package_cubins(package) if c.arch == arch for k in range(len(c))]
        random.Random(arch).shuffle(kernels)
        size = 0
        for code in kernels:
            if size + len(code) <= PER_PACKAGE:
                size += len(code)
                picked.append(code)
                packages.add(package)
    return b"".join(picked), packages


def disassemble(code, arch, folder):
    """(words, mnemonic, modifiers, operands) of each instruction."""
    path = folder / f"{arch}.bin"
    path.write_bytes(code)
    command = [str(nvdisasm()), "-b", f"SM{arch}", "-hex", str(path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [found.groups() for found in map(LINE.match, text.splitlines()) if found]


@pytest.fixture(scope="module")
def oracle(package_cubins, tmp_path_factory):
    """Per architecture: our words and what the disassembler says of them."""
    folder, found = tmp_path_factory.mktemp("oracle"), {}
    for arch in ARCHITECTURES:
        code, packages = sample(package_cubins, arch)
        words = np.frombuffer(code, np.uint32).reshape(-1, 4)
        found[arch] = words, disassemble(code, arch, folder), packages
    return found


def test_the_sample_is_large_and_mixed(oracle):
    assert sum(len(words) for words, _, _ in oracle.values()) >= INSTRUCTIONS
    assert set().union(*(packages for _, _, packages in oracle.values())) == set(PACKAGES)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_same_instructions(oracle, arch):
    words, lines, _ = oracle[arch]
    assert len(lines) == len(words)
    low = (words[:, 1].astype(np.uint64) << np.uint64(32) | words[:, 0]).tolist()
    assert [int(line[4], 16) for line in lines] == low
    assert [int(line[0], 16) for line in lines] == list(range(0, 16 * len(words), 16))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_mnemonic_for_mnemonic(oracle, arch):
    words, lines, _ = oracle[arch]
    wrong = Counter()
    for op12, line in zip((words[:, 0] & 0xFFF).tolist(), lines, strict=True):
        ours, theirs = isa.mnemonic(op12), line[1]
        if theirs != ours and theirs not in EXPLAINED.get(op12 & 511, ()):
            wrong[hex(op12), ours, theirs] += 1
    assert wrong == {}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_branch_target_for_branch_target(oracle, arch):
    words, lines, _ = oracle[arch]
    ours, branches, wrong = branch_targets(words, arch).tolist(), Counter(), []
    for index, line in enumerate(lines):
        if (op12 := int(words[index, 0]) & 0xFFF) in isa.BRANCHES:
            branches[op12] += 1
            if ours[index] * 16 != int(re.findall(r"0x([0-9a-f]+)", line[3])[-1], 16):
                wrong.append((index, line))
    assert wrong == []
    assert branches[isa.BRA] > 100
    assert branches[isa.BRA_U] > 100 if arch >= 100 else branches[isa.BRA_U] == 0


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_whatever_else_goes_back_ends_no_loop(oracle, arch):
    """Of all instructions with an address before their own, only these two are loops; the others return and call."""
    words, lines, _ = oracle[arch]
    back, others = 0, set()
    for index, (line, op12) in enumerate(zip(lines, (words[:, 0] & 0xFFF).tolist(), strict=True)):
        place = re.search(r"\b0x([0-9a-f]+)$", line[3])
        if line[1] in CONTROL and place and int(place[1], 16) < 16 * index:
            back += op12 in isa.BRANCHES
            others |= {line[1]} if op12 not in isa.BRANCHES else set()
    targets = branch_targets(words, arch)
    assert back == ((targets >= 0) & (targets < np.arange(len(words)))).sum() > 50
    assert others <= {"RET", "CALL", "BRX"}  # the last to an address in a register, as of a switch


def test_what_the_table_calls_explained(oracle):
    """Each further name that occurs is of the architectures that its explanation names."""
    seen = {}
    for arch, (words, lines, _) in oracle.items():
        for op12, line in zip((words[:, 0] & 0xFFF).tolist(), lines, strict=True):
            if line[1] != isa.mnemonic(op12):
                seen.setdefault((op12 & 511, line[1]), set()).add(arch)
    assert seen.get((0x18E, "REDG"), {90}) <= {90, 100, 110, 120}
    assert seen.get((0x035, "IADD"), {120}) <= {120}
    assert all(name in EXPLAINED[op] for op, name in seen)
