"""``hashwarden redteam``: its parameters, handed on as they are."""

from __future__ import annotations

from pathlib import Path

from hashwarden.cli import redteam_flags as flags

__all__ = ["redteam_command"]


def redteam_command(  # noqa: PLR0913, PLR0917  each is a flag
    output: flags.Output = Path("docs/evaluation"),
    model: flags.Model = None,
    seed: flags.Seed = 0,
    jobs: flags.Jobs = 2,
    budget: flags.Budget = 240,
    minutes: flags.Minutes = 12.0,
    seeds: flags.Seeds = 2,
    family: flags.Family = None,
    strategy: flags.Strategy = None,
    tier: flags.Tier = None,
    gpu: flags.Gpu = "H100 SXM",
    period: flags.Period = 10,
    hours: flags.Hours = 24,
    screen_minutes: flags.ScreenMinutes = 60,
    alpha: flags.Alpha = 1e-3,
    honest_runs: flags.HonestRuns = 120,
    honest_hours: flags.HonestHours = 8,
    replay: flags.Replay = None,
    trace: flags.Trace = None,
) -> None:  # fmt: skip
    """Attack the job model: how much hash rate the best evader keeps for a day without being confirmed.

    Every way to hide over every family, then random settings and CMA-ES, all synthesised. Needs the extra 'train'.
    Example: hashwarden redteam --minutes 12 --output /tmp/report
    """
    from hashwarden.cli.run_redteam import Request, run_redteam

    run_redteam(
        Request(
            output=output, model=model, seed=seed, jobs=jobs, budget=budget, minutes=minutes, seeds=seeds,
            family=family, strategy=strategy, tier=tier, gpu=gpu, period=period, hours=hours,
            screen_minutes=screen_minutes, alpha=alpha, honest_runs=honest_runs, honest_hours=honest_hours,
            replay=replay, trace=trace,
        )
    )  # fmt: skip
