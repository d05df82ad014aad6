"""How often a loop runs, where its machine code shows that: a counter, a constant step, a comparison with a constant.

Imported by executed.py; writes nothing. Volta to Blackwell. What is read: the compare operation at bits 76-78 of ISETP
and UISETP, its sign at 73, the predicate that it sets at 81-83, the guard of any instruction at 12-15, the uniform
predicate of BRA.U at 24-26 and its negation at 27. A loop whose counter starts at an unknown value counts as starting
at zero if it rises to a bound, as in a loop over thread indices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hashwarden.kernels.sass import isa
from hashwarden.kernels.sass.flow import branch_targets

__all__ = ["loops_of", "trip_counts"]

Place = tuple[str, int]
"""A register: its file ("R" or "U") and number."""
Value = tuple[Place | None, int] | None
"""What a register held when the loop body began (None for zero), plus a constant; or nothing known."""
MOST_TRIPS = 1 << 16
ALWAYS = 7
SETS_TWO = frozenset(["ISETP", "FSETP", "DSETP", "HSETP2", "PLOP3", "IADD3", "VIMNMX", "UISETP", "UPLOP3", "UIADD3"])
SETS_ONE = frozenset(
    ["LOP3", "LEA", "IMAD", "VOTE", "SHFL", "ULOP3", "ULEA", "UIMAD", "FCHK", "ATOMG", "LDG", "FLO", "VOTEU"]
)
QUAD = frozenset(["HMMA", "IMMA", "BMMA", "LDSM", "MOVM"])
PAIR = frozenset(["DADD", "DMUL", "DFMA", "CS2R", "I2F", "F2I", "F2F", "MATCH", "DMMA"])
LOADS = frozenset(["LDG", "LD", "LDS", "LDL", "LDC", "ULDC", "LDCU", "ATOM", "ATOMG", "ATOMS"])
WIDTHS = {5: 2, 6: 4}
NOTHING = frozenset(
    "ISETP FSETP DSETP HSETP2 PLOP3 BRA EXIT BSSY BSYNC STG ST STS STL RED NOP BAR UISETP".split()  # noqa: SIM905
)
"""What writes no register."""
COPIES_UNIFORM, FIELDS = 0x3F0F008, 0x3FFFFFF & ~(7 << 17 | 7 << 4)
"""PLOP3 that copies a uniform predicate (bits 68-70) to a predicate: what bits 64-89 are beside these two fields."""
URZ = (63, 255)
"""Of the uniform file: up to sm_90, and from sm_100 on."""


def loops_of(words: np.ndarray, arch: int) -> dict[tuple[int, int], int]:
    """Each loop [first, last], as flow.loop_depth counts them, and how many branches go back to its first."""
    targets = branch_targets(words, arch)
    last: dict[int, int] = {}
    backs: dict[int, int] = {}
    for source in np.flatnonzero((targets >= 0) & (targets < np.arange(len(words)))).tolist():
        first = int(targets[source])
        last[first], backs[first] = source, backs.get(first, 0) + 1
    return {(first, end): backs[first] for first, end in last.items()}


def trip_counts(words: np.ndarray, arch: int, guess_start: bool = True) -> dict[tuple[int, int], int | None]:
    """How often the body of each loop runs, each time that the loop is come to; None where the code does not show it.

    Parameters
    ----------
    words : uint32 array, shape (instructions, 4)
    arch : int
        Compute capability times 10.
    guess_start : bool
        Take an unknown start of a counter that rises to a bound for zero.
    """
    code = [_decoded(row, arch) for row in words.tolist()]
    targets, loops = branch_targets(words, arch), loops_of(words, arch)
    return {
        loop: _trips(code, targets, loops, loop, guess_start) if backs == 1 else None for loop, backs in loops.items()
    }


def _decoded(row: list[int], arch: int) -> dict[str, Any]:
    """The fields of one instruction that matter here."""
    first, second, third, _ = row
    op12 = first & 0xFFF
    name = "IADD" if op12 & 511 == 0x035 and arch >= 120 else isa.mnemonic(op12) or ""  # HFMA2 up to sm_90
    return {
        "op": op12 & 511, "op12": op12, "form": op12 >> 9 & 7, "name": name,
        "guard": first >> 12 & 7, "negated": first >> 15 & 1,
        "rd": first >> 16 & 255, "ra": first >> 24, "rb": second & 255, "rc": third & 255,
        "immediate": second, "sets": _predicates(name, third), "compare": third >> 12 & 7,
        "signed": third >> 9 & 1, "extended": third >> 8 & 1, "joined": third >> 10 & 3, "with": third >> 23 & 15,
        "width": third >> 9 & 7, "third": third, "file": "U" if _uniform(name) else "R",
    }  # fmt: skip


def _predicates(name: str, third: int) -> set[int]:
    """Predicates that an instruction sets; all of them where registers are unpacked to predicates."""
    if name == "R2P":
        return set(range(ALWAYS))
    two = (third >> 17 & 7, third >> 20 & 7)
    return set(two[: 2 if name in SETS_TWO else 1 if name in SETS_ONE else 0]) - {ALWAYS}


def _uniform(name: str) -> bool:
    return name in ("R2UR", "S2UR", "VOTEU", "REDUX", "CREDUX", "LDCU") or (name.startswith("U") and name != "UTMALDG")


def _written(one: dict[str, Any]) -> list[Place]:
    """Registers that an instruction may write."""
    name = one["name"]
    if name in NOTHING:
        return []
    count = WIDTHS.get(one["width"], 1) if name in LOADS else 4 if name in QUAD else 2 if name in PAIR else 1
    if name.endswith("GMMA"):
        count = 128
    if one["op"] in (0x025, 0x027, 0x0A5):
        count = 2
    return [(one["file"], number) for number in range(one["rd"], min(one["rd"] + count, 255))]


def _result(one: dict[str, Any], known: dict[Place, Value]) -> Value:  # noqa: PLR0911  a case each
    """What an instruction leaves in its first register, as far as sums with constants go."""
    name, form, file = one["name"], one["form"], one["file"]
    if name in ("MOV", "UMOV"):
        if form == 4:
            return None, one["immediate"]
        return _held("U" if form == 6 else file, one["rb"], known) if form in (1, 6) else None
    if name == "CS2R":  # SRZ is 0xff
        return (None, 0) if one["width"] >= 0 and one["immediate"] >> 8 & 255 in (0, 255) else None
    if name == "IMAD" and one["op"] == 0x024 and one["ra"] == isa.RZ:
        if form == 1:
            return _held("R", one["rc"], known)
        if form == 2:
            return None, one["immediate"]
        return _held("U", one["rb"], known) if form == 7 and one["rc"] == isa.RZ else None
    if name in ("HFMA2", "HADD2") and form == 2 and one["ra"] == isa.RZ and one["rc"] == isa.RZ:
        return None, one["immediate"]
    zero = one["rc"] == isa.RZ or (file == "U" and one["rc"] in URZ)
    if form == 4 and (name in ("VIADD", "IADD") or (name in ("IADD3", "UIADD3") and zero)):
        base = _held(file, one["ra"], known)
        return None if base is None else (base[0], base[1] + _as_signed(one["immediate"]))
    return None


def _held(file: str, number: int, known: dict[Place, Value]) -> Value:
    if number == isa.RZ or (file == "U" and number in URZ):
        return None, 0
    return known.get((file, number), ((file, number), 0))


def _as_signed(number: int) -> int:
    number &= 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number


def _sure(code: list[Any], targets: np.ndarray, loops: dict[Any, int], loop: tuple[int, int]) -> list[bool]:
    """Whether each instruction of a loop runs exactly once in each turn, as far as branches and guards tell."""
    first, last = loop
    sure = [one["guard"] == ALWAYS and not one["negated"] for one in code[first : last + 1]]
    skipped = [(at + 1, int(targets[at])) for at in range(first, last) if at < targets[at] <= last]
    inner = [(a, b + 1) for a, b in loops if first <= a and b <= last and (a, b) != loop]
    for start, stop in skipped + inner:
        for at in range(start, min(stop, last + 1)):
            sure[at - first] = False
    return sure


def _trips(
    code: list[Any], targets: np.ndarray, loops: dict[Any, int], loop: tuple[int, int], guess_start: bool
) -> int | None:
    first, last = loop
    sure, known, tests = _sure(code, targets, loops, loop), {}, {}
    found: list[int] = []
    pending = []
    for at in range(first, last + 1):
        one = code[at]
        if one["name"] in ("ISETP", "UISETP") and sure[at - first]:
            tests |= {(one["file"], p): (one, _held(one["file"], one["ra"], known)) for p in one["sets"]}
        else:
            copied = one["name"] == "PLOP3" and not (one["third"] ^ COPIES_UNIFORM) & FIELDS and sure[at - first]
            test = tests.get(("U", one["third"] >> 4 & 7)) if copied else None
            tests |= {(one["file"], p): test for p in one["sets"]}
        leaves = at == last or (one["name"] == "BRA" and targets[at] > last and not _skipped(at, first, targets))
        if leaves:
            pending += [(at == last, guard, tests.get(guard[0])) for guard in _guards(one)]
        value = _result(one, known) if sure[at - first] else None
        for number, place in enumerate(_written(one)):
            known[place] = value if number == 0 or one["name"] == "CS2R" else None
    for stays, (_, negated), test in pending:
        turns = _turns(code, first, known, test, stays != negated, guess_start)
        found += [] if turns is None else [turns]
    return min(found) if found else None


def _skipped(at: int, first: int, targets: np.ndarray) -> bool:
    return any(place < at < targets[place] for place in range(first, at))


def _guards(one: dict[str, Any]) -> list[tuple[Place, bool]]:
    """Predicates that a branch depends on, and whether each is negated."""
    found: list[tuple[Place, bool]] = []
    if one["guard"] != ALWAYS:
        found.append((("R", one["guard"]), bool(one["negated"])))
    if one["with"] & 7 != ALWAYS:
        found.append((("R", one["with"] & 7), bool(one["with"] >> 3)))
    if one["op12"] == isa.BRA_U and one["ra"] & 7 != ALWAYS:
        found.append((("U", one["ra"] & 7), bool(one["ra"] >> 3 & 1)))
    return found


def _turns(  # noqa: PLR0913, PLR0917
    code: list[Any], first: int, known: dict[Place, Value], test: Any, stays: bool, guess: bool
) -> int | None:
    """Turns until a comparison ends the loop; None if it is of no counter, or does not end it."""
    if test is None:
        return None
    one, value = test
    plain = one["form"] == 4 and not one["extended"] and one["joined"] == 0 and one["with"] == ALWAYS
    if not plain or value is None or value[0] is None:
        return None
    base, offset = value
    after = known.get(base)
    if after is None or after[0] != base or after[1] == 0:
        return None
    step, start = after[1], _start(code, first, base)
    rises = one["compare"] in (1, 3, 4, 6) and step > 0
    if start is None and not (guess and rises):
        return None
    return _counted(start or 0, offset, step, one, stays)


def _counted(start: int, offset: int, step: int, one: dict[str, Any], stays: bool) -> int | None:
    bound, signed = one["immediate"], one["signed"]
    bound = _as_signed(bound) if signed else bound
    for turn in range(MOST_TRIPS):
        value = (start + offset + turn * step) & 0xFFFFFFFF
        value = _as_signed(value) if signed else value
        holds = (value < bound) * 1 | (value == bound) * 2 | (value > bound) * 4
        if bool(holds & one["compare"]) != stays:
            return turn + 1
    return None


def _start(code: list[Any], first: int, base: Place) -> int | None:
    """What was last put into a register before a loop, if that is a constant."""
    for at in range(first - 1, -1, -1):
        places = _written(code[at])
        if base in places:
            one = code[at]
            value = _result(one, {}) if one["guard"] == ALWAYS and not one["negated"] else None
            same = places[0] == base or one["name"] == "CS2R"
            return value[1] if value is not None and value[0] is None and same else None
    return None
