"""Compiles ``launches_probes.c`` into ``launches_programs.py``; for developers, nodes need no compiler.

``python -m hashwarden.serve.sources.launches_build`` with clang on the path (14 made what is committed) writes the
module anew. A test compares the digest of the source that the module names with that of the source beside it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import struct
import subprocess
import tempfile
import textwrap
import zlib
from pathlib import Path
from typing import Final

from hashwarden.errors import UsageError

__all__ = ["SOURCE", "compiled", "digest", "main", "programs_of"]

SOURCE: Final = Path(__file__).with_name("launches_probes.c")
_TARGET: Final = SOURCE.with_name("launches_programs.py")
_MACHINES: Final = ("x86_64", "aarch64")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_TO_MAP: Final = 1
"""R_BPF_64_64: 64 bits of an instruction that are the address of a map."""

Programs = dict[str, dict[str, object]]


def digest(source: Path = SOURCE) -> str:
    """SHA-256 of the source, as the module that was made of it names it."""
    return hashlib.sha256(source.read_bytes()).hexdigest()


def compiled(machine: str, source: Path = SOURCE) -> bytes:
    """The ELF object that clang makes for a machine."""
    clang = shutil.which("clang") or shutil.which("clang-14")
    if clang is None:
        raise UsageError("there is no clang", "a compiler that knows the target bpf", "Install clang.")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "probes.o"
        flags = ["-O2", "-target", "bpf", "-mcpu=v2", f"-DTARGET_{machine.upper()}", "-c", str(source)]
        subprocess.run([clang, *flags, "-o", str(made)], check=True)
        return made.read_bytes()


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode()


def programs_of(elf: bytes) -> Programs:
    """Each program's instructions in hexadecimal, and which of them load the address of which map."""
    table, size, count, names_at = *struct.unpack_from("<Q", elf, 40), *struct.unpack_from("<HHH", elf, 58)
    sections = [_SECTION.unpack_from(elf, table + size * i) for i in range(count)]
    bodies = [elf[s[4] : s[4] + s[5]] for s in sections]
    titles = [_text(bodies[names_at], s[0]) for s in sections]
    symbols = bodies[titles.index(".symtab")]
    found: Programs = {
        title.removeprefix("probe/"): {"code": body.hex(), "maps": {}}
        for title, body in zip(titles, bodies, strict=True)
        if title.startswith("probe/")
    }
    for title, body in zip(titles, bodies, strict=True):
        if title.startswith(".relprobe/"):
            maps = {}
            for offset, kind in struct.iter_unpack("<QQ", body):
                if kind & 0xFFFFFFFF != _TO_MAP:
                    raise UsageError(f"{title} calls what is not inlined", "programs of one piece", "Inline it.")
                name = _SYMBOL.unpack_from(symbols, _SYMBOL.size * (kind >> 32))[0]
                maps[str(offset // 8)] = _text(bodies[titles.index(".strtab")], name)
            found[title.removeprefix(".relprobe/")]["maps"] = maps
    return found


def _module(machines: dict[str, Programs], source: str) -> str:
    """The text of the module."""
    lines = ['"""The eBPF programs of ``launches_probes.c``, made by ``launches_build.py``: do not edit."""', ""]
    lines += ["from __future__ import annotations", "", "from typing import Final", ""]
    lines += ['__all__ = ["PACKED", "SOURCE_SHA256"]', "", f'SOURCE_SHA256: Final = "{source}"', ""]
    lines += ["PACKED: Final = {"]
    for machine, programs in machines.items():
        packed = base64.b64encode(zlib.compress(json.dumps(programs, sort_keys=True).encode(), 9)).decode()
        lines += [f'    "{machine}": (', *(f'        "{row}"' for row in textwrap.wrap(packed, 108)), "    ),"]
    tail = (
        '"""Base64 of zlib of JSON by machine: of each program its instructions, and which of them name which map."""'
    )
    return "\n".join([*lines, "}", tail, ""])


def main() -> None:
    """Write the module anew."""
    made = {machine: programs_of(compiled(machine)) for machine in _MACHINES}
    _TARGET.write_text(_module(made, digest()))


if __name__ == "__main__":
    main()
