"""The flags of ``hashwarden scan``, each with its help and one example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashwarden.cli.quantities import duration, plain_size, size
from hashwarden.cli.request import Format
from hashwarden.kernels.sass.limits import Limits
from hashwarden.serve.scan.levels import FailOn

__all__ = [
    "CacheFlag",
    "ExplainFlag",
    "FailOnFlag",
    "FormatFlag",
    "JobsFlag",
    "KernelsFlag",
    "MaxExpanded",
    "MaxMemory",
    "MaxNesting",
    "MaxObject",
    "MaxObjects",
    "MaxRatio",
    "OutputFlag",
    "PidFlag",
    "QuietFlag",
    "Targets",
    "Timeout",
]


def _flag(*names: str, text: str, example: str, **more: Any) -> Any:  # noqa: ANN401  typer's own return type
    return typer.Option(*names, help=f"{text} [dim]Example: {example}[/dim]", **more)


def _limit(*names: str, text: str, example: str, **more: Any) -> Any:  # noqa: ANN401  typer's own return type
    return _flag(*names, text=text, example=example, rich_help_panel="Limits of reading one target", **more)


_TARGETS = (
    "Files, packages, container images and folders: cubin, fat binary, executable, shared object, .a, PTX, wheel, "
    "zip, tar, docker save or OCI image, Parquet table of kernel mixes. [dim]Example: hashwarden scan a.whl build[/dim]"
)
Targets = Annotated[list[str] | None, typer.Argument(metavar="TARGET", help=_TARGETS, show_default=False)]

_PID = "A running process: its mapped files and the code in its memory. May be given again."
_PID_FLAG = _flag("--pid", text=_PID, example="--pid 4711", metavar="N", min=1, show_default=False)
PidFlag = Annotated[list[int] | None, _PID_FLAG]

FormatFlag = Annotated[Format, _flag("--format", "-f", text="Form of the report.", example="--format json")]

_OUTPUT = "Write the report to this file, whole or not at all."
_OUTPUT_FLAG = _flag("--output", "-o", text=_OUTPUT, example="-o scan.sarif", metavar="FILE", show_default=False)
OutputFlag = Annotated[Path | None, _OUTPUT_FLAG]

_EXPLAIN = "Say why, for each file and the kernels that weigh most."
ExplainFlag = Annotated[bool, _flag("--explain", text=_EXPLAIN, example="hashwarden scan --explain a.so")]

KernelsFlag = Annotated[
    bool, _flag("--kernels", text="List every kernel.", example="hashwarden scan --kernels a.cubin")
]

_FAIL_ON = (
    "From which verdict on the exit code is 1: mining, hash, abstain, not-judged or never; each level holds those "
    "before it."
)
FailOnFlag = Annotated[FailOn, _flag("--fail-on", text=_FAIL_ON, example="--fail-on hash", metavar="LEVEL")]

_JOBS = "Worker processes; one per usable core if not given."
_JOBS_FLAG = _flag("--jobs", "-j", text=_JOBS, example="-j 2", metavar="N", min=1, max=1024, show_default=False)
JobsFlag = Annotated[int | None, _JOBS_FLAG]

_CACHE = (
    "Keep verdicts on files by content, version, model and limits, in $HASHWARDEN_CACHE or ~/.cache/hashwarden "
    "(512 MiB at most)."
)
CacheFlag = Annotated[bool, _flag("--cache/--no-cache", text=_CACHE, example="--no-cache")]

_QUIET = "No progress and no table: messages about bad objects and the exit code only."
QuietFlag = Annotated[bool, _flag("--quiet", "-q", text=_QUIET, example="hashwarden scan -q a.whl || exit 1")]

_LIMITS = Limits()


def _size(*names: str, text: str, example: str, default: int) -> Any:  # noqa: ANN401  typer's own return type
    return _limit(*names, text=text, example=example, parser=size, metavar="SIZE", show_default=plain_size(default))


_NESTING = "Containers inside containers."
MaxNesting = Annotated[
    int, _limit("--max-nesting", text=_NESTING, example="--max-nesting 3", metavar="N", min=0, max=64)
]
_EXPANDED = "Bytes when decompressed."
MaxExpanded = Annotated[
    int, _size("--max-expanded", text=_EXPANDED, example="--max-expanded 2GB", default=_LIMITS.expanded_bytes)
]
_RATIO = "Decompressed bytes per compressed byte of a member, checked above 64 MiB."
MaxRatio = Annotated[int, _limit("--max-ratio", text=_RATIO, example="--max-ratio 100", metavar="N", min=1)]
_OBJECT = "Size of one cubin or PTX text."
MaxObject = Annotated[
    int, _size("--max-object", text=_OBJECT, example="--max-object 256MiB", default=_LIMITS.object_bytes)
]
_OBJECTS = "Members and code objects."
MaxObjects = Annotated[int, _limit("--max-objects", text=_OBJECTS, example="--max-objects 9000", metavar="N", min=1)]
_TIMEOUT = _limit(
    "--timeout",
    text="Wall time.",
    example="--timeout 90s",
    parser=duration,
    metavar="TIME",
    show_default=f"{_LIMITS.seconds / 60:g}m",
)
Timeout = Annotated[float, _TIMEOUT]
_MEMORY = "Memory of a parsing worker."
MaxMemory = Annotated[
    int, _size("--max-memory", text=_MEMORY, example="--max-memory 1GiB", default=_LIMITS.memory_bytes)
]
