"""The weights of the job network as its ONNX graphs hold them: everything constant is multiplied out beforehand.

A masked value is 0 in the sample, and no piece of a channel begins below 0, so it rises in none: the mask over the
values costs no node, nor does the division of each piece by its width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hashwarden.model.channels import CHANNELS, NETWORK_PLACES
from hashwarden.model.job.network import JobNet

__all__ = ["Folded", "folded"]

F64 = npt.NDArray[np.float64]
Linear = tuple[F64, F64]
"""Weight (out, in) and bias (out,)."""


@final
@dataclass(frozen=True, slots=True)
class Folded:
    """Constants of the graphs, in the order of use.

    Attributes
    ----------
    low, span : float64 array, shape (P * C,)
        ``min(max(sample - low, 0), span)`` is what the first product reads, piece after piece, each of all channels.
    encode : Linear
        Of those and the mask: the code of a sample, and the count of its channels that the network reads.
    look : Linear
        Of the code: what is averaged, the gates, the count, and the parts of `depart` and `judge` that read the code.
    half_rates : float64 array, shape (K,)
        Half the rates of the clocks.
    depart, judge : float64 array, shape (out, D) and (F, S)
        What is left of the two: of the means of the first layer, and of the state.
    last : Linear
        Of the features: classes, families, whitened features, products with centroids.
    centroids : float64 array, shape (KINDS, F)
        Over the root of F, as the whitened features are.
    """

    low: F64
    span: F64
    encode: Linear
    look: Linear
    half_rates: F64
    depart: F64
    judge: F64
    last: Linear
    centroids: F64


def folded(network: JobNet) -> Folded:
    """Multiply out, in double precision."""
    columns, hidden = list(NETWORK_PLACES), network.hidden
    low, span = np.zeros((2, network.pieces, len(CHANNELS)))  # what is not read has no width
    low[:, columns], span[:, columns] = _array(network.cut.low).T, _array(network.cut.span).T
    depart, judge = _linear(network.depart), _linear(network.judge)
    return Folded(
        low.ravel(),
        span.ravel(),
        _encode(network),
        _look(_linear(network.look), (depart[0][:, :hidden], depart[1]), (judge[0][:, :hidden], judge[1])),
        _array(network.log_rate.exp()) / 2,
        depart[0][:, hidden:],
        judge[0][:, hidden:],
        _last(network),
        _array(network.centroids) / network.features**0.5,
    )


def _array(tensor: torch.Tensor) -> F64:
    return tensor.detach().double().cpu().numpy()


def _linear(layer: nn.Linear) -> Linear:
    return _array(layer.weight), _array(layer.bias)


def _encode(network: JobNet) -> Linear:
    """The first product over all channels, of pieces that are as wide as they are, and of the mask."""
    weight, bias = _linear(network.encode)
    columns, read = list(NETWORK_PLACES), network.pieces * len(NETWORK_PLACES)
    risen = weight[:, :read].reshape(len(weight), len(columns), -1) / _array(network.cut.span)
    whole = np.zeros((len(weight) + 1, network.pieces + 1, len(CHANNELS)))
    whole[:-1, :-1, columns] = risen.transpose(0, 2, 1)
    whole[:-1, -1, columns] = weight[:, read:]
    whole[-1, -1, columns] = 1
    return whole.reshape(len(whole), -1), np.append(bias, 0)


def _look(look: Linear, depart: Linear, judge: Linear) -> Linear:
    """Everything that reads the code and the count, side by side."""
    count = np.zeros(look[0].shape[1] + 1)
    count[-1] = 1
    rows = [np.pad(weight, ((0, 0), (0, 1))) for weight, _ in (look, depart, judge)]
    weight = np.concatenate([rows[0], count[None], *rows[1:]])
    return weight, np.concatenate([look[1], [0], depart[1], judge[1]])


def _last(network: JobNet) -> Linear:
    """Logits at their temperature, and over the root of F the whitened features and their products with centroids."""
    at_class, at_family = _array(network.temperature)
    white = _array(network.whiten)
    shift = -white @ _array(network.origin)
    centroids = _array(network.centroids)
    size = len(white)
    parts = [
        tuple(each / at_class for each in _linear(network.classes)),
        tuple(each / at_family for each in _linear(network.families)),
        (white / size**0.5, shift / size**0.5),
        (-2 * centroids @ white / size, ((centroids**2).sum(1) - 2 * centroids @ shift) / size),
    ]
    return np.concatenate([weight for weight, _ in parts]), np.concatenate([bias for _, bias in parts])
