"""With whom PM sampling gets on: GPM, Nsight Compute, DCGM, a second sampler, an ordinary user. Part of sampling.py."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from telemetry_process import Child

__all__ = ["beside_ncu", "gpm_windows", "second", "tell_gpm", "tell_ncu", "tell_second", "tool"]

CHILD = Path(__file__).with_name("sampling_child.py")
WATCHED = (2, 3, 4, 5, 9, 10, 13)
WINDOWS, WINDOW_S = 5, 0.2
NCU_S, ASK_S = 25.0, 30.0
TINY = "import torch; x = torch.ones(1 << 20, device='cuda'); (x + x).sum().item()"
TAIL = 300
Row = dict[str, Any]


def gpm_windows(raw: Any) -> Row:
    """What GPM says in a few windows: median of each metric, windows without an answer, refused calls."""
    watched = [number for number in WATCHED if number in raw.supported]
    values: dict[int, list[float]] = {number: [] for number in watched}
    refused: dict[str, int] = {}
    for _ in range(WINDOWS):
        first = second = None
        try:
            first = raw.sample()
            time.sleep(WINDOW_S)
            second = raw.sample()
            got = raw.between(first, second)
        except Exception as error:  # whatever it is told while somebody else reads
            refused[f"{error}"[:TAIL]] = refused.get(f"{error}"[:TAIL], 0) + 1
            continue
        finally:
            for sample in (first, second):
                if sample is not None:
                    raw.free(sample)
        for number in watched:
            if math.isfinite(got.get(number, math.nan)):
                values[number].append(got[number])
    rows = {
        f"{number} {raw.names.get(number, '')}": {"answers": len(got), "median": float(np.median(got)) if got else None}
        for number, got in values.items()
    }
    return {"windows": WINDOWS, "refused": refused, "metrics": rows}


def tell_gpm(say: Callable[[str], None], found: dict[str, Row]) -> None:
    """Sentences on GPM before, while and after there was a sampler."""
    for name, row in found.items():
        silent = [metric for metric, got in row["metrics"].items() if got["answers"] < row["windows"]]
        said = ", ".join(
            f"{metric} {got['median']:.4g}" for metric, got in row["metrics"].items() if got["median"] is not None
        )
        why = "; refused: " + "; ".join(f"{words} ({n} times)" for words, n in row["refused"].items())
        say(f"company: GPM {name} PM sampling: {said or 'no value'}; metrics without an answer in some of "
            f"{row['windows']} windows: {', '.join(silent) or 'none'}{why if row['refused'] else ''}.")  # fmt: skip


def tool(name: str) -> str | None:
    """Where a program is."""
    return shutil.which(name)


def beside_ncu(ncu: str) -> Row:
    """Let Nsight Compute count on a tiny program."""
    command = [ncu, "--metrics", "sm__cycles_active.avg,sm__inst_executed.sum", "--launch-count", "1",
               "--clock-control", "none", "--csv", "--page", "raw", sys.executable, "-c", TINY]  # fmt: skip
    start = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NCU_S, check=False)
    except subprocess.TimeoutExpired:
        return {"answers": False, "said": f"no end within {NCU_S:.0f} s", "seconds": NCU_S}
    except OSError as error:
        return {"answers": False, "said": str(error), "seconds": 0.0}
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    told = [line for line in lines if "ERROR" in line or "error" in line.lower()]
    counted = done.returncode == 0 and any("sm__cycles_active" in line for line in lines) and not told
    return {
        "answers": counted, "code": done.returncode, "seconds": time.monotonic() - start,
        "said": " | ".join(told or lines[-2:])[-TAIL:],
    }  # fmt: skip


def tell_ncu(say: Callable[[str], None], leave: Callable[[str], None], alone: Row, beside: Row, look: Row) -> None:
    """Sentences on Nsight Compute beside a sampler; none if it does not count alone either."""
    if not alone["answers"]:
        leave(f"company: Nsight Compute does not count by itself: {alone['said']}")
        return
    how = "counts" if beside["answers"] else f"does not count ({beside['said']})"
    say(f"company: Nsight Compute counts alone, and {how} while PM sampling runs.")
    say(f"company: meanwhile the sampler got {look['samples']} samples of {look['seconds'] * look['rate_hz']:.0f} "
        f"wanted, with {look['lost']} lost and {look['overflows']} overflows.")  # fmt: skip


@contextmanager
def _folder(uid: int) -> Any:
    """A folder of that user's own."""
    with tempfile.TemporaryDirectory(prefix="hashwarden-") as name:
        if uid and os.geteuid() == 0:
            os.chown(name, uid, uid)
        yield name


def second(uid: int) -> Row:
    """Ask for the counters in another process, as this user (0) or another."""
    with _folder(uid) as folder, Child(str(uid), folder, script=CHILD) as child:
        return child.asked(ASK_S)


def tell_second(say: Callable[[str], None], leave: Callable[[str], None], name: str, row: Row) -> None:
    """Sentences on one that asks."""
    if not row["cupti_python"]["answers"]:
        leave(f"company: {name}: {row['cupti_python']['said']}")
        return
    got = row["cupti"]
    if got["answers"]:
        how = f"gets {got['said']} samples in half a second"
        (say if got["said"] else leave)(f"company: {name} {how}.")
    else:
        say(f"company: {name} is refused as {got['kind']}: {got['said']}")
    own = row["own_look"]
    say(f"company: this project's own look at privileges tells {name}: "
        + ("no objection." if own["answers"] else f"{own['kind']}."))  # fmt: skip
