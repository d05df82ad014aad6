"""``hashwarden scan``: from the flags to a request."""

from __future__ import annotations

import typer

from hashwarden.cli import scan_flags as flags
from hashwarden.cli.request import Format, Request
from hashwarden.errors import UsageError
from hashwarden.kernels.sass.limits import Limits
from hashwarden.serve.scan.levels import FailOn

__all__ = ["scan_command"]

_DEFAULT = Limits()


def scan_command(  # noqa: PLR0913, PLR0917  one parameter per flag
    targets: flags.Targets = None,
    pid: flags.PidFlag = None,
    form: flags.FormatFlag = Format.TABLE,
    output: flags.OutputFlag = None,
    explain: flags.ExplainFlag = False,
    kernels: flags.KernelsFlag = False,
    fail_on: flags.FailOnFlag = FailOn.MINING,
    jobs: flags.JobsFlag = None,
    cache: flags.CacheFlag = True,
    quiet: flags.QuietFlag = False,
    max_nesting: flags.MaxNesting = _DEFAULT.nesting,
    max_expanded: flags.MaxExpanded = _DEFAULT.expanded_bytes,
    max_ratio: flags.MaxRatio = _DEFAULT.expansion_ratio,
    max_object: flags.MaxObject = _DEFAULT.object_bytes,
    max_objects: flags.MaxObjects = _DEFAULT.objects,
    timeout: flags.Timeout = _DEFAULT.seconds,
    max_memory: flags.MaxMemory = _DEFAULT.memory_bytes,
) -> None:
    """Read the GPU machine code in files, packages, images and processes, and judge what it computes.

    Needs no GPU and runs nothing of what it reads.

    Verdicts, from worst to best: hash: mining-like, hash: other, abstain, not judged, not hash.
    """
    from hashwarden.cli.run_scan import run

    if not targets and not pid:
        raise UsageError("neither a TARGET nor a --pid", "something to scan", "Example: hashwarden scan a.whl")
    limits = Limits(max_nesting, max_expanded, max_ratio, max_object, max_objects, timeout, max_memory)
    named, pids = tuple(targets or ()), tuple(pid or ())
    request = Request(named, pids, form, output, explain, kernels, fail_on, jobs, cache, quiet, limits)
    raise typer.Exit(run(request))
