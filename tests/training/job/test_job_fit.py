"""The fit: learns, repeats itself, stops early, and goes on after a kill as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from hashwarden.errors import DataError, UsageError
from hashwarden.model.channels import TIERS
from hashwarden.model.job.taxonomy import MINING
from hashwarden.training.job.build import build, kinds_of
from hashwarden.training.job.checkpoints import Checkpoints
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.fit import fit
from hashwarden.training.job.predict import predict
from hashwarden.training.job.recipe import Recipe

TINY = Recipe(steps=48, batch=8, length=40, check=16, held_out=0.25, rate=1e-2)

FIT = """
import sys
from pathlib import Path
import numpy as np
import torch
from hashwarden.training.job.checkpoints import Checkpoints
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.fit import fit
from hashwarden.training.job.recipe import Recipe

recipe = Recipe(steps=48, batch=8, length=40, check=16, held_out=0.25, rate=1e-2)
data = Dataset(Path(sys.argv[1]))
found = fit(data, np.arange(len(data)), recipe, checkpoints=Checkpoints(Path(sys.argv[2]), every=2))
torch.save(found.network.state_dict(), sys.argv[3])
"""


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def fitted(folder):
    data = Dataset(folder)
    return fit(data, np.arange(len(data)), TINY)


def test_it_learns_what_held_out_runs_do(fitted, data):
    said = list(predict(fitted.network, data, fitted.held))
    assert len(said) == len(fitted.held) >= 10
    assert np.mean([one.classes[-1].argmax() == data.label[one.run] for one in said]) >= 0.8
    assert fitted.history[-1][2] < fitted.history[0][2]
    assert set(fitted.kept) | set(fitted.held) == set(range(len(data)))
    assert set(fitted.kept) & set(fitted.held) == set()


def test_every_tier_has_a_temperature_and_the_network_one(fitted):
    assert set(fitted.temperatures) == {*TIERS, ""}
    assert fitted.network.temperature[0].item() == pytest.approx(fitted.temperatures[""])


def test_novelty_is_usual_on_known_work_and_high_on_the_unknown(data):
    learned = fit(data, np.arange(len(data)), replace(TINY, steps=240))  # features of 48 steps tell known work hardly
    known = [one.novelty[20:].mean() for one in predict(learned.network, data, learned.held)]
    assert 0.2 < np.median(known) < 3
    samples = torch.rand(16, 60, data.read(0).shape[1] - 2, generator=torch.Generator().manual_seed(0))
    strange = learned.network(samples, torch.ones_like(samples), torch.ones(16, 60)).novelty[:, 20:].mean(dim=1)
    assert strange.median() > 10 * np.median(known)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(fitted, data):
    rows = np.arange(len(data))
    assert _same(fit(data, rows, TINY).network.state_dict(), fitted.network.state_dict())
    assert not _same(fit(data, rows, replace(TINY, seed=1, steps=2)).network.state_dict(), fitted.network.state_dict())


def test_it_stops_when_nothing_gets_better(data):
    told: list[str] = []
    recipe = replace(TINY, steps=400, check=1, patience=2, rate=0.0, average=0.0)
    found = fit(data, np.arange(len(data)), recipe, told.append)
    assert len(found.history) < 60
    assert told[0].startswith("step 1 of 400: loss ")


def test_long_runs_are_read_in_pieces_as_in_one(fitted, make, tmp_path, monkeypatch):
    data = Dataset.of_runs([make("mining", 0, 300), make("idle", 1, 170)], tmp_path)
    whole = list(predict(fitted.network, data, np.arange(2)))
    monkeypatch.setattr("hashwarden.training.job.predict._SPAN", 64)
    for one, other in zip(whole, predict(fitted.network, data, np.arange(2)), strict=True):
        assert one.run == other.run
        assert one.classes.shape == (data.length[one.run], 6)
        np.testing.assert_allclose(one.classes, other.classes, atol=1e-4)


def test_what_is_hidden_is_not_seen(fitted, data, make, tmp_path):
    run = make("mining", 0)
    blind = make("mining", 0)
    blind.values[:, [i for i in range(blind.values.shape[1]) if i not in _of("nvml")]] = np.nan
    both = Dataset.of_runs([run, replace(blind, name="blind")], tmp_path)
    one, other = predict(fitted.network, both, np.arange(2), TIERS["nvml"])
    np.testing.assert_allclose(one.classes, other.classes, atol=1e-5)


def _of(group: str) -> list[int]:
    from hashwarden.model.channels import CHANNELS

    return [i for i, channel in enumerate(CHANNELS) if channel.group == group]


def test_kinds_fit_the_centroids_and_families_of_mining_are_apart(data):
    rows = np.arange(len(data))
    kinds = kinds_of(data, rows)
    assert kinds.min() >= 0
    assert kinds.max() < 24
    mining = data.label == MINING
    assert set(kinds[mining]) & set(kinds[~mining]) == set()
    assert len(set(kinds[mining])) == 3


def test_channels_that_never_come_are_cut_all_the_same(data):
    network = build(data, np.arange(len(data)), TINY)
    assert torch.isfinite(network.cut.low).all()
    assert (network.cut.low >= 0).all()
    assert (network.cut.span > 0).all()


DIES_WRITING = """
import os, signal
_sync, _count = os.fsync, [0]
def _dying(descriptor):
    _count[0] += 1
    if _count[0] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    _sync(descriptor)
os.fsync = _dying
"""


def _start(script: str, folder, tmp_path, name: str) -> subprocess.Popen[bytes]:
    arguments = [str(folder), str(tmp_path / "fit.checkpoint"), str(tmp_path / name)]
    return subprocess.Popen([sys.executable, "-c", script, *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"})


def _resumes(fitted, folder, tmp_path) -> bool:
    assert _start(FIT, folder, tmp_path, "resumed").wait() == 0
    return _same(torch.load(tmp_path / "resumed", weights_only=True), fitted.network.state_dict())


def test_a_killed_fit_resumes_to_the_same_weights(fitted, folder, tmp_path):
    checkpoint = tmp_path / "fit.checkpoint"
    process = _start(FIT, folder, tmp_path, "never")
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < torch.load(checkpoint, weights_only=True)["state"]["step"] <= 48
    assert _resumes(fitted, folder, tmp_path)
    assert not (tmp_path / "never").exists()


def test_a_fit_killed_while_it_writes_a_checkpoint_resumes_from_the_one_before(fitted, folder, tmp_path):
    assert _start(DIES_WRITING + FIT, folder, tmp_path, "never").wait() == -signal.SIGKILL
    assert (tmp_path / "fit.checkpoint.part").exists()
    assert torch.load(tmp_path / "fit.checkpoint", weights_only=True)["state"]["step"] == 6
    assert _resumes(fitted, folder, tmp_path)


def test_a_checkpoint_of_another_fit_is_refused(data, tmp_path):
    rows = np.arange(len(data))
    checkpoints = Checkpoints(tmp_path / "c", every=1)
    fit(data, rows, replace(TINY, steps=2), checkpoints=checkpoints)
    with pytest.raises(UsageError, match="another recipe"):
        fit(data, rows, replace(TINY, steps=2, seed=5), checkpoints=checkpoints)
    with pytest.raises(UsageError, match="another digest"):
        checkpoints.load(replace(TINY, steps=2), "other data")
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read"):
        fit(data, rows, replace(TINY, steps=2), checkpoints=checkpoints)
    fit(data, rows, replace(TINY, steps=1), checkpoints=Checkpoints(tmp_path / "c", every=1, resume=False))
