"""The flags of ``hashwarden redteam``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Alpha",
    "Budget",
    "Family",
    "Gpu",
    "HonestHours",
    "HonestRuns",
    "Hours",
    "Jobs",
    "Minutes",
    "Model",
    "Output",
    "Period",
    "Replay",
    "ScreenMinutes",
    "Seed",
    "Seeds",
    "Strategy",
    "Tier",
    "Trace",
]

SEARCH, WATCH, AGAIN = "The search", "How it is watched", "Evaders that were found"

Output = Annotated[Path, typer.Option(help="Folder for the report. Example: --output /tmp/report", metavar="FOLDER")]
Model = Annotated[Path | None, typer.Option(help="The ONNX file; the shipped one if none. Example: --model job.onnx")]
Budget = Annotated[
    int, typer.Option(help="Candidates beside the defaults. Example: --budget 400", min=0, rich_help_panel=SEARCH)
]
Minutes = Annotated[
    float, typer.Option(help="No batch begins after. Example: --minutes 12", min=0, rich_help_panel=SEARCH)
]
Family = Annotated[list[str] | None, typer.Option(help="All if none. Example: --family ethash", rich_help_panel=SEARCH)]
Strategy = Annotated[
    list[str] | None, typer.Option(help="All if none. Example: --strategy pad", rich_help_panel=SEARCH)
]
Tier = Annotated[list[str] | None, typer.Option(help="nvml, gpm, gpm+code, all.", rich_help_panel=WATCH)]
Period = Annotated[float, typer.Option(help="Seconds between samples.", min=0.1, max=60, rich_help_panel=WATCH)]
Hours = Annotated[float, typer.Option(help="It has to stay unconfirmed for so long.", min=0.1, rich_help_panel=WATCH)]
ScreenMinutes = Annotated[
    float, typer.Option(help="Run that is tried first; 0 for none.", min=0, rich_help_panel=WATCH)
]
Alpha = Annotated[float, typer.Option(help="Share of honest jobs that may be confirmed.", rich_help_panel=WATCH)]
HonestRuns = Annotated[int, typer.Option(help="Honest jobs that are watched first.", min=0, rich_help_panel=WATCH)]
HonestHours = Annotated[float, typer.Option(help="Length of each of them.", min=0.1, rich_help_panel=WATCH)]
Replay = Annotated[Path | None, typer.Option(help="Play a file of evaders again, no search.", rich_help_panel=AGAIN)]
Trace = Annotated[
    Path | None,
    typer.Option(
        help="With --replay: write runs of them to learn from. Example: --trace t.parquet", rich_help_panel=AGAIN
    ),
]
Seed = Annotated[int, typer.Option(help="Of everything random. Example: --seed 7", min=0)]
Jobs = Annotated[int, typer.Option(help="Processes. Example: --jobs 2", min=1)]
Seeds = Annotated[int, typer.Option(help="Runs of a candidate.", min=1, rich_help_panel=SEARCH)]
Gpu = Annotated[str, typer.Option(help="What it runs on.", rich_help_panel=WATCH)]
