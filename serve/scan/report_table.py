"""The report for people: a table of targets and files, a summary, and the reasons on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain

from hashwarden.model.kernel.verdict import FileVerdict, KernelVerdict, Verdict
from hashwarden.serve.scan.result import ScanReport, TargetReport
from hashwarden.serve.scan.text import printable, shorten
from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["COLOURS", "render_explanations", "render_kernels", "render_table"]

COLOURS: dict[Verdict, str] = {
    Verdict.MINING: "bold red",
    Verdict.OTHER_HASH: "yellow",
    Verdict.ABSTAIN: "magenta",
    Verdict.NOT_JUDGED: "blue",
    Verdict.NOT_HASH: "green",
}
MARKS: dict[Verdict, str] = {
    Verdict.MINING: "✗",
    Verdict.OTHER_HASH: "!",
    Verdict.ABSTAIN: "?",
    Verdict.NOT_JUDGED: "∅",
    Verdict.NOT_HASH: "✓",
}
FILES_SHOWN = 12
NOTES_SHOWN = 2
_VERDICT_WIDTH = 2 + max(len(verdict) for verdict in Verdict)
_FIXED = _VERDICT_WIDTH + 9 + 13 + 8
"""Columns that the verdict, the probability, the kernels and the padding take."""


def render_table(report: ScanReport, console: Console) -> None:
    """Print one row per target, the files of a target under it, and a summary."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, expand=False)
    table.add_column("verdict", no_wrap=True, min_width=_VERDICT_WIDTH)
    table.add_column("P(mining)", justify="right", no_wrap=True, min_width=9)
    table.add_column("kernels", justify="right", no_wrap=True, min_width=7)
    table.add_column("object and what decided", overflow="fold")
    width = max(console.width - _FIXED, 20)
    for target in report.targets:
        _add_target(table, target, width)
    console.print(table)
    console.print(_summary(report))


def _add_target(table: Table, target: TargetReport, width: int) -> None:
    if len(target.files) == 1:
        _add_row(table, target.verdict, target.files[0], _single(target, width))
        return
    name = Text(shorten(printable(target.target), width), style="bold")
    if target.files:
        name.append(f"\n{len(target.files):,} files with GPU code", style="dim")
    why = [name, *_unread(target, width)]
    kernels = f"{target.n_kernels:,}" if target.n_kernels else ""
    table.add_row(_verdict(target.verdict), _share(target.files), kernels, Group(*why))
    files = sorted(target.files, key=lambda file: (file.verdict.rank, -file.p_mining))
    for file in files[:FILES_SHOWN]:
        place = "  " + shorten(printable(_inside(file.where, target.target)), width - 2)
        _add_row(table, file.verdict, file, [Text(place), *_why(file, width - 2)])
    _add_rest(table, files[FILES_SHOWN:])


def _add_row(table: Table, verdict: Verdict, file: FileVerdict, lines: list[Text]) -> None:
    blind = verdict is Verdict.NOT_JUDGED
    table.add_row(_verdict(verdict), "" if blind else _share((file,)), f"{file.n_kernels:,}", Group(*lines))


def _add_rest(table: Table, rest: list[FileVerdict]) -> None:
    if rest:
        counts = ", ".join(f"{n:,} {verdict}" for verdict, n in _count(file.verdict for file in rest))
        kernels = f"{sum(file.n_kernels for file in rest):,}"
        table.add_row("", "", kernels, Text(f"  and {len(rest):,} more: {counts}", style="dim"))


def _single(target: TargetReport, width: int) -> list[Text]:
    file = target.files[0]
    lines = [Text(shorten(printable(target.target), width), style="bold")]
    if file.where != target.target:
        inside = "  " + shorten(printable(_inside(file.where, target.target)), width - 2)
        lines.append(Text(inside))
    return lines + _why(file, width - 2) + _unread(target, width)


def _why(file: FileVerdict, width: int) -> list[Text]:
    words = [*file.reasons[:1], *file.notes[:NOTES_SHOWN]]
    if file.n_distinct < file.n_kernels and not words:
        words = [f"{file.n_distinct:,} kernels of distinct code"]
    return [_indented(printable(text), width) for text in words]


def _indented(text: str, width: int) -> Text:
    """Two lines at most, so that one talkative file does not push the others off the screen."""
    return Text("  " + shorten_tail(text, max(width, 18) * 2 - 4), style="dim")


