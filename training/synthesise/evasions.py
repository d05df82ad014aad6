"""Ways to mine less noticeably: what an attacker sets, with ranges, and which transformation of a schedule it is.

Seen in the wild: idling by bands of 40 to 80, 70 to 95 and 85 to 100 per cent in stages of 8 to 45 s, false names and
logs (open-pearl-miner); lower intensity, power and clocks (ccminer, xmrig, OneZeroMiner); pausing and giving memory
back while watched (SilentCryptoMiner); mining beside or inside real work. The rest is what a careful reader of a
detector would try.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from hashwarden.model.job.taxonomy import STRATEGIES
from hashwarden.training.synthesise.hiding import (
    besides,
    bursts,
    duty_cycle,
    few_sms,
    interleave,
    pad,
    plain,
    slow_start,
    throttle,
)  # fmt: skip
from hashwarden.training.synthesise.hiding_tools import Hide
from hashwarden.training.synthesise.mimicry import mimic_requests, mimic_step
from hashwarden.training.synthesise.scene import Parameter

__all__ = ["HIDE", "STRATEGY_PARAMETERS", "wild_band"]


def _share(low: float, default: float, meaning: str) -> Parameter:
    return Parameter("share", low, 1.0, default, meaning=meaning)


_SLICE: Final = Parameter("slice_s", 0.01, 5, 0.2, log=True, unit="s", meaning="length of a turn of working and idling")
_MEMORY: Final = Parameter("memory", 0.02, 0.95, 0.7, meaning="memory that is taken for show, of all there is")
_PAD: Final = Parameter("pad", 0.0, 0.6, 0.15, meaning="share of the busy time that goes to useless float work")
_JITTER: Final = Parameter("launch_jitter", 0.02, 3, 0.5, log=True, meaning="variation of the launches")

STRATEGY_PARAMETERS: Final[Mapping[str, tuple[Parameter, ...]]] = MappingProxyType(
    {
        "plain": (),
        "duty-cycle": (
            Parameter("low", 0.02, 0.98, 0.7, meaning="least busy share of a stage"),
            Parameter("high", 0.05, 1.0, 0.95, meaning="most busy share of a stage; below low, the two are exchanged"),
            Parameter("shortest_s", 1, 120, 8, log=True, unit="s", meaning="shortest stage"),
            Parameter("longest_s", 5, 900, 45, log=True, unit="s", meaning="longest stage"),
            _SLICE,
        ),
        "throttle": (
            _share(0.01, 0.4, "busy share"),
            _SLICE,
            Parameter("clock", 0.4, 1.0, 1.0, meaning="SM clock that is pinned, over the highest"),
        ),
        "interleave": (
            _share(0.01, 0.3, "share of the time that is taken from the training"),
            Parameter("block_s", 0.01, 30, 0.3, log=True, unit="s", meaning="length of a turn of mining"),
            Parameter("aligned", 0.0, 1.0, 1.0, meaning="from a half on: turns come after whole steps"),
        ),
        "pad": (
            _share(0.02, 0.5, "share of the busy time that mines"),
            _SLICE,
            Parameter("tensor", 0.0, 1.0, 0.4, meaning="part of the padding that is tensor work"),
            Parameter("float", 0.0, 1.0, 0.4, meaning="part of the rest that is FP32, the last part moves memory"),
            _MEMORY,
        ),
        "dual": (
            Parameter("weight", 0.01, 4, 1, log=True, meaning="time slices of the miner for each of the other process"),
            Parameter("share", 0.05, 1.0, 1.0, meaning="busy share of the miner's own process"),
        ),
        "few-sms": (
            Parameter("sms", 0.01, 0.7, 0.15, log=True, meaning="share of the SMs that its launches fill"),
            Parameter("time", 0.1, 1.0, 1.0, meaning="share of the time; below 1 another job has the rest"),
        ),
        "mimic-step": (
            Parameter("step_s", 0.1, 20, 1.5, log=True, unit="s", meaning="length of the imitated step"),
            Parameter("gap", 0.005, 0.6, 0.08, log=True, meaning="share of the step that idles, as if for data"),
            _PAD,
            Parameter("jitter", 5e-4, 0.12, 0.01, log=True, meaning="deviation over mean of the length of a step"),
            _MEMORY,
            Parameter("checkpoint_every_s", 60, 7200, 900, log=True, unit="s", meaning="time between checkpoints"),
            Parameter("checkpoint_s", 0.5, 30, 5, log=True, unit="s", meaning="length of a false checkpoint"),
            _JITTER,
        ),
        "mimic-requests": (
            Parameter("load", 0.02, 1.2, 0.6, log=True, meaning="busy share on average; above 1 saturated"),
            Parameter("request_s", 0.02, 10, 0.8, log=True, unit="s", meaning="length of an imitated request"),
            _PAD,
            Parameter("burst", 0.0, 0.9, 0.4, meaning="part of the load that comes in bursts"),
            Parameter("burst_s", 2, 300, 20, log=True, unit="s", meaning="mean length of a burst"),
            _MEMORY,
            _JITTER,
        ),
        "burst": (
            Parameter("on_s", 5, 1800, 240, log=True, unit="s", meaning="length of a time of mining"),
            Parameter("every_s", 20, 14400, 3600, log=True, unit="s", meaning="time from one to the next"),
            _share(0.05, 1.0, "share of the GPU's time that it takes meanwhile"),
        ),
        "slow-start": (
            Parameter("honest_s", 1, 86400, 7200, log=True, unit="s",
                      meaning="honest work before; at most 0.9 of the recording"),
            _share(0.05, 0.9, "share of the GPU's time that it takes then"),
        ),
    }
)  # fmt: skip
"""What can be set for each strategy: what `make_run` draws and the red team searches."""

HIDE: Final[Mapping[str, Hide]] = MappingProxyType(
    dict(
        zip(
            STRATEGIES,
            (plain, duty_cycle, throttle, interleave, pad, besides, few_sms, mimic_step, mimic_requests, bursts,
             slow_start),
            strict=True,
        )
    )
)  # fmt: skip
"""The transformation of each strategy, in the order of `STRATEGIES`."""

_BANDS: Final = ((0.4, 0.8), (0.7, 0.95), (0.85, 1.0))


def wild_band(rng: np.random.Generator) -> dict[str, float]:
    """One of the bands and stages that a disguised miner was seen with, as changes of ``duty-cycle``."""
    low, high = _BANDS[int(rng.integers(len(_BANDS)))]
    return {"low": min(low, 0.98), "high": high, "shortest_s": 8.0, "longest_s": 45.0}
