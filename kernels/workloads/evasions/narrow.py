"""The evasion that stays small: few blocks, so that most multiprocessors idle."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Final

from hashwarden.kernels.workloads.evasions.evasion import Clock, Evasion, Run
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["EVASIONS"]


def _as_it_is(run: Run, _: Sequence[Run], __: Settings, ___: int, ____: Clock) -> Run:
    return run


EVASIONS: Final = (
    Evasion(
        name="few-sms",
        summary="Launch few blocks, so that the work stays on few multiprocessors (engine numba)",
        parameters=(Parameter("blocks", "blocks", 1, 1 << 16, "blocks of a launch at most"),),
        defaults={"blocks": 8},
        share=lambda _: nan,
        wrap=_as_it_is,
        most_blocks=lambda settings: settings["blocks"],
    ),
)
