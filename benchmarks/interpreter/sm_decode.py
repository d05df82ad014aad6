"""Instructions of a kernel as the interpreter takes them, from what NVIDIA's disassembler prints.

The disassembler knows every modifier; what the interpreter does not know is refused here, by name, so that nothing is
run with half its meaning.
"""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hashwarden.errors import MissingExtraError, UnsupportedError

__all__ = ["Instruction", "Operand", "disassembled", "instructions"]

NEGATE, INVERT, ABSOLUTE = 1, 2, 4
PARTS = {"H0_H0": 1, "H1_H1": 2, "B0": 3, "B1": 4, "B2": 5, "B3": 6}
SPECIALS = {
    "SRZ": 0, "SR_TID.X": 1, "SR_TID.Y": 2, "SR_TID.Z": 3, "SR_CTAID.X": 4, "SR_CTAID.Y": 5, "SR_CTAID.Z": 6,
    "SR_LANEID": 7, "SR_LTMASK": 8, "SR_SWINHI": 9, "SR_CgaCtaId": 10,
}  # fmt: skip
BY_BITS = frozenset({
    "FADD", "FMUL", "FFMA", "FMNMX", "FMNMX3", "FSETP", "FSET", "FSEL", "FCHK", "MUFU", "DADD", "DMUL", "DFMA", "DSETP",
    "HADD2", "HMUL2", "HFMA2", "F2FP", "F2I", "FRND", "F2F",
})  # fmt: skip
"""What has numbers with a point as immediates: their bits are taken from the code, not from the text."""
TO_A_TARGET = frozenset({"BRA", "BSSY", "CALL", "RET", "BRX", "BRXU", "WARPSYNC"})
NO_REGISTER = 0xFFFF
OPERAND = re.compile(r"(?P<sign>[-!~]*)(?P<bar>\|?)(?P<name>[A-Za-z_][A-Za-z0-9_]*)\|?(?P<parts>(\.[A-Za-z0-9_]+)*)\|?")
NUMBERED = {"R": "REG", "UR": "UREG", "P": "PRED", "UP": "UPRED", "B": "BARRIER"}
LAST = {"R": 255, "UR": 255, "P": 7, "UP": 7}


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand; the fields are those of `Operand` in cpp/machine.h."""

    kind: str
    reg: int = 255
    flags: int = 0
    part: int = 0
    bank: int = 0
    ureg: int = NO_REGISTER
    imm: int = 0


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name, its modifiers, its guard, its operands, where it may jump to."""

    name: str
    modifiers: tuple[str, ...]
    guard: Operand | None
    operands: tuple[Operand, ...] = field(default=())
    target: int = 0
    wide: bool = False

    @property
    def text(self) -> str:
        """Name and modifiers as they are printed."""
        return ".".join((self.name, *self.modifiers))


