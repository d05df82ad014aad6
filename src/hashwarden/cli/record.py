"""``hashwarden record``: its flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashwarden.cli.quantities import duration
from hashwarden.cli.run_record import Request, run_record

__all__ = ["record_command"]

LIVE, WORK, PLAN = "Of a job that runs", "Of a workload that is started", "Of all workloads"


def record_command(  # noqa: PLR0913, PLR0917
    output: Annotated[
        Path, typer.Option(help="The trace, or with --all the folder. Example: --output t.parquet", metavar="PATH")
    ],
    gpu: Annotated[
        list[str] | None, typer.Option(help="Number or UUID, MIG too; all if none. Example: --gpu 0")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long; 0 until Ctrl-C. Example: --seconds 600", min=0)] = 60.0,
    period: Annotated[float, typer.Option(help="Seconds between samples, 0.1 to 60. Example: --period 1")] = 0.1,
    source: Annotated[
        list[str] | None, typer.Option(help="nvml, pm, replay; nvml if none. Example: --source pm")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="The trace of the source replay. Example: --replay r.parquet")
    ] = None,
    recover: Annotated[
        bool, typer.Option("--recover", help="Make a trace of what a killed recorder left, and end.")
    ] = False,
    label: Annotated[str, typer.Option(help="What the job does. Example: --label training", rich_help_panel=LIVE)] = "",
    family: Annotated[str, typer.Option(help="Of that. Example: --family llm", rich_help_panel=LIVE)] = "",
    strategy: Annotated[
        str, typer.Option(help="How it hides. Example: --strategy pad", rich_help_panel=LIVE)
    ] = "plain",
    labelled_by: Annotated[
        str, typer.Option(help="Who knows. Example: --labelled-by operator:jane", rich_help_panel=LIVE)
    ] = "",
    workload: Annotated[str, typer.Option(help="Its name. Example: --workload ethash", rich_help_panel=WORK)] = "",
    size: Annotated[str, typer.Option(help="small, trace, gpu. Example: --size gpu", rich_help_panel=WORK)] = "gpu",
    engine: Annotated[
        str, typer.Option(help="auto, numba, cupy, torch, cpu. Example: --engine cupy", rich_help_panel=WORK)
    ] = "auto",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change a parameter. Example: --set m=64", rich_help_panel=WORK)
    ] = None,
    evasion: Annotated[str, typer.Option(help="Hide it so. Example: --evasion pad", rich_help_panel=WORK)] = "",
    evasion_change: Annotated[
        list[str] | None, typer.Option("--evasion-set", help="Example: --evasion-set share=40", rich_help_panel=WORK)
    ] = None,
    company: Annotated[
        list[str] | None, typer.Option("--with", help="Beside it. Example: --with mlp-training", rich_help_panel=WORK)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random. Example: --seed 7", min=0, rich_help_panel=WORK)] = 0,
    cut: Annotated[float, typer.Option(help="Seconds cut off at the start.", min=0, rich_help_panel=WORK)] = 2.0,
    start_limit: Annotated[
        float, typer.Option(help="Give a workload up that has not begun by then.", min=1, rich_help_panel=WORK)
    ] = 300.0,
    everything: Annotated[
        bool, typer.Option("--all", help="Workloads and evasions, a file each, as many as fit.", rich_help_panel=PLAN)
    ] = False,
    within: Annotated[
        float, typer.Option(parser=duration, help="Time for all. Example: --within 20min", rich_help_panel=PLAN)
    ] = "1h",  # type: ignore[assignment]  # its parser reads it
) -> None:
    """Record counters of a GPU to a trace: of a job that runs, or of labelled workloads that this starts.

    Needs the extra 'node'. Example: hashwarden record --gpu 0 --label training --labelled-by operator:jane
    --seconds 600 --output t.parquet
    """
    run_record(
        Request(
            output=output, gpus=tuple(gpu or ()), seconds=seconds, period_s=period, sources=tuple(source or ()),
            replay=replay, recover=recover, label=label, family=family, strategy=strategy, labelled_by=labelled_by,
            workload=workload, size=size, engine=engine, settings=tuple(change or ()), evasion=evasion,
            evasion_settings=tuple(evasion_change or ()), company=tuple(company or ()), seed=seed, cut_s=cut,
            start_limit_s=start_limit, everything=everything, within_s=within,
        )
    )  # fmt: skip
