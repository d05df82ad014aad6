"""What ``hashwarden redteam`` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, final

import typer
from pydantic import ValidationError

from hashwarden.cli.extras import needs_extra
from hashwarden.errors import ModelError, UsageError
from hashwarden.model.channels import TIERS
from hashwarden.model.job.taxonomy import MINING, MINING_FAMILIES, STRATEGIES
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.serve.job_scorer import JobScorer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from hashwarden.training.job.proof import Panel
    from hashwarden.training.job.redteam import Attack

__all__ = ["OnnxModel", "Request", "run_redteam"]


@final
@dataclass(frozen=True, slots=True)
class Request:
    """The flags of the command."""

    output: Path
    model: Path | None
    seed: int
    jobs: int
    budget: int
    minutes: float
    seeds: int
    family: list[str] | None
    strategy: list[str] | None
    tier: list[str] | None
    gpu: str
    period: float
    hours: float
    screen_minutes: float
    alpha: float
    honest_runs: int
    honest_hours: float
    replay: Path | None
    trace: Path | None


@final
@dataclass(frozen=True, slots=True)
class OnnxModel:
    """Loads the model file in whatever process; the shipped one if None."""

    path: Path | None = None

    def __call__(self) -> Callable[..., npt.NDArray[np.float64]]:
        """Give P(mining) of sequences."""
        scorer = JobScorer(self.path)
        return lambda samples, masks, dts: (
            scorer.sequence(samples, masks, dts).probabilities[:, :, MINING].astype(float)
        )


def run_redteam(given: Request) -> None:
    """Attack, or play found evaders again, and say what came of it."""
    told = partial(typer.echo, err=True)
    with needs_extra("train"):
        from hashwarden.training.job.redteam import Attack, red_team
        from hashwarden.training.job.redteam_play import Place
        from hashwarden.training.job.redteam_search import Budget

        panel = _panel(given.model, given.alpha, _chosen("tier", given.tier, tuple(TIERS)))
        place = Place(given.gpu, given.period, given.hours * 3600, given.screen_minutes * 60)
        attack = Attack(
            OnnxModel(given.model), panel, place, Budget(given.budget, given.minutes * 60, batch=8), given.seeds,
            given.honest_runs, given.honest_hours, families=_chosen("family", given.family, MINING_FAMILIES),
            strategies=_chosen("strategy", given.strategy, STRATEGIES), jobs=given.jobs, seed=given.seed,
            model=_name(given.model), note=_note(panel),
        )  # fmt: skip
        if given.replay is not None:
            _again(attack, given.replay, given.trace)
        else:
            typer.echo(red_team(attack, given.output, told))


def _chosen(what: str, given: list[str] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    wrong = sorted(set(given or ()) - set(known))
    if wrong:
        raise UsageError(f"--{what} {wrong[0]}", f"one of {', '.join(known)}", "Choose one.")
    return tuple(one for one in known if not given or one in given)


def _panel(model: Path | None, alpha: float, tiers: tuple[str, ...]) -> Panel:
    """Read the evidence that was calibrated with the model."""
    from hashwarden.training.job.proof import Panel

    try:
        calibration = EvidenceCalibration.model_validate(JobScorer(model).metadata.evidence)
    except ValidationError as error:
        got = "a model without calibrated evidence"
        raise ModelError(got, "one that was calibrated", "Train it again: hashwarden train job") from error
    return Panel(calibration, alpha, tuple(tier for tier in tiers if tier in calibration.tiers))


def _note(panel: Panel) -> str:
    """Say what the calibration answers for."""
    tiers = {name: panel.calibration.tiers[name] for name in panel.tiers}
    short = [name for name, tier in tiers.items() if tier.attainable_alpha > panel.alpha * (1 + 1e-9)]
    said = (
        f"As calibrated, {panel.alpha:g} of honest jobs may ever be confirmed: one in 1,000 GPU-days if a job is a day"
    )
    said = said if panel.alpha == 1e-3 else f"As calibrated, {panel.alpha:g} of honest jobs may ever be confirmed"
    if short:
        said += f". Too few runs calibrate {', '.join(short)} for that: nothing is ever confirmed there"
    return f"{said}."


def _name(model: Path | None) -> str:
    identity = JobScorer(model).identity
    return f"the model {identity['name']} {identity['version']} (SHA-256 {identity['sha256'][:12]})"


def _again(attack: Attack, path: Path, trace: Path | None) -> None:
    """Play found evaders again, and write runs of them if asked."""
    from hashwarden.model.trace_write import write_runs
    from hashwarden.training.job.redteam_evaders import evader_runs, play_again, read_evaders
    from hashwarden.training.synthesise.gpus import GPUS

    evaders = read_evaders(path)
    if trace is not None:
        write_runs(trace, evader_runs(evaders, 1800.0, attack.seeds, sorted(GPUS), attack.seed))
        typer.echo(trace)
        return
    for tried in play_again(evaders, attack.maker, attack.panel, attack.seeds, attack.seed):
        missed = ", ".join(f"{tier} {tried.missed(tier):.0%}" for tier in tried.alarm_s)
        family, strategy = tried.candidate.pair
        typer.echo(f"{family}, {strategy}: {tried.share:.1%} of the hash rate kept; runs missed: {missed}")
