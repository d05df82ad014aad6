"""What runs in the probes' own process: a session on one GPU, told by lines on the standard input what to do.

A CUDA context takes memory for as long as its process lives, and a driver that hangs takes the process with it: neither
must be the agent's. The process sees one GPU only, and ends with its parent. A line is a JSON object, in and out.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TextIO

from hashwarden.errors import HashwardenError
from hashwarden.kernels.probes.device import ProbeDevice
from hashwarden.kernels.probes.probe import QUANTILES
from hashwarden.kernels.probes.session import ProbeRound, ProbeSession

__all__ = ["MOST_ROUNDS", "RATE", "main", "serve"]

RATE: Final = 4.0
"""Rounds a second, within a burst."""

MOST_ROUNDS: Final = 64
"""Of one order."""

_PR_SET_PDEATHSIG: Final = 1
_MEDIAN: Final = QUANTILES.index("p50")


def main() -> None:
    """Serve on the only GPU that the environment shows, until the input ends."""
    from hashwarden.kernels.probes.cupy_device import CupyDevice

    serve(lambda: CupyDevice(0))


def serve(
    make: Callable[[], ProbeDevice], orders: Iterable[str] | None = None, out: TextIO | None = None
) -> None:  # fmt: skip
    """Open a session, say so, and follow orders; an error is said and ends it.

    Parameters
    ----------
    make : callable
        Makes the GPU.
    orders : iterable of str, optional
        Lines; the standard input unless given.
    out : text stream, optional
        The standard output unless given; whatever else is printed goes to the standard error.
    """
    out = out or _own_output()
    _bounded()
    try:
        with ProbeSession(make(), rounds_per_second=RATE) as session:
            _say(out, said="ready", facts=asdict(session.facts), bytes=session.bytes)
            for line in orders if orders is not None else sys.stdin:
                _follow(session, json.loads(line), out)
    except HashwardenError as error:
        words = {"got": error.got, "expected": error.expected, "remedy": error.remedy}
        _say(out, said="error", kind=type(error).__name__, **words)
    except Exception as error:  # a driver's errors have many types
        _say(out, said="error", kind="NoDeviceError", got=f"{type(error).__name__}: {error}"[:300],
             expected="a GPU that answers", remedy="See the kernel's log for Xid errors.")  # fmt: skip


def _own_output() -> TextIO:
    """The standard output for ourselves alone: libraries that print would break the lines."""
    mine = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return mine


def _bounded() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _follow(session: ProbeSession, order: Mapping[str, Any], out: TextIO) -> None:
    start = time.monotonic()
    if order["do"] == "calibrate":
        try:
            session.calibrate(int(order["rounds"])).save(Path(order["path"]))
        except HashwardenError as error:  # the GPU was not idle: no reason to end
            _say(out, said="busy", got=error.got)
        else:
            _say(out, said="calibrated")
        return
    rounds = [session.round() for _ in range(max(1, min(int(order["rounds"]), MOST_ROUNDS)))]
    _say(out, said="rounds", start_s=start, end_s=time.monotonic(), **_summary(rounds))


def _summary(rounds: list[ProbeRound]) -> dict[str, Any]:
    """Medians over the rounds of each probe's median latency, in cycles a link; null where a probe never ran."""
    latency = {name: _median([r.quantiles[name][_MEDIAN] for r in rounds]) for name in rounds[0].quantiles}
    shares = [r.gaps.share for r in rounds if not math.isnan(r.gaps.share)]
    return {
        "rounds": len(rounds),
        "latency": latency,
        "gap": sum(shares) / len(shares) if shares else None,
        "gpu_us": sum(r.gpu_us for r in rounds),
        "over_budget": sum(r.over_budget for r in rounds),
    }


def _median(values: list[float]) -> float | None:
    there = sorted(value for value in values if not math.isnan(value))
    return there[len(there) // 2] if there else None


def _say(out: TextIO, **words: Any) -> None:  # noqa: ANN401
    out.write(json.dumps(words, default=str) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
