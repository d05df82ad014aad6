"""Curves over outcomes: mining found as time goes, and mining found against false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hashwarden.training.job.measures import DAY_S, PER_DAYS, Outcome

__all__ = ["TIMES_S", "against_alarms", "over_time"]

TIMES_S: Final = (10, 20, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1200, 1800, 2700, 3600, 7200, 86400)
"""Seconds at which the share found is read."""

MOST_POINTS: Final = 40


def over_time(outcomes: Sequence[Outcome]) -> list[float]:
    """Give the share of mining runs confirmed by each of `TIMES_S`."""
    at = np.array([o.alarm_s for o in outcomes if o.mining])
    return [float((at <= t).mean()) for t in TIMES_S] if len(at) else []


def against_alarms(outcomes: Sequence[Outcome]) -> list[list[float]]:
    """Give (false alarms per 1,000 GPU-days, share found) for thresholds on the evidence, strictest first.

    A threshold just above each of the highest evidences of honest runs: the first has no alarm, the next has one.
    """
    honest = [o for o in outcomes if o.honest]
    mining = np.array([o.rises[-1, 1] for o in outcomes if o.mining])
    days = sum(o.seconds for o in honest) / DAY_S
    if not len(mining) or not days:
        return []
    tops = np.sort([o.rises[-1, 1] for o in honest])[::-1]
    places = np.unique(np.geomspace(1, len(tops), MOST_POINTS).astype(int)) - 1
    return [[float(k / days * PER_DAYS), float((mining > tops[k]).mean())] for k in places.tolist()]
