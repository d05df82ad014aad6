"""Evidence by blocks is evidence sample by sample."""

import numpy as np
import pytest

from hashwarden.model.sequential import Evidence
from hashwarden.model.sequential_calibration import EvidenceCalibration, Payoff, TierCalibration
from hashwarden.serve.weighing import Weighing


def _tier(*groups: str, payoff: Payoff | None) -> TierCalibration:
    return TierCalibration(
        groups=groups, levels=(0.5, 0.4, 0.3), runs=2000, hours=1, longest_s=900, origins={"synthesised": 2000},
        payoff=payoff,
    )  # fmt: skip


CALIBRATION = EvidenceCalibration(
    tiers={"nvml": _tier("nvml", payoff=None), "gpm": _tier("nvml", "gpm", payoff=Payoff(low=-2, high=4))},
    horizon_s=900,
)


@pytest.mark.parametrize("period", [0.1, 0.3, 1.0, 7.0, 10.0, 30.0, 60.0])
def test_the_same_as_one_by_one(period):
    size, rng = 1200, np.random.default_rng(1)
    chance = rng.random(size).astype(np.float32) ** 0.3
    dts = period * rng.uniform(0.9, 1.1, size)
    dts[0], dts[500] = 0.0, 400.0
    tiers = np.ones(size, np.int64)
    tiers[100:105], tiers[700:900], tiers[903] = -1, 0, 0
    evidence, wanted = Evidence(CALIBRATION, 1e-3), []
    for i in range(size):
        now = evidence.update(chance[i : i + 1].astype(np.float64), dts[i : i + 1], tiers[i : i + 1])
        wanted.append((now.evidence[0, 2], now.state[0], now.blind[0]))
    weighing = Weighing(CALIBRATION, 1e-3)
    pieces = [weighing.weigh(chance[a:b], dts[a:b], tiers[a:b]) for a, b in ((0, 333), (333, 333), (333, size))]
    found = np.array([np.concatenate(column) for column in zip(*pieces, strict=True)])
    np.testing.assert_allclose(found[0], np.array(wanted)[:, 0], rtol=1e-9)
    np.testing.assert_array_equal(found[1:].T, np.array(wanted)[:, 1:])
