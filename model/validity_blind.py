"""Which groups of channels say nothing of the work any more, and since when."""

from __future__ import annotations

from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.channels import GROUPS
from hashwarden.model.validity_frozen import latest
from hashwarden.model.validity_rules import KEYS

__all__ = ["KEY_CHANNELS", "Blindness", "blind_groups"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

KEY_CHANNELS: Final = np.array([index for group in GROUPS for index in KEYS[group]])
"""Channels that tell whether a group says something, shape (K,)."""

_OF: Final = np.array([[index in KEYS[group] for group in GROUPS] for index in KEY_CHANNELS], np.float32)


@final
class Blindness:
    """Follows the key channels (`KEYS`) of each group.

    A channel is expected once it was credible at least once: what a GPU or a MIG instance never offers is no loss. A
    group is blind while under half of its expected key channels are credible, or while it has given nothing yet.
    """

    __slots__ = ("_credible", "_expected", "_since", "_was")

    def __init__(self) -> None:
        self._expected: Bools = np.zeros(len(KEY_CHANNELS), bool)
        self._was: Bools = np.zeros(len(GROUPS), bool)
        self._since: F64 = np.full(len(GROUPS), np.nan)
        self._credible = b""

    def advance(self, times: F64, mask: Bools) -> F64:
        """Take T samples.

        Parameters
        ----------
        times : float64 array, shape (T,)
        mask : bool array, shape (T, len(CHANNELS))
            Credible values.

        Returns
        -------
        float64 array, shape (T, len(GROUPS))
            Time since when each group is blind; NaN if it is not.
        """
        credible = mask[:, KEY_CHANNELS]
        expected = np.logical_or.accumulate(np.concatenate([self._expected[None], credible]))[1:]
        blind = blind_groups(credible, expected)
        was = np.concatenate([self._was[None], blind[:-1]])
        since = np.where(blind, latest(blind & ~was, times[None, :, None], self._since[None])[0], np.nan)
        self._expected, self._was, self._since = expected[-1].copy(), blind[-1].copy(), since[-1].copy()
        self._credible = credible[-1].tobytes()
        return since

    def one(self, time: float, mask: Bools) -> F64:
        """`advance` by one sample, shape (len(CHANNELS),), in less time."""
        credible = mask[KEY_CHANNELS]
        code = credible.tobytes()
        if code != self._credible:
            self._credible = code
            self._expected = self._expected | credible
            blind = blind_groups(credible, self._expected)
            self._since = np.where(blind, np.where(self._was, self._since, time), np.nan)
            self._was = blind
        return self._since.copy()


def blind_groups(credible: Bools, expected: Bools) -> Bools:
    """Which groups are blind, shape (T, len(GROUPS)), for key channels credible now and expected, shape (T, K)."""
    wanted = expected.astype(np.float32) @ _OF
    blind: Bools = (2 * (credible.astype(np.float32) @ _OF) < wanted) | (wanted == 0)
    return blind
