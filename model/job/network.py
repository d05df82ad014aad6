"""The job network: reads samples as they come, carries a small state. Only training imports this; serving uses ONNX.

Every channel is cut into a few pieces, each of which rises from 0 to 1 over a range of values (piecewise linear
encoding, Gorishniy, Rubachev and Babenko 2022), so that 0 and a hair above it can be as far apart as idle and busy.
Where the pieces lie is learned too, from quantiles on.
Every sample is encoded, then averaged over time by two layers of units. Each unit belongs to one of a few clocks, whose
learned time scales span 0.3 s to 20 min; a gate that reads the sample can slow its clock down. A sample counts by the
time since the one before it, so sampling periods from 0.1 s to 60 s mean the same. The first layer averages what is
seen, the second how it departs from those averages: its size, its bands of frequency. What a clock averages is a mean
from the first sample on, as its state tells how much it has seen (the correction of Adam's moving averages, Kingma and
Ba 2015). The gated linear form is that of Martin and Cundy 2018; gates over time steps as in Mamba, Gu and Dao 2023.

N = batch, T = steps, C = channels, K = clocks, D = units of a layer, H = hidden, F = features, S = state.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import nn
from torch.nn.functional import leaky_relu, log_softmax

from hashwarden.model.channels import NETWORK, NETWORK_PLACES
from hashwarden.model.job.pieces import Pieces
from hashwarden.model.job.recurrence import recurrence
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES

__all__ = ["FIRST_S", "GAP_S", "GATE_LOW", "KINDS", "SLOPE", "TINY", "JobNet", "Outputs"]

FIRST_S: Final = 0.05
"""Time that a sample stands for at least: the first one has no other."""
GAP_S: Final = 60.0
"""Time that a sample stands for at most: of a longer gap nothing is known, and one sample must not stand for it."""
FASTEST_S: Final = 0.3
SLOWEST_S: Final = 1200.0
GATE_LOW: Final = -6.0
"""What a gate's logit is cut at: no sample may stop a clock, and no ratio of two weights be one of roundings."""
SLOPE: Final = 0.1
"""Of the leaky rectifier below 0."""
TINY: Final = 1e-30
PIECES: Final = 6
"""Ranges that a channel is cut into."""
KINDS: Final = 24
"""Centroids of seen work that the novelty is measured from."""
FAR: Final = 1e3


class Outputs(NamedTuple):
    """Log-probabilities of classes (..., 6) and of families given mining (..., 12), novelty (...), state (N, S)."""

    logits: torch.Tensor
    families: torch.Tensor
    novelty: torch.Tensor
    state: torch.Tensor


class _Drive(NamedTuple):
    """What samples bring to the recurrence, before any state is known."""

    code: torch.Tensor  # (..., H)
    seen: torch.Tensor  # (..., D) what the first layer averages
    weight: torch.Tensor  # (..., K) share that a clock renews: 1 - exp(-time * rate * gate)
    present: torch.Tensor  # (..., 1) whether anything was seen


