"""Fitting the job model: balanced sequences, hidden groups, averaged weights, early stopping; resumed to the bit."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashwarden.model.channels import TIERS
from hashwarden.model.job.network import JobNet
from hashwarden.model.job.taxonomy import MINING
from hashwarden.training.job.build import build, set_novelty, temperatures
from hashwarden.training.job.checkpoints import Checkpoints
from hashwarden.training.job.dataset import Dataset, hold_out
from hashwarden.training.job.labels import UNKNOWN
from hashwarden.training.job.recipe import FULL, Recipe
from hashwarden.training.job.store import FIRST_CHANNEL
from hashwarden.training.job.team import ALONE, Team
from hashwarden.training.job.windows import Batch, Drawer, groups_mask, pack

__all__ = ["Fitted", "Told", "fit"]

I64 = npt.NDArray[np.int64]
Told = Callable[[str], None]

_log = logging.getLogger(__name__)
_LOOKED_AT: Final = 160
"""Held-out runs that early stopping looks at, at most."""


@final
@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit came to.

    Attributes
    ----------
    network : JobNet
        In evaluation mode, with the best averaged weights; its novelty knows what it learned from.
    kept, held : int64 array
        Runs that were learned from, and runs held out.
    history : list of (int, float, float)
        Step, loss of the sequences since the look before, loss of the held-out runs.
    temperatures : dict of str to float
        What suits each tier on the held-out runs; that of all together (``""``) is set in the network.
    """

    network: JobNet
    kept: I64
    held: I64
    history: list[tuple[int, float, float]]
    temperatures: dict[str, float]


@final
@dataclass(slots=True)
class _Progress:
    """All that changes during a fit."""

    network: JobNet
    optimiser: torch.optim.Optimizer
    average: dict[str, Tensor]
    best: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    total: float = 0.0
    history: list[tuple[int, float, float]] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(), "average": self.average,
            "best": self.best, "step": self.step, "total": self.total, "history": self.history,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.best = state["average"], state["best"]
        self.step, self.total = state["step"], state["total"]
        self.history = [(int(step), float(loss), float(held)) for step, loss, held in state["history"]]


def fit(  # noqa: PLR0913, PLR0917
    data: Dataset, rows: I64, recipe: Recipe = FULL, told: Told | None = None,
    checkpoints: Checkpoints | None = None, team: Team = ALONE,
) -> Fitted:  # fmt: skip
    """Fit the network on some runs of a data set.

    Parameters
    ----------
    data : Dataset
    rows : int64 array
        The runs to learn from; a share of them (``recipe.held_out``) decides when to stop.
    recipe : Recipe
    told : callable, optional
        Is told of each look at the held-out runs.
    checkpoints : Checkpoints, optional
        Where to keep the state, and to go on from.
    team : Team
        With others: each learns from its part of every batch, gradients are averaged.

    Returns
    -------
    Fitted
    """
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    kept, held = hold_out(data, rows, recipe.held_out, recipe.seed)
    torch.manual_seed(recipe.seed)
    network = build(data, kept, recipe)
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    progress = _Progress(network, optimiser, _copied(network))
    saved = checkpoints.load(recipe, data.digest) if checkpoints else None
    if saved is not None:
        progress.load(saved)
    drawer, looks = Drawer(data, kept, recipe), _looks(data, held if len(held) else kept, recipe, team)
    while progress.step < recipe.steps and not _tired(progress.history, recipe):
        _one_step(progress, drawer, recipe, team)
        if progress.step % recipe.check == 0 or progress.step == recipe.steps:
            _look(progress, looks, recipe, team, told or _log.info)
        if checkpoints and team.rank == 0 and checkpoints.due(progress.step):
            checkpoints.save(progress.state(), recipe, data.digest)
    network.load_state_dict(progress.best or progress.average)
    network.eval()
    network.cut.settle()
    set_novelty(network, data, kept)
    tempers = temperatures(network, data, held if len(held) else kept)
    network.set_temperature(tempers[""])
    return Fitted(network, kept, held, progress.history, tempers)


def _copied(network: JobNet) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _rate(step: int, recipe: Recipe) -> float:
    """Rises in a line, falls as a cosine."""
    rise = max(1.0, recipe.warm * recipe.steps)
    fall = (step - rise) / max(1.0, recipe.steps - rise)
    return recipe.rate * (min(1.0, (step + 1) / rise) if step < rise else 0.5 * (1 + math.cos(math.pi * fall)) + 1e-3)