def tool() -> Path:
    """The disassembler of the package nvidia-cuda-nvdisasm.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    found = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/**/bin/nvdisasm"))
    if not found:
        raise MissingExtraError.of("nvidia-cuda-nvdisasm", "dev")
    return found[0]


def disassembled(cubin: Path) -> Mapping[str, list[Mapping[str, Any]]]:
    """What the disassembler prints of each kernel of a file, by name."""
    done = subprocess.run([tool(), "-json", cubin], capture_output=True, text=True, check=True)
    return {row["function-name"]: row["sass-instructions"] for row in json.loads(done.stdout)[1]}


def instructions(
    printed: list[Mapping[str, Any]], words: np.ndarray, targets: np.ndarray, first: int, homes: Mapping[str, int]
) -> Iterator[Instruction]:
    """Decode a function.

    Parameters
    ----------
    printed : list of mapping
        One for each instruction, from `disassembled`.
    words : uint32 array, shape (instructions, 4)
    targets : int64 array, shape (instructions,)
        Where a branch at each place would jump to, as an index within the function.
    first : int
        Where the function lies in the code, as an index.
    homes : mapping of str to int
        Where each function lies, by its symbol, for calls from one to another.

    Raises
    ------
    UnsupportedError
        For an operand that has no meaning here.
    """
    for place, row in enumerate(printed):
        name, *modifiers = row["opcode"].split(".")
        texts = [text.strip() for text in _split(row.get("operands", ""))]
        target, wide = 0, "E" in modifiers or any(".64" in text for text in texts if "[" in text)
        if name in TO_A_TARGET:
            texts, target = _branch(row["opcode"], texts, int(targets[place]), place)
            target = homes[texts.pop()] if row["opcode"].startswith("CALL.ABS") else target + first
            target = 0 if row["opcode"].startswith("RET.ABS") else target
        if name == "P2R":
            texts.insert(1, "PR")
        if texts[1:3] == ["PT", "PT"] and name == "VIMNMX":
            texts[1:3] = []  # results that nobody wants
        where = f"{row['opcode']} {row.get('operands', '')}"
        texts = [_relocated(text, homes) if text.startswith("32@") else text for text in texts]
        operands = tuple(_operands(texts, int(words[place, 1]) if name in BY_BITS else None, where))
        yield Instruction(name, tuple(modifiers), _guard(row.get("predicate", ""), name), operands, target, wide)


def _split(text: str) -> list[str]:
    return re.findall(r"(?:[^,\[\]]|\[[^\]]*\])+", text)


def _relocated(text: str, homes: Mapping[str, int]) -> str:
    """A half of an address of code, which a driver fills in when it loads the module."""
    found = re.fullmatch(r"32@(lo|hi)\(\((.+) \+ (0x[0-9a-f]+)\)\)", text) or re.fullmatch(
        r"32@(lo|hi)\((.+)()\)", text
    )
    if found is None or found[2] not in homes:
        raise _unknown(text, "a relocation")
    return str(16 * homes[found[2]] + int(found[3] or "0", 0)) if found[1] == "lo" else "0"


def _branch(opcode: str, texts: list[str], target: int, place: int) -> tuple[list[str], int]:
    """Operands without the target, and the target; for BRX the place that its register counts from."""
    name = opcode.split(".", maxsplit=1)[0]
    if name in {"BRX", "BRXU"}:
        return texts[:1], place + 1 + int(texts[1], 0) // 16
    if name == "CALL":
        return texts if opcode.startswith("CALL.ABS") else [], target
    if name == "BRA":
        printed = int(texts[-1], 0)
        if printed != 16 * target:
            raise UnsupportedError(
                f"a branch to {target} printed as {texts[-1]}", "the same", "Read the encoding anew."
            )
        return texts[:-1], target
    if name == "WARPSYNC":
        return texts[:1], 0
    return texts[:1], target


def _guard(text: str, name: str) -> Operand | None:
    if not text or name == "P2R":
        return None
    return _operand(text.removeprefix("@"), None, text)


def _operands(texts: list[str], raw: int | None, where: str) -> Iterator[Operand]:
    numeric = False
    for text in texts:
        is_number = re.fullmatch(r"[-+]?([0-9].*|INF|QNAN|SNAN)", text) is not None
        if raw is not None and is_number and numeric:
            continue  # the second half of a pair of halves
        numeric = is_number
        yield _operand(text, raw if is_number else None, where)


def _operand(text: str, raw: int | None, where: str) -> Operand:  # noqa: PLR0911  a case for each kind
    if raw is not None:
        return Operand("IMM", imm=raw)
    if re.fullmatch(r"-?(0x[0-9a-f]+|[0-9]+)", text):
        return Operand("IMM", imm=int(text, 0) & 0xFFFFFFFF)
    if text.startswith(("desc[", "[")):
        return _address(text[text.rindex("[") + 1 : -1], "ADDRESS", where)
    found = re.fullmatch(r"([-~]*)(\|?)c\[0x([0-9a-f]+)\]\[([^\]]*)\]\|?(\.[A-Z0-9_]+)?", text)
    if found:
        at = _address(found[4], "CONST", where)
        return Operand("CONST", at.reg, _flags(found[1], found[2]), _part(found[5], where), int(found[3], 16), at.ureg,
                       at.imm)  # fmt: skip
    if text in SPECIALS:
        return Operand("SPECIAL", imm=SPECIALS[text])
    if text == "PR":
        return Operand("PREDICATES")
    return _register(text, where)


def _flags(sign: str, bar: str) -> int:
    return NEGATE * ("-" in sign) | INVERT * ("~" in sign or "!" in sign) | ABSOLUTE * bool(bar)


def _part(words: str | None, where: str) -> int:
    known = [word for word in (words or "").split(".") if word and word not in {"reuse", "ROW", "COL", "64"}]
    if not known:
        return 0
    if len(known) > 1 or known[0] not in PARTS:
        raise _unknown(".".join(known), where)
    return PARTS[known[0]]


def _register(text: str, where: str) -> Operand:
    found = OPERAND.fullmatch(text)
    if found is None:
        raise _unknown(text, where)
    name = re.fullmatch(r"(UR|UP|R|P|B)([0-9]+|Z|T)", found["name"])
    if name is None:
        if re.fullmatch(r"SB[0-9]", found["name"]):
            return Operand("NONE")
        raise _unknown(text, where)
    number = int(name[2]) if name[2].isdigit() else LAST[name[1]]
    part = _part(found["parts"], where)
    return Operand(NUMBERED[name[1]], number, _flags(found["sign"], found["bar"]), part)


def _address(text: str, kind: str, where: str) -> Operand:
    reg, ureg, offset, scale = 255, NO_REGISTER, 0, 0
    for word in text.split("+"):
        if re.fullmatch(r"-?0x[0-9a-f]+", word):
            offset += int(word, 0)
        elif found := re.fullmatch(r"R([0-9]+|Z)(\.64|\.X4|\.X8|\.X16)?", word):
            reg = 255 if found[1] == "Z" else int(found[1])
            scale = {".X4": 2, ".X8": 3, ".X16": 4}.get(found[2], 0)
        elif found := re.fullmatch(r"UR([0-9]+|Z)", word):
            ureg = 255 if found[1] == "Z" else int(found[1])
        else:
            raise _unknown(word, where)
    return Operand(kind, reg, part=scale, ureg=ureg, imm=offset)


def _unknown(what: str, where: str) -> UnsupportedError:
    return UnsupportedError(f"the operand {what!r}", "one that the interpreter knows", "Teach it.", where=where)