class JobNet(nn.Module):
    """The streaming network.

    Parameters
    ----------
    hidden : int
        Width of the code of a sample; the graph adds the count of its channels, and 64 fills the vector registers.
    clocks : int
        Time scales.
    units : int
        Units of each layer that share a clock.
    features : int
        Width of the last layer, in which the novelty is measured.
    pieces : int
        Ranges that a channel is cut into.
    """

    def __init__(
        self, hidden: int = 63, clocks: int = 12, units: int = 4, features: int = 48, pieces: int = PIECES
    ) -> None:
        super().__init__()
        self.hidden, self.clocks, self.units, self.features, self.pieces = hidden, clocks, units, features, pieces
        channels, width = len(NETWORK), clocks * units
        self.state_size = 2 * width + clocks
        self.cut = Pieces(channels, pieces)
        self.encode = nn.Linear((pieces + 1) * channels, hidden)
        self.look = nn.Linear(hidden, width + clocks)  # what is averaged, and the gates
        self.depart = nn.Linear(hidden + width, width)
        self.judge = nn.Linear(hidden + self.state_size, features)
        self.classes = nn.Linear(features, len(CLASSES))
        self.families = nn.Linear(features, len(MINING_FAMILIES))
        span = torch.linspace(math.log(FASTEST_S), math.log(SLOWEST_S), clocks)
        self.log_rate = nn.Parameter(-span)
        self._buffers_of()
        self._start()

    def _buffers_of(self) -> None:
        self.columns: torch.Tensor
        self.temperature: torch.Tensor
        self.origin: torch.Tensor
        self.whiten: torch.Tensor
        self.centroids: torch.Tensor
        self.register_buffer("columns", torch.tensor(NETWORK_PLACES), persistent=False)
        self.register_buffer("temperature", torch.ones(2))  # of classes, of families
        self.register_buffer("origin", torch.zeros(self.features))
        self.register_buffer("whiten", torch.eye(self.features))
        self.register_buffer("centroids", torch.zeros(KINDS, self.features))

    @torch.no_grad()
    def _start(self) -> None:
        """Gates half open or more; the second layer begins as departures from the means of the first."""
        width = self.clocks * self.units
        self.look.bias[width:] = 1.0
        self.depart.weight[:, : self.hidden] = self.look.weight[:width]
        self.depart.weight[:, self.hidden :] = -torch.eye(width)
        self.depart.bias.copy_(self.look.bias[:width])

    @torch.no_grad()
    def set_temperature(self, classes: float, families: float = 1.0) -> None:
        """Set what logits are divided by before they become probabilities."""
        self.temperature.copy_(torch.tensor([classes, families]))

    @torch.no_grad()
    def set_novelty(self, features: torch.Tensor, kinds: torch.Tensor, noise: torch.Tensor | None = None) -> None:
        """Fit the novelty to seen work, so that its mean is 1 there.

        Parameters
        ----------
        features : tensor, shape (n, F)
            Of `features_of`, over training samples.
        kinds : int tensor, shape (n,)
            Kind of work of each, 0 to `KINDS` - 1; every kind gets a centroid.
        noise : tensor, shape (n, F), optional
            Makes the spread within kinds larger than seen work shows; centroids and the mean of 1 are without it.
        """
        features = features.double()
        found = torch.tensor(sorted(set(kinds.tolist())))
        means = torch.stack([features[kinds == kind].mean(0) for kind in found])
        within = features - means[torch.searchsorted(found, kinds)] + (0 if noise is None else noise)
        covariance = within.T @ within / len(features)
        covariance += (0.01 * covariance.diagonal().mean() + 1e-6) * torch.eye(self.features, dtype=torch.float64)
        values, vectors = torch.linalg.eigh(covariance)
        whiten = vectors.T / values.sqrt()[:, None]
        origin = means.mean(0)
        centroids = torch.full((KINDS, self.features), FAR, dtype=torch.float64)
        centroids[: len(found)] = (means - origin) @ whiten.T
        self.origin.copy_(origin)
        self.centroids.copy_(centroids)
        self.whiten.copy_(whiten)
        size = self._novelty(features.float()).mean().clamp_min(1e-6).sqrt()
        self.whiten /= size
        self.centroids /= size

    def initial_state(self, batch: int) -> torch.Tensor:
        """The state that has seen nothing, shape (N, S)."""
        return torch.zeros(batch, self.state_size, device=self.origin.device)

    def forward(
        self, samples: torch.Tensor, masks: torch.Tensor, dts: torch.Tensor, state: torch.Tensor | None = None
    ) -> Outputs:
        """Judge sequences, after each of their samples.

        Parameters
        ----------
        samples, masks : tensor, shape (N, T, C)
            Judged values, 0 where the mask is 0.
        dts : tensor, shape (N, T)
            Seconds since the sample before; 0 for the first.
        state : tensor, shape (N, S), optional
            Where to go on from.
        """
        joined, state = self._run(samples, masks, dts, state)
        return self._judged(self._features(joined), state)

    def features_of(
        self, samples: torch.Tensor, masks: torch.Tensor, dts: torch.Tensor, state: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What `set_novelty` reads, shape (N, T, F); arguments as in `forward`."""
        return self._features(self._run(samples, masks, dts, state)[0])

    def step(self, sample: torch.Tensor, mask: torch.Tensor, dt: torch.Tensor, state: torch.Tensor) -> Outputs:
        """Judge one sample of each job: shapes (N, C), (N, C), (N, 1), (N, S)."""
        drive = self._drive(sample, mask, dt)
        first, second, known = self._split(state)
        known = known + drive.weight * (drive.present - known)
        gain = self._gain(drive, known)
        first = first + gain * (drive.seen - first)
        second = second + gain * (self._departs(drive.code, first) - second)
        state = torch.cat([first, second, known], -1)
        return self._judged(self._features(torch.cat([drive.code, state], -1)), state)

    def _run(
        self, samples: torch.Tensor, masks: torch.Tensor, dts: torch.Tensor, state: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and states after each sample, joined, and the last state."""
        drive = self._drive(samples, masks, dts[..., None])
        first, second, known = self._split(self.initial_state(len(samples)) if state is None else state)
        amounts = recurrence(drive.weight, drive.weight * drive.present, known)
        gain = self._gain(drive, amounts)
        means = recurrence(gain, gain * drive.seen, first)
        departures = recurrence(gain, gain * self._departs(drive.code, means), second)
        states = torch.cat([means, departures, amounts], -1)
        last = states[:, -1] if states.shape[1] else torch.cat([first, second, known], -1)
        return torch.cat([drive.code, states], -1), last

    def _drive(self, sample: torch.Tensor, mask: torch.Tensor, dt: torch.Tensor) -> _Drive:
        mask = mask[..., self.columns]
        risen = self.cut(sample[..., self.columns])
        code = leaky_relu(self.encode(torch.cat([risen.flatten(-2), mask], -1)), SLOPE)
        seen, gate = self.look(code).tensor_split([self.clocks * self.units], -1)
        weight = -torch.expm1(
            -dt.clamp(FIRST_S, GAP_S) * torch.exp(self.log_rate) * torch.sigmoid(gate.clamp_min(GATE_LOW))
        )
        return _Drive(code, seen, weight, mask.amax(-1, keepdim=True))

    def _split(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        width = self.clocks * self.units
        first, second, known = state.tensor_split([width, 2 * width], -1)
        return first, second, known

    def _gain(self, drive: _Drive, known: torch.Tensor) -> torch.Tensor:
        """Share of the new sample in the means, (..., D): all of it for the first, none where nothing was seen."""
        gain = drive.weight * drive.present / known.clamp_min(TINY)
        return torch.cat([gain] * self.units, -1)

    def _departs(self, code: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
        return leaky_relu(self.depart(torch.cat([code, means], -1)), SLOPE)

    def _features(self, joined: torch.Tensor) -> torch.Tensor:
        return leaky_relu(self.judge(joined), SLOPE)

    def _judged(self, features: torch.Tensor, state: torch.Tensor) -> Outputs:
        logits = log_softmax(self.classes(features) / self.temperature[0], -1)
        families = log_softmax(self.families(features) / self.temperature[1], -1)
        return Outputs(logits, families, self._novelty(features), state)

    def _novelty(self, features: torch.Tensor) -> torch.Tensor:
        """Squared distance to the nearest centroid over F, in whitened features.

        Products only say which is nearest: as a distance they would lose digits, where centroids are far from 0.
        """
        white = (features.detach() - self.origin) @ self.whiten.T
        cross = white @ (-2 * self.centroids.T) + self.centroids.square().sum(-1)
        return (white - self.centroids[cross.argmin(-1)]).square().sum(-1) / self.features
