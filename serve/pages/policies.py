"""Policies of a page: read as they are typed, and tried on traces or on a job that runs."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import urlencode

from hashwarden.errors import UsageError
from hashwarden.serve.pages.pages import Ask
from hashwarden.serve.pages.trials import Trials

__all__ = ["EXAMPLE", "Policies"]

EXAMPLE: Final = """\
# Nothing is asked for while mode is "dry-run". Try the policy on a run below.
mode = "dry-run"
require_approval = ["cancel", "requeuehold", "drain"]

[ladder]
first_warning_minutes = 15
second_warning_minutes = 45
cancel_minutes = 60

[[rules]]
name = "mining"
action = "requeuehold"

[[rules]]
name = "hash-work"
classes = ["hash-other"]
first_warning_minutes = 60
second_warning_minutes = 240
"""
_MOST: Final = 60_000
_RESULT: Final = re.compile(r"/v1/policy/replay/([0-9a-f]{16})")
_LINE: Final = re.compile(r"\bpolicy:(\d+)|\(at line (\d+), column \d+\)")
_ATTRIBUTES: Final = ("kind", "user", "account", "partition", "namespace")


@final
class Policies:
    """See the module.

    Parameters
    ----------
    traces : sequence of Path
    example : str
    """

    def __init__(self, traces: Sequence[Path], example: str = "") -> None:
        self._traces, self._example = traces, example or EXAMPLE
        self._trials = Trials(traces)
        self._listing = Trials(traces)
        self._list = self._listing.begin({"what": "list"}) if traces else ""

    def close(self) -> None:
        """End what runs."""
        self._trials.close()
        self._listing.close()

    def page(self) -> dict[str, Any]:
        """What the page begins with: ``example``, ``runs``, ``error`` of the traces, whether it still ``lists``."""
        found = self._listing.result(self._list) or {}
        return {
            "example": self._example, "runs": found.get("runs", []), "error": found.get("error", ""),
            "lists": found.get("state") == "running",
        }  # fmt: skip

    def result(self, path: str) -> Mapping[str, Any] | None:
        """Of a trial."""
        match = _RESULT.fullmatch(path)
        return self._trials.result(match[1]) if match else None

    def check(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Read a policy: what is wrong with its line, or what to remark."""
        from hashwarden.serve.policy.lint import remarks
        from hashwarden.serve.policy.load import read_policy

        content = _text(asked).encode(errors="replace")
        try:
            policy = read_policy(content)
        except UsageError as error:
            line = _LINE.search(str(error))
            return {"good": False, "error": str(error), "line": int(line[1] or line[2]) if line else None}
        said = f"{policy.mode}; {len(policy.rules)} rules, {len(policy.quotas)} quotas"
        return {"good": True, "says": said, "remarks": list(remarks(policy, time.time()))}

    def begin(self, asked: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
        """Try one; `ask` fetches the window of a job that runs."""
        speed, run, job = asked.get("speed", 10), asked.get("run", ""), asked.get("job", "")
        if isinstance(speed, bool) or not isinstance(speed, int | float) or not math.isfinite(speed):
            raise UsageError(f"the speed {speed!r}"[:80], "a number", "10 lets a ladder of 3 hours end in 18 minutes.")
        if not 0 < speed <= 1000:
            raise UsageError(f"the speed {speed:g}", "above 0, at most 1000", "Choose one.")
        if not isinstance(run, str) or not isinstance(job, str):
            raise UsageError("no name of a run or job", "text", "Choose one of the list.")
        question = {"what": "try", "policy": _text(asked), "run": run, "speed": float(speed),
                    "approve": asked.get("approve") is True}  # fmt: skip
        if job:
            question |= _window(job, ask)
        elif not self._traces:
            raise UsageError("no traces", "--trace FILE, or a job that runs", "Start the dashboard with --trace.")
        return {"id": self._trials.begin(question)}


def _text(asked: Mapping[str, Any]) -> str:
    text = asked.get("policy")
    if not isinstance(text, str) or len(text) > _MOST:
        raise UsageError("no policy, or a long one", f"TOML of at most {_MOST:,} characters", "Send less.")
    return text


def _window(job: str, ask: Ask) -> dict[str, Any]:
    """The samples of the last minutes of a job on its first GPU."""
    page = _asked(ask, "/v1/job?" + urlencode({"key": job}))
    gpu = next(iter(page.get("verdicts") or {}), "")
    window = _asked(ask, "/v1/job/channels?" + urlencode({"key": job, "gpu": gpu}))
    attributes = {name: str(page[name]) for name in _ATTRIBUTES if page.get(name)}
    return {"window": window, "attributes": attributes}


def _asked(ask: Ask, page: str) -> Mapping[str, Any]:
    status, found = ask("GET", page, None)
    if status != HTTPStatus.OK:
        raise UsageError(str(found.get("error", "no answer")), "a job that runs", "Choose another.")
    return found
