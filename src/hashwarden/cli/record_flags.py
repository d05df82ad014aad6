"""The flags of ``hashwarden record``: their types, help and examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashwarden.cli.quantities import duration

__all__ = [
    "Change",
    "Company",
    "Cut",
    "DcgmUrl",
    "Engine",
    "Evasion",
    "EvasionChange",
    "Everything",
    "Family",
    "Gpu",
    "Label",
    "LabelledBy",
    "Output",
    "Period",
    "PlanFile",
    "PrometheusUrl",
    "Recover",
    "Replay",
    "Seconds",
    "Seed",
    "Size",
    "Source",
    "StartLimit",
    "Strategy",
    "Within",
    "Workload",
]

LIVE, WORK, PLAN = "Of a job that runs", "Of a workload that is started", "Of all workloads"

Output = Annotated[
    Path, typer.Option(help="The trace, or with --all the folder. Example: --output t.parquet", metavar="PATH")
]
Gpu = Annotated[list[str] | None, typer.Option(help="Number or UUID, MIG too; all if none. Example: --gpu 0")]
Seconds = Annotated[float, typer.Option(help="How long; 0 until Ctrl-C. Example: --seconds 600", min=0)]
Period = Annotated[float, typer.Option(help="Seconds between samples, 0.1 to 60. Example: --period 1")]
Source = Annotated[list[str] | None, typer.Option(help="nvml, dcgm, pm, replay; nvml if none. Example: --source pm")]
DcgmUrl = Annotated[
    str,
    typer.Option(
        help="Where dcgm-exporter answers; a token only in a file, which HASHWARDEN_DCGM_TOKEN_FILE names. "
        "Example: --source dcgm --dcgm-url http://127.0.0.1:9400/metrics"
    ),
]
PrometheusUrl = Annotated[
    str,
    typer.Option(help="A Prometheus server for dcgm. Example: --prometheus-url 'http://prometheus:9090/?Hostname=n1'"),
]
Replay = Annotated[Path | None, typer.Option(help="The trace of the source replay. Example: --replay r.parquet")]
Recover = Annotated[bool, typer.Option("--recover", help="Make a trace of what a killed recorder left, and end.")]
Label = Annotated[str, typer.Option(help="What the job does. Example: --label training", rich_help_panel=LIVE)]
Family = Annotated[str, typer.Option(help="Of that. Example: --family llm", rich_help_panel=LIVE)]
Strategy = Annotated[str, typer.Option(help="How it hides. Example: --strategy pad", rich_help_panel=LIVE)]
LabelledBy = Annotated[str, typer.Option(help="Who knows. Example: --labelled-by operator:jane", rich_help_panel=LIVE)]
Workload = Annotated[str, typer.Option(help="Its name. Example: --workload ethash", rich_help_panel=WORK)]
Size = Annotated[str, typer.Option(help="small, trace, gpu. Example: --size gpu", rich_help_panel=WORK)]
Engine = Annotated[
    str, typer.Option(help="auto, numba, cupy, torch, cpu. Example: --engine cupy", rich_help_panel=WORK)
]
Change = Annotated[
    list[str] | None, typer.Option("--set", help="Change a parameter. Example: --set m=64", rich_help_panel=WORK)
]
Evasion = Annotated[str, typer.Option(help="Hide it so. Example: --evasion pad", rich_help_panel=WORK)]
EvasionChange = Annotated[
    list[str] | None, typer.Option("--evasion-set", help="Example: --evasion-set share=40", rich_help_panel=WORK)
]
Company = Annotated[
    list[str] | None, typer.Option("--with", help="Beside it. Example: --with mlp-training", rich_help_panel=WORK)
]
Seed = Annotated[int, typer.Option(help="Of everything random. Example: --seed 7", min=0, rich_help_panel=WORK)]
Cut = Annotated[float, typer.Option(help="Seconds cut off at the start.", min=0, rich_help_panel=WORK)]
StartLimit = Annotated[
    float, typer.Option(help="Give a workload up that has not begun by then.", min=1, rich_help_panel=WORK)
]
Everything = Annotated[
    bool, typer.Option("--all", help="Workloads and evasions, a file each, as many as fit.", rich_help_panel=PLAN)
]
PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan", help="With --all: those of this file alone. Example: --plan mine.json", rich_help_panel=PLAN
    ),
]
Within = Annotated[
    float, typer.Option(parser=duration, help="Time for all. Example: --within 20min", rich_help_panel=PLAN)
]
