import numpy as np
import pytest

from hashwarden.kernels.sass.flow import address_taint, branch_targets, def_use, loop_depth, strip_tail

RZ = 255
NOP = (0x918, 0, 0, 0)


def ins(op12, *, rd=RZ, ra=RZ, rb=0, rc=RZ, width=0):
    return (op12 | rd << 16 | ra << 24, rb, rc | width << 9, 0)


def bra(distance, arch, op12=0x947):
    """A branch by ``distance`` instructions from the next one; 0x547 is BRA.U."""
    offset = 16 * distance
    if arch >= 90:
        quarter = (offset // 4) & ((1 << 56) - 1)
        bits = (quarter & 255) << 16 | (quarter >> 8) << 34
    else:
        bits = (offset & ((1 << 50) - 1)) << 32
    bits |= op12
    return tuple(bits >> shift & 0xFFFFFFFF for shift in (0, 32, 64, 96))


def code(*instructions):
    return np.array(instructions, np.uint32).reshape(-1, 4)


@pytest.mark.parametrize("arch", [70, 89, 90, 120])
def test_branches_count_from_the_next_instruction(arch):
    words = code(bra(1, arch), NOP, bra(-3, arch), bra(-1, arch), NOP)
    assert branch_targets(words, arch).tolist() == [2, -2, 0, 3, -5]


@pytest.mark.parametrize("op12", [0x947, 0x547])
@pytest.mark.parametrize("arch", [75, 90])
@pytest.mark.parametrize("distance", [-(1 << 20), -1, 0, 1, 12345, 1 << 24])
def test_far_branches(arch, distance, op12):
    assert branch_targets(code(bra(distance, arch, op12)), arch).tolist() == [1 + distance]


def test_a_uniform_branch_back_closes_a_loop():
    words = code(NOP, NOP, bra(-2, 100, 0x547), bra(-4, 100), bra(2, 100, 0x547), NOP)
    depth, loops = loop_depth(words, 100)
    assert (depth.tolist(), loops) == ([1, 2, 2, 1, 0, 0], 2)


@pytest.mark.parametrize("arch", [80, 100])
def test_tail_of_nops_and_self_branches_goes(arch):
    assert strip_tail(code(ins(0x94D), bra(-1, arch), NOP, bra(-1, arch), NOP), arch) == 1
    assert strip_tail(code(NOP, ins(0x94D), bra(-2, arch)), arch) == 3
    assert strip_tail(code(NOP, NOP), arch) == 0
    assert strip_tail(code(), arch) == 0


def test_loops_nest_and_one_target_is_one_loop():
    """Two branches to 1 make one loop up to the later one; a loop inside it adds a level."""
    words = code(NOP, NOP, NOP, bra(-2, 90), bra(-4, 90), bra(-5, 90), NOP)
    depth, loops = loop_depth(words, 90)
    assert depth.tolist() == [0, 1, 2, 2, 1, 1, 0]
    assert loops == 2


def test_branches_out_of_the_code_and_to_itself_make_no_loop():
    depth, loops = loop_depth(code(bra(-100, 80), bra(-1, 80), bra(100, 80)), 80)
    assert (depth.tolist(), loops) == ([0, 0, 0], 0)


def test_address_taint_grows_from_clean_to_loaded_to_hashed():
    words = code(
        ins(0x381, rd=4, ra=2),  # LDG R4, [R2]: clean address
        ins(0x381, rd=6, ra=4),  # address is loaded data
        ins(0x212, rd=8, ra=6, rb=RZ),  # LOP3 of loaded data
        ins(0x381, rd=10, ra=8),
        ins(0x984, rd=12, ra=RZ),
    )
    assert address_taint(words).tolist() == [0, 1, 0, 2, 0]


def test_taint_of_the_second_reading_comes_round_the_loop():
    words = code(ins(0x381, rd=20, ra=2), ins(0x212, rd=2, ra=20, rb=RZ))
    assert address_taint(words).tolist() == [2, 0]


def test_address_pairs_and_wide_loads():
    words = code(ins(0x981, rd=4, ra=RZ, width=6), ins(0x981, rd=30, ra=6), ins(0x986, ra=7), ins(0x986, ra=8))
    assert address_taint(words).tolist() == [0, 1, 1, 0]


def test_stores_and_local_loads_leave_taint_alone():
    words = code(ins(0x981, rd=4), ins(0x986, rd=4, ra=RZ), ins(0x983, rd=4, ra=RZ), ins(0x981, rd=9, ra=4))
    assert address_taint(words).tolist() == [0, 0, 0, 1]


def test_second_register_counts_in_form_1_only():
    loaded, other = ins(0x981, rd=4), ins(0x981, rd=40, ra=6)
    assert address_taint(code(loaded, ins(0x210, rd=6, rb=4), other)).tolist() == [0, 0, 1]
    assert address_taint(code(loaded, ins(0x810, rd=6, rb=4), other)).tolist() == [0, 0, 0]


def test_def_use_pairs_and_chain():
    words = code(ins(0x381, rd=4, ra=2), ins(0x210, rd=5, ra=4, rb=4), ins(0x212, rd=6, ra=5, rb=RZ, rc=4))
    sources, longest = def_use(words)
    assert sources.tolist() == [[-1, -1, -1], [0x181, 0x181, -1], [0x010, -1, 0x181]]
    assert longest == 3


def test_def_use_round_the_loop():
    sources, longest = def_use(code(ins(0x210, rd=4, ra=4, rb=RZ)))
    assert sources.tolist() == [[0x010, -1, -1]]
    assert longest == 2


def test_wide_results_and_stores():
    words = code(ins(0x225, rd=4), ins(0x986, rd=4, ra=5), ins(0x210, rd=9, ra=4, rb=5))
    assert def_use(words)[0].tolist()[1:] == [[0x025, -1, -1], [0x025, 0x025, -1]]


def test_the_highest_registers_do_not_run_over():
    words = code(ins(0x981, rd=253, width=6), ins(0x210, rd=1, ra=254, rb=RZ, rc=RZ))
    assert def_use(words)[0].tolist()[1] == [0x181, -1, -1]
    assert address_taint(code(ins(0x981, rd=254, width=6), ins(0x981, rd=9, ra=254))).tolist() == [0, 1]
