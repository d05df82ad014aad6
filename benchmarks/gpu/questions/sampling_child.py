"""A process that asks for the counters of a GPU, and says what it was told. Started by sampling.py.

    python sampling_child.py UID FOLDER

Loads its libraries, waits for a line, becomes that user if root started it (0: nobody else), and prints two answers as
JSON: what this project's own look at privileges says, and what CUPTI says when it is asked all the same. FOLDER is a
new one of that user's own: locks go there, so that it is CUPTI that refuses a second reader and not this project.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

ALL_MAY = "RmProfilingAdminOnly: 0\n"
SECONDS = 0.5


def answer(ask: Any) -> dict[str, Any]:
    """What came of asking."""
    try:
        return {"answers": True, "said": ask()}
    except Exception as error:  # whatever refuses
        cause = error.__cause__
        return {"answers": False, "kind": type(error).__name__, "said": str(error)[:400],
                "cause": type(cause).__name__ if cause else None}  # fmt: skip


def main() -> None:
    """Run from the command line."""
    uid, folder = int(sys.argv[1]), Path(sys.argv[2])
    from telemetry_child import become, capabilities

    from hashwarden.kernels.streams import privilege
    from hashwarden.kernels.streams.collector import CuptiDriver
    from hashwarden.kernels.streams.sampler import Sampler

    missing = answer(lambda: CuptiDriver() and None)
    sys.stdin.readline()
    become(uid)
    open_to_all = folder / "params"
    open_to_all.write_text(ALL_MAY)

    def sampled() -> int:
        with Sampler(0, rate_hz=1000, parameters=open_to_all, locks=folder / "locks") as sampler:
            until, got = time.monotonic() + SECONDS, 0
            while time.monotonic() < until:
                time.sleep(0.05)
                got += sum(len(block.values) for block in sampler.poll())
        return got

    print(json.dumps({
        "uids": os.getresuid(), "capabilities": capabilities(), "cupti_python": missing,
        "own_look": answer(privilege.check_privilege),
        "cupti": answer(sampled) if missing["answers"] else missing,
    }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
