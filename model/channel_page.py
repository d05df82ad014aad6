"""docs/channels.md, made from the tables: what every channel means, and what is done about faults of counters.

Written anew by ``python -m hashwarden.model.channel_page docs/channels.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hashwarden.model.channels import CHANNELS, GROUPS, TIERS, Channel, schema_hash
from hashwarden.model.known_faults import FAULTS
from hashwarden.model.validity_rules import (
    CLAMP_TO,
    CLOCK_STEP,
    DEAD,
    DEAD_S,
    FIRST_FAULT,
    FROZEN_S,
    FROZEN_SAMPLES,
    REASON_TEXT,
    Reason,
)

__all__ = ["page"]

_HEAD: Final = """# Channels

Every number that the job model may read of a GPU, a job or a probe. This page is made from the table in
`model/channels.py`, and a test compares them. A channel is a physical quantity: the same one comes from NVML, from a
DCGM field or from a synthesised sensor. A value that is not there is NaN in memory and null in a trace
([trace-format.md](trace-format.md)), never 0.

"read by the network": not where a value names the GPU rather than the work. The network cuts each channel into pieces
at quantiles of the values that it learned from.

"c" marks ratios of clock cycles, "n" counters that never repeat themselves on a busy GPU.
"""

_GROUPS: Final = {
    "nvml": "Plain NVML: no privilege, every GPU",
    "gpm": "GPM (Hopper and newer) or DCGM's profiling fields",
    "pm": "CUPTI PM sampling: bursts at kHz",
    "launch": "Launches of the job's processes",
    "code": "The kernel model on the code of what was launched",
    "probe": "Our own probes on the same GPU",
}


def page() -> str:
    """The page, in Markdown."""
    parts = [_HEAD, _tiers(), *(_group(group) for group in GROUPS), _validity(), _faults()]
    return "\n".join(parts) + f"\nHash of the table: `{schema_hash()}`.\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', ' ') for cell in line)} |\n" for line in lines)


def _tiers() -> str:
    rows = [(f"`{name}`", ", ".join(groups)) for name, groups in TIERS.items()]
    return "## Tiers\n\n" + _table(("tier", "groups"), rows)


def _group(group: str) -> str:
    head = ("channel", "unit", "range", "meaning", "GPM", "DCGM", "read by the network", "")
    rows = (_row(channel) for channel in CHANNELS if channel.group == group)
    return f"## {_GROUPS[group]} (`{group}`)\n\n" + _table(head, rows)


def _row(channel: Channel) -> tuple[str, ...]:
    reads = "yes" if channel.network else "no"
    meaning = f"{channel.meaning}; {channel.notes}" if channel.notes else channel.meaning
    numbers = ("" if number is None else str(number) for number in (channel.gpm, channel.dcgm))
    marks = "c" * channel.per_cycle + "n" * channel.noisy
    span = f"{channel.low:g} to {channel.high:g}"
    return (f"`{channel.name}`", channel.unit, span, meaning, *numbers, reads, marks)


def _validity() -> str:
    return f"""## Validity

Every sample is judged before a model sees it (`hashwarden.model.validity`), live and replayed alike, from the past
alone. Each value has a reason:

{_table(("code", "reason", "meaning", ""), (_reason(code) for code in Reason))}
- Sentinels and impossible values: at once. A ratio up to {CLAMP_TO:g} reads as 1.
- Frozen: a noisy counter with the same bits for {FROZEN_S:g} s and {FROZEN_SAMPLES} samples, while it or another says
  that the GPU works, or others move. Exact 0 and 1 can last, and so can a whole number of warps. Where nothing else of
  the group moves either, the whole group is frozen. A source must therefore not round ratios.
- Dead: a lasting 0 that a witness contradicts, for {DEAD_S:g} s and the samples below in all. It stays dead until it
  shows something above 0, so a GPU that rests or works in bursts does not hide it.
- Clock: at a change of the SM clock by {CLOCK_STEP:g} of the highest between two samples.
- A group is blind while under half of its key channels that were ever credible are so now, or while it gave nothing.

{_table(("0 of", "contradicted by", "samples"), (_dead_row(place) for place in range(len(DEAD))))}"""


def _reason(code: Reason) -> tuple[str, ...]:
    return str(int(code)), f"`{code.name}`", REASON_TEXT[code], "not credible" if code >= FIRST_FAULT else "kept"


def _dead_row(place: int) -> tuple[str, ...]:
    rule = DEAD[place]
    witnesses = ", ".join(f"`{name}` >= {level:g}" for name, level in rule.witnesses.items())
    zeros = ", ".join(f"`{name}`" for name in rule.zeros)
    more = len(set(rule.kills) - set(rule.zeros))
    return zeros + (f" (and {more} more that are 0)" if more else ""), witnesses, str(rule.samples)


def _faults() -> str:
    head = ("reported", "effect", "what is done", "test")
    rows = ((fault.report, fault.effect, fault.answer, fault.test and f"`{fault.test}`") for fault in FAULTS)
    return "## Known faults of counters\n\nTests are in `tests/model/test_validity.py`.\n\n" + _table(head, rows)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
