"""The tables of docs/synthesis.md, from the code; ``python -m hashwarden.training.synthesise.page`` renews them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from hashwarden.errors import DataError
from hashwarden.training.synthesise.anchors import ANCHORS, measured
from hashwarden.training.synthesise.codes import rows_for, source_of
from hashwarden.training.synthesise.faults import RATES
from hashwarden.training.synthesise.gpus import ASSUMED, GPUS, Gpu
from hashwarden.training.synthesise.part import Part, Range
from hashwarden.training.synthesise.parts import PARTS
from hashwarden.training.synthesise.physics import QUANTITIES
from hashwarden.training.synthesise.pipes import PIPES, UNITS
from hashwarden.training.synthesise.power import DRAM_WATTS, WEIGHTS

__all__ = ["TABLES", "renewed"]

PAGE: Final = Path("docs/synthesis.md")
SHOWN_ON: Final = 90
MANY: Final = 10


def _table(head: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _gpus() -> str:
    names = [field.name for field in fields(Gpu) if field.name != "name"]
    rows = [
        (f"`{name}`" + (" *" if name in ASSUMED else ""), *(f"{getattr(gpu, name):g}" for gpu in GPUS.values()))
        for name in names
    ]
    return _table(("", *GPUS), rows)


def _assumed() -> str:
    return _table(("value", "taken from"), ((f"`{name}`", text) for name, text in ASSUMED.items()))


def _units() -> str:
    return _table(("unit", "instructions"), ((f"`{name}`", UNITS[name]) for name in PIPES if name in UNITS))


def _range(limits: Range) -> str:
    return f"{limits[0]:g} to {limits[1]:g}" if limits[1] else "code"


def _bound(part: Part) -> str:
    if part.core:
        return f"{part.kind} {part.core}, {_range(part.intensity)} operations a byte"
    return f"memory, {_range(part.per_instruction)} bytes" if part.per_instruction[1] else "as the code says"


def _parts() -> str:
    rows = []
    for name, part in PARTS.items():
        found = rows_for(part.picks, part.core, SHOWN_ON).tolist()
        rows.append((f"`{name}`", len(found), len({source_of(row) for row in found}),
                     _bound(part), _range(part.launch_s), _range(part.occupancy), _range(part.miss),
                     _range(part.reach), part.source))  # fmt: skip
    head = ("kernel", "rows", "sources", "bound", "launch, s", "occupancy", "missed by caches", "of the bound", "from")
    return _table(head, rows)


def _quantities() -> str:
    rows = [(f"`{name}`", text, WEIGHTS.get(name, DRAM_WATTS if name == "dram" else 0))
            for name, text in QUANTITIES.items()]  # fmt: skip
    return _table(("activity", "meaning", "share of the power from idle to limit"), rows)


def _anchors() -> str:
    rows = []
    for anchor in ANCHORS:
        low, middle, high = (f"{value:.{0 if value > MANY else 2}f}" for value in measured(anchor))
        rows.append((f"`{anchor.part}`", anchor.gpu, anchor.says, f"{anchor.low:g} to {anchor.high:g}",
                     f"{middle} ({low} to {high})", anchor.source))  # fmt: skip
    return _table(("kernel", "GPU", "figure", "published", "model (middle four fifths)", "source"), rows)


def _faults() -> str:
    return _table(("fault", "rate"), ((name, f"{rate:g}") for name, rate in RATES.items()))


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "gpus": _gpus, "assumed": _assumed, "units": _units, "parts": _parts, "quantities": _quantities,
    "anchors": _anchors, "faults": _faults,
}  # fmt: skip
"""What makes each table of the page, by its mark."""


def renewed(text: str) -> str:
    """A page with its tables written anew, between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises
    ------
    DataError
        If a mark is missing.
    """
    for name, table in TABLES.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        head, found, rest = text.partition(begin)
        _, also, tail = rest.partition(end)
        if not found or not also:
            raise DataError(f"no {begin} or no {end}", "both marks", "Put them back.", where=str(PAGE))
        text = f"{head}{begin}\n{table()}\n{end}{tail}"
    return text


def main() -> None:
    """Write the page's tables anew."""
    page = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
