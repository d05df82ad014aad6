"""Honest jobs with autocorrelated scores, and the algebra of the evidence once more, in a loop that Numba compiles.

`hashwarden.model.sequential_math.bet` is compared with this twin in test_sequential_bound.py; only the twin is fast
enough for a month of blocks of a thousand jobs.
"""

import math

import numpy as np
from numba import njit

PHI, BURST, BURST_END, SWITCH = 0.93, 1 / 720, 1 / 3, 1 / 90
"""Autocorrelation of the log-odds from block to block (2.3 minutes), honest bursts (one in 2 hours, 30 s long), and
changes of regime (15 minutes)."""


@njit(cache=False)
def score(job, noise):
    """Block score of a job; job = base log-odds, AR(1) state, burst, regime, height of the
    regime, autocorrelation."""
    job[1] = job[5] * job[1] + math.sqrt(1 - job[5] * job[5]) * noise
    u = np.random.random()
    if job[2] > 0:
        job[2] = 0.0 if u < BURST_END else 1.0
    else:
        job[2] = 1.0 if u < BURST else 0.0
    if np.random.random() < SWITCH:
        job[3] = 1.0 - job[3]
    return 1.0 / (1.0 + math.exp(-(job[0] + 0.9 * job[1] + 5.0 * job[2] + job[4] * job[3])))


@njit(cache=False)
def start(job, phi):
    """Draw a job, at a random moment of its life."""
    job[5] = phi
    job[0] = -5.0 + 1.1 * np.random.standard_normal()
    job[1] = np.random.standard_normal()
    job[2] = 1.0 if np.random.random() < BURST / (BURST + BURST_END) else 0.0
    job[3] = 1.0 if np.random.random() < 0.5 else 0.0
    job[4] = 2.0 * np.random.random()


@njit(cache=False)
def sample(runs, blocks, seed, phi=PHI):
    """Block scores of new honest jobs, shape (runs, blocks)."""
    np.random.seed(seed)
    out, job = np.empty((runs, blocks)), np.empty(6)
    for run in range(runs):
        start(job, phi)
        for block in range(blocks):
            out[run, block] = score(job, np.random.standard_normal())
    return out


@njit(cache=False)
def follow(scores, null, fractions, horizon, within, beyond):
    """Block at which the evidence of a run first reaches its threshold, -1 for never; and the evidence at its end."""
    wealth, left = np.zeros(len(fractions)), 1.0
    evidence = 1.0
    for block in range(len(scores)):
        after = 1.0 / (1.0 + math.log1p((block + 1) / 6.0))
        bold = math.sqrt(horizon / max(horizon, block + 1))
        total = 0.0
        for j in range(len(fractions)):
            f = bold * fractions[j]
            wealth[j] = min((wealth[j] + left - after) * (1.0 - f + f * scores[block] / null), 1e12)
            total += wealth[j]
        left = after
        evidence = total / len(fractions) + after
        if evidence >= (within if block < horizon else beyond):
            return block, evidence
    return -1, evidence


@njit(cache=False, fastmath=True)
def month(jobs, blocks, nulls, fractions, horizon, within, beyonds, seed, phi=PHI):
    """When each of new honest jobs is first flagged, for each pair of null level and threshold.

    Returns
    -------
    int64 array, shape (jobs, len(nulls))
        Block; -1 for never.
    """
    np.random.seed(seed)
    flagged = np.full((jobs, len(nulls)), -1)
    job, wealth, sizes = np.empty(6), np.empty((len(nulls), len(fractions))), np.empty(len(fractions))
    weights, bold, ratios = np.empty(blocks), np.empty(blocks), 1.0 / nulls
    limits = np.empty((2, len(nulls)))
    limits[0], limits[1] = within * len(fractions), beyonds * len(fractions)
    for block in range(blocks):
        weights[block] = 1.0 / (1.0 + math.log1p(block / 6.0)) - 1.0 / (1.0 + math.log1p((block + 1) / 6.0))
        bold[block] = math.sqrt(horizon / max(horizon, block + 1))
    for run in range(jobs):
        start(job, phi)
        wealth[:] = 0.0
        for block in range(blocks):
            s = score(job, np.random.standard_normal())
            sizes[:] = bold[block] * fractions
            late = 0 if block < horizon else 1
            for k in range(len(nulls)):
                win, total = s * ratios[k] - 1.0, 0.0
                for j in range(len(sizes)):
                    wealth[k, j] = (wealth[k, j] + weights[block]) * (1.0 + sizes[j] * win)
                    total += wealth[k, j]
                if total >= limits[late, k]:
                    if flagged[run, k] < 0:
                        flagged[run, k] = block
                    wealth[k] = 1.0  # what was flagged once is counted; it must not overflow
    return flagged