def _one_step(progress: _Progress, drawer: Drawer, recipe: Recipe, team: Team) -> None:
    network, optimiser = progress.network, progress.optimiser
    torch.manual_seed(recipe.seed * 1_000_003 + progress.step)
    for group in optimiser.param_groups:
        group["lr"] = _rate(progress.step, recipe)
    network.train()
    optimiser.zero_grad(set_to_none=False)
    batch = drawer.batch(progress.step, team.rank, team.size)
    loss = _loss(network, batch, recipe) * team.size / recipe.batch
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    together = loss.detach().clone()
    team.mean([*gradients, together])
    torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
    optimiser.step()
    decay = min(recipe.average, (1 + progress.step) / (10 + progress.step))
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            progress.average[name].lerp_(value, 1 - decay)
    progress.step, progress.total = progress.step + 1, progress.total + float(together)


def _loss(network: JobNet, batch: Batch, recipe: Recipe) -> Tensor:
    """Sum over the sequences of the mean loss over their samples."""
    samples, masks, dts, truth, weights = (
        torch.from_numpy(a) for a in (batch.samples, batch.masks, batch.dts, batch.classes, batch.weights)
    )
    classes, families, _, _ = network(samples, masks, dts)
    sharp = -classes.gather(2, truth.clamp(min=0)[..., None])[..., 0]
    even = -classes.mean(2)
    loss: Tensor = (weights * ((1 - recipe.smoothing) * sharp + recipe.smoothing * even)).sum()
    family = torch.from_numpy(batch.families)
    mines = weights * (truth == MINING) * (family != UNKNOWN)[:, None]
    fine = -families.gather(2, family.clamp(min=0)[:, None, None].expand(-1, families.shape[1], 1))[..., 0]
    total: Tensor = loss + recipe.family_weight * (mines * fine).sum()
    return total


def _looks(data: Dataset, held: I64, recipe: Recipe, team: Team) -> list[tuple[Batch, npt.NDArray[np.float32]]]:
    """What is looked at for early stopping: the held-out runs from their beginning, each in every tier."""
    chosen = held[:: math.ceil(len(held) / _LOOKED_AT)]
    count = np.bincount(data.label[chosen], minlength=len(recipe.classes))
    present = np.array(recipe.classes) * (count > 0)
    share = present / present.sum() / np.maximum(count, 1) / len(TIERS)
    jobs = [(int(run), groups) for groups in TIERS.values() for run in chosen][team.rank :: team.size]
    looks = []
    for first in range(0, len(jobs), recipe.batch):
        part = jobs[first : first + recipe.batch]
        sequences = [data.read(run, 0, recipe.length) for run, _ in part]
        for sequence, (_, groups) in zip(sequences, part, strict=True):
            sequence[:, FIRST_CHANNEL:][:, ~groups_mask(groups)] = np.nan
        families = data.family_index[[run for run, _ in part]]
        weight = share[data.label[[run for run, _ in part]]].astype(np.float32)
        looks.append((pack(sequences, families, recipe.length, recipe.settle_s), weight))
    return looks


def _look(
    progress: _Progress, looks: list[tuple[Batch, npt.NDArray[np.float32]]], recipe: Recipe, team: Team, told: Told
) -> None:
    """Measure the averaged weights on the held-out runs, and keep them if none were better."""
    network, own = progress.network, _copied(progress.network)
    network.load_state_dict(progress.average)
    network.eval()
    loss = torch.zeros(1, dtype=torch.float64)
    with torch.no_grad():
        for batch, weight in looks:
            classes = network(*(torch.from_numpy(a) for a in (batch.samples, batch.masks, batch.dts)))[0]
            sharp = -classes.gather(2, torch.from_numpy(batch.classes).clamp(min=0)[..., None])[..., 0]
            loss += ((sharp * torch.from_numpy(batch.weights)).sum(1) * torch.from_numpy(weight)).sum()
    team.mean([loss])
    network.load_state_dict(own)
    held = float(loss) * team.size
    if all(held < before for _, _, before in progress.history):
        progress.best = {name: value.clone() for name, value in progress.average.items()}
    since = recipe.check if progress.step % recipe.check == 0 else progress.step % recipe.check
    progress.history.append((progress.step, progress.total / since, held))
    progress.total = 0.0
    told(f"step {progress.step} of {recipe.steps}: loss {progress.history[-1][1]:.3f}, held out {held:.4f}")


def _tired(history: list[tuple[int, float, float]], recipe: Recipe) -> bool:
    """Whether the last looks brought nothing better than those before them."""
    held = [loss for _, _, loss in history]
    return len(held) > recipe.patience and min(held[-recipe.patience :]) >= min(held[: -recipe.patience])