def shorten_tail(text: str, width: int) -> str:
    """Cut the end off a sentence that is too long."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _unread(target: TargetReport, width: int) -> list[Text]:
    """Say why there is no verdict, or that a part is missing from it."""
    if not target.problems:
        empty = not target.files
        return [Text("  no GPU machine code found", style="dim")] if empty else []
    first = target.problems[0].got
    if not target.files and len(target.problems) == 1:
        return [_indented(printable(first), width - 2)]
    objects = "object" if len(target.problems) == 1 else "objects"
    return [_indented(f"{len(target.problems):,} {objects} not judged: {printable(first)}", width - 2)]


def _inside(where: str, target: str) -> str:
    """Give the part of a nested path that the target's row does not show already."""
    return where[len(target) :].lstrip("!/#") if where.startswith(target) and where != target else where


def _verdict(verdict: Verdict) -> Text:
    return Text(f"{MARKS[verdict]} {verdict}", style=COLOURS[verdict])


def _share(files: Iterable[FileVerdict]) -> str:
    """Give the highest probability among the files that were judged."""
    judged = [file.p_mining for file in files if file.verdict is not Verdict.NOT_JUDGED]
    return f"{max(judged):.3f}" if judged else ""


def _count(verdicts: Iterable[Verdict]) -> list[tuple[Verdict, int]]:
    return sorted(Counter(verdicts).items(), key=lambda item: item[0].rank)


def _summary(report: ScanReport) -> Text:
    number = len(report.targets)
    text = Text(f"{number:,} {'target' if number == 1 else 'targets'}: ")
    for place, (verdict, n) in enumerate(_count(target.verdict for target in report.targets)):
        text.append(", " if place else "")
        text.append(f"{n:,} {verdict}", style=COLOURS[verdict])
    kernels = sum(target.n_kernels for target in report.targets)
    text.append(f"; {kernels:,} kernels in {report.seconds:.1f} s")
    if report.problems:
        text.append(f"; {len(report.problems):,} not judged in full (see the messages)", style="blue")
    return text


def render_explanations(report: ScanReport, console: Console) -> None:
    """Print, for each file, what decided: the file rule's reasons and those of its heaviest kernels."""
    for file in sorted(report.files, key=lambda file: file.verdict.rank):
        console.print()
        head = _verdict(file.verdict)
        head.append(f"  {printable(file.where)}", style="bold")
        console.print(head)
        counts = ", ".join(f"{n:,} {verdict}" for verdict, n in sorted(file.counts.items(), key=lambda i: i[0].rank))
        lines = chain([f"distinct kernels: {counts}"] if counts else [], file.reasons, file.notes)
        for line in lines:
            console.print(_bullet(line, 2))
        for kernel in file.top:
            _explain_kernel(kernel, console)


def _explain_kernel(kernel: KernelVerdict, console: Console) -> None:
    head = _verdict(kernel.verdict)
    head.append(f"  {_kernel_name(kernel)}", style="bold")
    family = f", family {kernel.family}" if kernel.family else ""
    head.append(
        f"  sm_{kernel.arch}, {kernel.n_instr:,} instructions, P(hash) {kernel.p_hash:.3f}, "
        f"P(mining) {kernel.p_mining:.3f}{printable(family)}",
        style="dim",
    )
    console.print(Padding(head, (0, 0, 0, 2)))
    for reason in kernel.reasons:
        console.print(_bullet(reason, 4))


def _bullet(line: str, indent: int) -> Padding:
    return Padding(Text(f"- {printable(line)}"), (0, 0, 0, indent))


def _kernel_name(kernel: KernelVerdict) -> str:
    return printable(kernel.kernel) or "(no name)"


def render_kernels(kernels: Iterable[KernelVerdict], console: Console) -> None:
    """Print one line per kernel, as they come; nothing is held back to align columns."""
    console.print(Text("verdict              P(hash)  P(mining)  arch    instr  kernel", style="bold"))
    for kernel in kernels:
        line = _verdict(kernel.verdict)
        line.pad_right(max(_VERDICT_WIDTH - len(line), 0))
        line.append(f"{kernel.p_hash:>9.3f}{kernel.p_mining:>11.3f}  sm_{kernel.arch:<4}{kernel.n_instr:>6}  ")
        line.append(shorten(_kernel_name(kernel), max(console.width - len(line), 16)))
        console.print(line, soft_wrap=True)
