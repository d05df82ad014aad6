"""Counters that stay at 0 while others say that the GPU works."""

from __future__ import annotations

from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.validity_frozen import latest
from hashwarden.model.validity_rules import DEAD, DEAD_S, Dead

__all__ = ["RULES", "DeadCounters", "killed", "tell"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# One comparison tells, for every channel that matters: is it there, is it above 0, does it reach a witness's level. Two
# matrix products (in one) then answer for each of R rules: are its zeros there and none above 0; does a witness speak.
_ZEROS: Final = sorted({name for rule in DEAD for name in rule.zeros}, key=INDEX.__getitem__)
_WITNESSES: Final = sorted({pair for rule in DEAD for pair in rule.witnesses.items()})
_TESTS: Final = (
    *((name, 0.0) for name in _ZEROS),
    *((name, float(np.nextafter(np.float32(0), np.float32(1)))) for name in _ZEROS),
    *_WITNESSES,
    ("gpu_util_ratio", 0.0),
)
_AT: Final = np.array([INDEX[name] for name, _ in _TESTS])
_LEVELS: Final = np.array([level for _, level in _TESTS], np.float32)


def _witness(name: str, level: float, rule: Dead) -> float:
    """Power alone is worth 0.4, with a known utilisation 1.1; any other witness 1."""
    return (0.4 if "power" in name else 1.0) * (rule.witnesses.get(name) == level)


def _weights() -> F32:
    zero = np.array([[name in rule.zeros for rule in DEAD] for name in _ZEROS], np.float32)
    witness = np.array([[_witness(name, level, rule) for rule in DEAD] for name, level in _WITNESSES], np.float32)
    weights = np.zeros((len(_TESTS), 2 * len(DEAD)), np.float32)
    size, rules = len(_ZEROS), len(DEAD)
    weights[:size, :rules] = zero
    weights[size : 2 * size, :rules] = -100 * zero
    weights[2 * size : -1, rules:] = witness
    weights[-1, rules:] = 0.7 * (np.abs(witness - 0.4) < 0.01).any(axis=0)
    return weights


_WEIGHTS: Final = _weights()
_KILLS: Final = np.array([[c.name in rule.kills for c in CHANNELS] for rule in DEAD], np.float32)
_SAMPLES: Final = np.array([rule.samples for rule in DEAD], np.float64)
_LONG_S: Final = DEAD_S - 1e-6

RULES: Final = len(DEAD)
"""R."""


@final
class DeadCounters:
    """How long each rule's zeros have been contradicted; a value above 0 clears it, agreement does not.

    So a counter that died stays dead while the GPU rests, and a job that works in short bursts cannot hide it.
    """

    __slots__ = ("_base", "_clear", "_last", "_total")

    def __init__(self) -> None:
        self._total: F64 = np.zeros((2, len(DEAD)))  # seconds and samples of contradiction, ever
        self._base: F64 = np.zeros((2, len(DEAD)))  # the same when the zeros were last cleared
        self._clear = True  # whether both are equal
        self._last = np.nan

    def advance(self, times: F64, values: F32) -> Bools | None:
        """Take T samples and say which values are dead.

        Parameters
        ----------
        times : float64 array, shape (T,)
            Seconds, strictly rising, also from one call to the next.
        values : float32 array, shape (T, len(CHANNELS))
            NaN where missing or not credible.

        Returns
        -------
        bool array, shape (T, len(CHANNELS)), or None for none at all
        """
        told, above = tell(values)
        before = np.concatenate([[times[0] if np.isnan(self._last) else self._last], times[:-1]])
        step = np.stack([np.where(told, (times - before)[:, None], 0.0), told])
        step[:, 0] += self._total
        total = np.cumsum(step, axis=1)
        base = latest(above, total, self._base)
        self._last, self._total, self._base = float(times[-1]), total[:, -1].copy(), base[:, -1].copy()
        self._clear = bool((self._total == self._base).all())
        return killed(total - base, values)

    def one(self, time: float, values: F32) -> Bools | None:
        """`advance` by one sample, shape (len(CHANNELS),), in less time."""
        told, above = tell(values)
        seconds = 0.0 if np.isnan(self._last) else time - self._last
        self._last = time
        if self._clear and not np.count_nonzero(told):
            return None
        self._total += np.where(told, [[seconds], [1.0]], 0.0)
        self._base = np.where(above, self._total, self._base)
        age = self._total - self._base
        self._clear = not age.any()
        dead = killed(age[:, None], values[None])
        return None if dead is None else dead[0]


def tell(values: F32) -> tuple[Bools, Bools]:
    """For each of R rules: whether its zeros are contradicted now, and whether one is above 0; shapes (..., R)."""
    sums = (values[..., _AT] >= _LEVELS).astype(np.float32) @ _WEIGHTS
    speaks = sums >= 1
    rules = len(DEAD)
    return speaks[..., :rules] & speaks[..., rules:], sums[..., :rules] < 0


def killed(age: F64, values: F32) -> Bools | None:
    """The zeros that are dead, for seconds and samples of contradiction of shape (2, T, R)."""
    lasting = (age[0] >= _LONG_S) & (age[1] >= _SAMPLES)
    if not np.count_nonzero(lasting):
        return None
    dead: Bools = (lasting.astype(np.float32) @ _KILLS > 0) & (values == 0)
    return dead
