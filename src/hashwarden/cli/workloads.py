"""``hashwarden workloads``: list the labelled, inert workloads, and run one."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hashwarden.cli.extras import needs_extra
from hashwarden.errors import UsageError

__all__ = ["workloads_app"]

workloads_app = typer.Typer(
    help="Labelled, inert GPU workloads: mining, learning, and what is taken for them.", no_args_is_help=True
)

ENGINES_HELP = "auto, cpu, numba (CUDA), cupy (CUDA C), torch. Example: --engine numba"


@workloads_app.callback()
def _group() -> None:
    """Labelled, inert GPU workloads: mining, learning, and what is taken for them."""


@workloads_app.command("list")
def list_workloads(
    label: Annotated[str, typer.Option(help="Only these. Example: --label mining")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with sizes and parameters.")] = False,
) -> None:
    """List all workloads and evasions.

    Example: hashwarden workloads list --label mining
    """
    with needs_extra("cuda13"):
        from hashwarden.kernels.workloads.evasions import EVASIONS
        from hashwarden.kernels.workloads.registry import workloads
        from hashwarden.kernels.workloads.workload import LABELS
    if label and label not in LABELS:
        raise UsageError(f"the label {label!r}", "one of " + ", ".join(LABELS), "Choose one of them.")
    chosen = [workload for workload in workloads() if label in ("", workload.label)]
    if as_json:
        typer.echo(json.dumps([_described(workload) for workload in chosen], indent=2))
        return
    console = Console()
    console.print(_table(chosen))
    if not label:
        evasions = Table("evasion", "what it does", box=None, header_style="bold", pad_edge=False)
        for evasion in EVASIONS:
            evasions.add_row(evasion.name, evasion.summary)
        console.print()
        console.print(evasions)


def _table(chosen: list) -> Table:  # type: ignore[type-arg]
    table = Table("name", "label", "bound by", "engines", "what it computes", box=None, header_style="bold")
    for workload in chosen:
        engines = " ".join(workload.engines())
        table.add_row(workload.name, workload.label, workload.bound, engines, workload.summary)
    return table


def _described(workload) -> dict[str, object]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    names = ("name", "unit", "low", "high", "meaning")
    return {
        "name": workload.name,
        "label": workload.label,
        "family": workload.family,
        "bound": workload.bound,
        "summary": workload.summary,
        "unit": workload.unit,
        "engines": list(workload.engines()),
        "parameters": [{name: getattr(parameter, name) for name in names} for parameter in workload.parameters],
        "sizes": {size: dict(settings) for size, settings in workload.sizes.items()},
    }


def _settings(words: list[str]) -> dict[str, int]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        try:
            found[name] = int(value, 0)
        except ValueError as error:
            got = f"the setting {word!r}"
            raise UsageError(got, "NAME=NUMBER", "Write it so, for example threads=4096.") from error
        if not equals or not name:
            raise UsageError(f"the setting {word!r}", "NAME=NUMBER", "Write it so, for example threads=4096.")
    return found


@workloads_app.command("run")
def run_workload(  # noqa: PLR0913, PLR0917
    name: Annotated[str, typer.Argument(help="Name of the workload.", show_default=False)],
    size: Annotated[str, typer.Option(help="small, trace or gpu. Example: --size gpu")] = "",
    engine: Annotated[str, typer.Option(help=ENGINES_HELP)] = "auto",
    seconds: Annotated[float, typer.Option(help="How long to run. Example: --seconds 30")] = 5.0,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change a parameter. Example: --set threads=4096")
    ] = None,
    evasion: Annotated[str, typer.Option(help="Hide it so. Example: --evasion throttle")] = "",
    evasion_change: Annotated[
        list[str] | None, typer.Option("--evasion-set", help="Change the evasion. Example: --evasion-set share=40")
    ] = None,
    company: Annotated[
        list[str] | None, typer.Option("--with", help="Run this beside it. Example: --with mlp-training")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random. Example: --seed 7", min=0)] = 0,
    check: Annotated[bool, typer.Option(help="Compare the first step with an independent oracle.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    events: Annotated[
        Path | None, typer.Option(help="Tell this file, line by line, how far it is. Example: --events run.jsonl")
    ] = None,
) -> None:
    """Run one workload for a while: on a GPU where there is one, else on the CPU.

    The workloads are inert: no network, fixed headers, results are compared and thrown away.
    Example: hashwarden workloads run ethash --seconds 30 --evasion duty-cycle
    """
    with needs_extra("cuda13"):
        from hashwarden.kernels.workloads.events import Events, Silence
        from hashwarden.kernels.workloads.prepare import gpu_name
        from hashwarden.kernels.workloads.runner import Order, run_order

        chosen = size or ("gpu" if engine != "cpu" and gpu_name() else "trace")
        order = Order(
            name, chosen, _settings(change or []), engine, seconds, seed, check,
            evasion, _settings(evasion_change or []), tuple(company or ()),
        )  # fmt: skip
        with closing(Events(events) if events else Silence()) as told:
            report = run_order(order, events=told).as_dict()
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    _print(report)


@workloads_app.command("compile")
def compile_workloads(
    names: Annotated[list[str], typer.Argument(help="CUDA sources, as in kernels/workloads/*.cu.", show_default=False)],
    arch: Annotated[str, typer.Option(help="Architecture. Example: --arch sm_100")] = "sm_90",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; one below it for each label.")] = Path(),
) -> None:
    """Compile labelled kernels to machine code, without a GPU: something to scan whose answer is known.

    Needs the extra 'cuda13'. Example: hashwarden workloads compile ethash ml_attention -o samples
    """
    with needs_extra("cuda13"):
        from hashwarden.kernels.workloads.catalogue import find, parse_variant
        from hashwarden.kernels.workloads.compiler import compile_cubin
        from hashwarden.model.storage import replacing

        for workload in [find(name) for name in names]:
            path = output / workload.label / f"{workload.name}.{arch}.cubin"
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                file.write(compile_cubin(workload, parse_variant(""), arch))
            typer.echo(path)


def _print(report: dict[str, object]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in report.items():
        if value is None or value in ("", ()):
            continue
        table.add_row(name.replace("_", " "), _text(value))
    Console(file=sys.stdout).print(table)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:,}" for name, number in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return str(value)
