"""The counters file that dcgm-exporter should be given: every field that becomes a channel, and what turns it into one.

``python -m hashwarden.serve.sources.dcgm_counters deploy/dcgm/hashwarden-counters.csv`` writes it; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hashwarden.model.channels import CHANNELS, Channel
from hashwarden.serve.sources.dcgm_fields import NAMES, PROFILED

__all__ = ["counters_file"]

_HEAD: Final = """\
# What hashwarden reads of dcgm-exporter: dcgm-exporter -f hashwarden-counters.csv -c 1000
# Made from the table of channels: python -m hashwarden.serve.sources.dcgm_counters FILE
#
# The names are those before DCGM 4.6; newer versions know them too. A line that the GPU or an older DCGM does not know
# may be left out, and any line may: what is not there is missing and never 0.
# -c is the interval in milliseconds. The exporter's default of 30000 works; a verdict then takes longer.
#
# DCGM field, type, help
"""

_PROFILING: Final = """
# Profiling. Before Hopper it needs root or CAP_SYS_ADMIN, and it keeps Nsight and other profilers away from the GPU
# (DCGM issue 56); there DCGM also measures some of these fields in turns.
"""

_A40: Final = """\
# !! DCGM_FI_PROF_DRAM_ACTIVE (field 1005) has hung A40 GPUs (Xid 119, DCGM issue 144). On nodes with an A40 take the
# !! next line out.
"""

_LIMITS: Final = {
    113: "highest clock of the SMs (in MHz); the clock is told over it",
    114: "highest clock of the memory (in MHz); the clock is told over it",
    112: "why clocks are held down (bits)",
    164: "enforced power limit (in W); power and energy are told over it",
    250: "device memory (in MiB)",
    251: "device memory that is free (in MiB)",
    253: "device memory that the driver reserved (in MiB)",
}
_SAID: Final = {
    101: "clock of the memory",
    156: "energy used",
    1013: "share of cycles in which the int8 tensor pipe worked",
    1014: "share of cycles in which the half-precision tensor pipe worked",
    1015: "share of cycles in which the double-precision tensor pipe worked",
}
"""Where the channel is another quantity than the field, or says "the same"."""

_UNITS: Final = {155: "in W", 156: "in mJ since the driver was loaded", 150: "in C", 140: "in C", 100: "in MHz",
                 101: "in MHz", 252: "in MiB", 203: "in %", 204: "in %", 206: "in %", 207: "in %"}  # fmt: skip


def counters_file() -> str:
    """The file's text."""
    known = {channel.dcgm: channel for channel in CHANNELS if channel.dcgm is not None}
    plain = [_line(number, _help(number, known[number])) for number in sorted(known.keys() - PROFILED.keys())]
    limits = [_line(number, text) for number, text in sorted(_LIMITS.items())]
    return _HEAD + "".join(plain) + "\n# What turns them into ratios.\n" + "".join(limits) + "".join(_profiling(known))


def _profiling(known: dict[int, Channel]) -> Iterator[str]:
    yield _PROFILING
    for number in sorted(PROFILED):
        if number == 1005:
            yield _A40
        yield _line(number, _help(number, known[number]))


def _help(number: int, channel: Channel) -> str:
    unit = _UNITS.get(number) or ("a ratio" if channel.unit == "ratio" else "in bytes per second")
    return f"{_SAID.get(number, channel.meaning)} ({unit})"


def _line(number: int, text: str) -> str:
    """One line; the exporter wants three columns, so there is no comma in the help."""
    kind = "counter" if number == 156 else "gauge"
    return f"{NAMES[number][0]}, {kind}, {text.replace(',', ';')}\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(counters_file(), encoding="utf-8")
