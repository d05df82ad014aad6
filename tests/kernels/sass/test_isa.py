import pytest

from hashwarden.kernels.sass import isa
from hashwarden.kernels.sass.opcodes import MNEMONICS, OTHER_NAMES
from hashwarden.kernels.sass.table import MEM_KINDS


@pytest.mark.parametrize(
    ("op12", "name"),
    [(0x947, "BRA"), (0x918, "NOP"), (0x212, "LOP3"), (0x819, "SHF"), (0x981, "LDG"), (0x98E, "RED"), (0x23C, "HMMA")],
)
def test_mnemonics(op12, name):
    assert isa.mnemonic(op12) == name


@pytest.mark.parametrize("op12", [0x000, 0x018, 0x012, 0xFFF, 0x147])
def test_codes_that_do_not_exist(op12):
    assert isa.mnemonic(op12) is None
    assert not isa.known_op12()[op12]


def test_every_memory_opcode_has_the_name_of_its_kind():
    names = {"atom": ("ATOM", "RED"), "tex": ("TEX", "TLD")}
    for op, kind in isa.MEMORY.items():
        wanted = names.get(MEM_KINDS[kind], (MEM_KINDS[kind].upper(),))
        assert MNEMONICS[op][1].startswith(wanted), hex(op)


def test_other_names_are_names_of_known_opcodes():
    assert set(OTHER_NAMES) <= set(MNEMONICS)
    assert all(names and why for names, why in OTHER_NAMES.values())
    assert not any(MNEMONICS[op][1] in names for op, (names, _) in OTHER_NAMES.items())


def test_supported_architectures():
    assert isa.is_supported(70)
    assert isa.is_supported(121)
    assert not isa.is_supported(61)
    assert not isa.is_supported(130)
