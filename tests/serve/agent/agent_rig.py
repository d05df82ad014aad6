"""What the stand-in for NVIDIA's library has to be told to say what a trace says; the benchmark uses it too."""

from __future__ import annotations

import math

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.trace import Run

SWITCHES = range(172, 210, 5)
"""GPM's counts of context switches, which the synthesised runs do not have."""


def lines_of(run: Run, row: int) -> list[str]:
    """What the stand-in has to be told to say what a trace says."""
    values = run.values[row]

    def of(name: str) -> float:
        value = float(values[INDEX[name]])
        return 0.0 if math.isnan(value) else value

    found = [f"value gpu {100 * of('gpu_util_ratio'):.0f}", f"value memory {100 * of('memory_util_ratio'):.0f}",
             f"value power {1e6 * 0.7 * of('power_ratio'):.0f}", f"value temperature {of('temperature_celsius'):.0f}",
             f"value sm_clock {1980 * of('sm_clock_ratio'):.0f}",
             f"value memory_clock {2619 * of('memory_clock_ratio'):.0f}",
             f"value decoder {100 * of('decoder_util_ratio'):.0f}",
             f"value memory_temperature {of('memory_temperature_celsius'):.0f}",
             f"value reasons {4 * of('power_capped_ratio'):.0f}",
             f"value used_gib {80 * of('fb_used_ratio'):.3f}"]  # fmt: skip
    for channel in CHANNELS:
        value = float(values[INDEX[channel.name]])
        if channel.gpm is None or channel.gpm > 100 or math.isnan(value):
            continue
        found.append(f"metric {channel.gpm} {100 * value if channel.unit == 'ratio' else value:.6g}")
    miss = of("dram_cache_miss_ratio")
    found += [f"refuse {number} 3" for number in SWITCHES] + [
        f"value process_sm {100 * of('process_sm_util_ratio'):.0f}"
    ]
    return [*found, f"metric 164 {1000 * (1 - miss):.6g}", f"metric 165 {1000 * miss:.6g}"]
