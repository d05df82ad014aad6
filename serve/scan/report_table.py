"""The report for people: a table of targets and files, a summary, and the reasons on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hashwarden.model.kernel.verdict import FileVerdict, KernelVerdict, Verdict
from hashwarden.serve.scan.result import ScanReport, TargetReport
from hashwarden.serve.scan.text import printable, shorten, shorten_path

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
INNOCENT_SHOWN = 1
_VERDICT_WIDTH = 2 + max(len(verdict) for verdict in Verdict)
_FIXED = _VERDICT_WIDTH + 9 + 7 + 3 * 2
"""Columns that the verdict, the probability, the kernels and the gaps take."""


def render_table(report: ScanReport, console: Console) -> None:
    """Print one row per target, under it the files in it that are not innocent, and a summary."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("verdict", no_wrap=True, min_width=_VERDICT_WIDTH)
    table.add_column("P(mining)", justify="right", no_wrap=True, min_width=9)
    table.add_column("kernels", justify="right", no_wrap=True, min_width=7)
    table.add_column("object and what decided", overflow="fold")
    width = max(console.width - _FIXED, 20)
    for target in report.targets:
        _add_target(table, target, width)
    _print_without_padding(table, console)
    console.print()
    console.print(_summary(report))


def _print_without_padding(table: Table, console: Console) -> None:
    """Leave out the blanks that fill the last column; they are noise in files, diffs and copies."""
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        text = Text.from_ansi(line)
        text.rstrip()
        console.print(text, soft_wrap=True)


def _add_target(table: Table, target: TargetReport, width: int) -> None:
    lines: list[RenderableType] = [Text(shorten_path(printable(target.target), width), style="bold")]
    kernels = f"{target.n_kernels:,}" if target.n_kernels else ""
    if len(target.files) == 1:
        file = target.files[0]
        if file.where != target.target:
            lines.append(_indented(shorten_path(printable(_inside(file.where, target.target)), width - 2)))
        lines += _why(file, width)
    elif target.files:
        lines.append(_dim(f"{len(target.files):,} files with GPU code"))
    lines += _unread(target, width)
    table.add_row(_verdict(target.verdict), _share(target.files), kernels, Group(*lines))
    if len(target.files) > 1:
        _add_files(table, target, width)


def _add_files(table: Table, target: TargetReport, width: int) -> None:
    """Show the worst files of a target; innocent ones are only counted."""
    files = sorted(target.files, key=lambda file: (file.verdict.rank, -file.p_mining))
    shown = [file for file in files if file.verdict is not Verdict.NOT_HASH][:FILES_SHOWN]
    for file in shown:
        place = _indented(shorten_path(printable(_inside(file.where, target.target)), width - 2))
        table.add_row(_verdict(file.verdict), _share((file,)), f"{file.n_kernels:,}", Group(place, *_why(file, width)))
    rest = files[len(shown) :]
    if shown and rest:
        counts = ", ".join(f"{n:,} {verdict}" for verdict, n in _count(file.verdict for file in rest))
        table.add_row("", "", f"{sum(file.n_kernels for file in rest):,}", _dim(f"and {len(rest):,} more: {counts}"))


def _why(file: FileVerdict, width: int) -> list[RenderableType]:
    words = [*file.reasons[:1], *file.notes[:NOTES_SHOWN]]
    return [_dim(_cut(text, width)) for text in words]


def _unread(target: TargetReport, width: int) -> list[RenderableType]:
    """Say why there is no verdict, or what is missing from it."""
    lines = [*target.notes]
    if target.problems:
        first, number = target.problems[0].got, len(target.problems)
        alone = not target.files and number == 1
        lines.append(first if alone else f"{number:,} object{'s' * (number > 1)} not judged: {first}")
    elif not target.files:
        lines.append("no GPU machine code found")
    return [_dim(_cut(line, width)) for line in lines]


def _cut(text: str, width: int) -> str:
    """Cut a text to about three lines, so that one talkative file does not push the others off the screen."""
    text, limit = printable(text), 3 * width - 20
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _dim(text: str) -> Padding:
    return Padding(Text(text, style="dim"), (0, 0, 0, 2))


def _indented(text: str) -> Padding:
    return Padding(Text(text), (0, 0, 0, 2))


def _inside(where: str, target: str) -> str:
    """Give the part of a nested path that the target's row does not show already."""
    return where[len(target) :].lstrip("!/#") if where.startswith(target) and where != target else where


def _verdict(verdict: Verdict) -> Text:
    return Text.assemble((f"{MARKS[verdict]} {verdict}", COLOURS[verdict]))


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
    cached = sum(target.cached for target in report.targets)
    if cached:
        text.append(f"; {cached:,} from the cache")
    if report.problems:
        number = len(report.problems)
        text.append(f"; {number:,} object{'s' * (number > 1)} not judged")
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
        innocent = file.verdict is Verdict.NOT_HASH
        for kernel in file.top[: INNOCENT_SHOWN if innocent else None]:
            _explain_kernel(kernel, console)


def _explain_kernel(kernel: KernelVerdict, console: Console) -> None:
    head = Text("  ") + _verdict(kernel.verdict)
    head.append(f"  {shorten(_kernel_name(kernel), max(console.width - len(head) - 2, 16))}", style="bold")
    family = f", family {kernel.family}" if kernel.family else ""
    numbers = (
        f"P(mining) {kernel.p_mining:.3f}, P(hash) {kernel.p_hash:.3f}{family}, sm_{kernel.arch}, "
        f"{kernel.n_instr:,} instructions"
    )
    console.print(head)
    console.print(Padding(Text(printable(numbers), style="dim"), (0, 0, 0, 4), expand=False))
    for reason in kernel.reasons:
        console.print(_bullet(reason, 4))


def _bullet(line: str, indent: int) -> Padding:
    return Padding(Text(f"- {printable(line)}"), (0, 0, 0, indent), expand=False)


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
