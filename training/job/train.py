"""``hashwarden train job``: from synthesised and recorded traces to the model files, their evidence and their card."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from hashwarden.errors import UsageError
from hashwarden.model.job.metadata import JobMetadata
from hashwarden.training.job.card import write_card
from hashwarden.training.job.card_figures import measured
from hashwarden.training.job.checkpoints import Checkpoints
from hashwarden.training.job.dataset import Dataset, featurise
from hashwarden.training.job.evidence import calibrated, novelty_limit
from hashwarden.training.job.export import Runs, export
from hashwarden.training.job.fit import Fitted, fit
from hashwarden.training.job.material import calibration_plan, card_plan, default_cache, kept
from hashwarden.training.job.recipe import FULL, Recipe
from hashwarden.training.job.windows import pack
from hashwarden.training.synthesise.plans import CorpusPlan
from hashwarden.version import __version__

__all__ = ["NO_PLAN", "Training", "run"]

Told = Callable[[str], None]
_log = logging.getLogger(__name__)

NO_PLAN: Final = "none"
"""The plan that synthesises nothing to learn from: given traces alone."""

_SYNTHESISED: Final = "synthesised; nothing was recorded on a GPU"
_PROOF: Final = (32, 200)


@final
@dataclass(frozen=True, slots=True)
class Training:
    """What to train on, and how.

    Attributes
    ----------
    output : Path
        Folder for the model files; work in progress lies in ``job.work`` there until all is done.
    traces : tuple of Path
        Labelled traces to learn from besides the plan.
    plan : CorpusPlan or None
        Synthesised runs to learn from.
    calibration, card : CorpusPlan, optional
        Honest runs for the evidence, and runs that the card is measured on; the standard ones if None.
    recipe : Recipe
    resume : bool
        Go on from the checkpoint of a fit that was interrupted.
    cache : Path, optional
        Folder of synthesised traces.
    ray : str
        Address of a Ray cluster, ``local``, or empty for this process alone.
    workers : int
        On the cluster.
    """

    output: Path
    traces: tuple[Path, ...] = ()
    plan: CorpusPlan | None = None
    calibration: CorpusPlan | None = None
    card: CorpusPlan | None = None
    recipe: Recipe = FULL
    resume: bool = False
    cache: Path | None = None
    ray: str = ""
    workers: int = 2

    @property
    def work(self) -> Path:
        """Folder of the work in progress."""
        return self.output / "job.work"


def run(how: Training, told: Told | None = None) -> Path:
    """Train the job model and write ``job.onnx``, ``job_sequence.onnx``, its known answers and its card.

    Parameters
    ----------
    how : Training
    told : callable, optional
        Is told of each step.

    Returns
    -------
    Path
        ``job.onnx``.

    Raises
    ------
    DataError
        If a trace is damaged, or a run in it must not teach.
    UsageError
        If there is nothing to learn from, or a checkpoint belongs to another fit.
    """
    told, start = told or _log.info, time.perf_counter()
    how.work.mkdir(parents=True, exist_ok=True)
    with _cluster(how):
        data = _data(how, told)
        told(f"{len(data)} runs, {data.samples} samples; fitting")
        found = _fitted(how, data, told)
    told("calibrating the evidence on honest runs that the fit never saw")
    honest = _featurised(how, how.calibration or calibration_plan(), "calibration", told)
    evidence = calibrated(found.network, honest, data, found.held)
    record = _record(how, data, honest, found, evidence.model_dump(mode="json"))
    unseen = _featurised(how, how.card or card_plan(), "card", told)
    figures = measured(found.network, unseen, evidence)
    exported = export(found.network, record, _proof(unseen), how.output)
    told(f"exported; largest difference between torch and ONNX {exported.difference:.1e}")
    write_card(how.output, record, data, honest, unseen, found, figures, how.recipe, time.perf_counter() - start)
    shutil.rmtree(how.work)
    return exported.step


def _cluster(how: Training) -> Any:  # noqa: ANN401  a context of either kind
    if not how.ray:
        return nullcontext()
    from hashwarden.model.cluster import connected

    return connected(how.ray)


def _data(how: Training, told: Told) -> Dataset:
    """Judge what is learned from; what an interrupted training judged is judged again, it takes seconds."""
    sources = [kept(how.plan, how.cache or default_cache(), told)] if how.plan else []
    sources += how.traces
    if not sources:
        raise UsageError("no traces and no plan", "something to learn from", "Name a trace with --data.")
    folder = how.work / "data"
    shutil.rmtree(folder, ignore_errors=True)
    if how.ray:
        from hashwarden.training.job.cluster import featurise_on_ray

        featurise_on_ray(sources, folder)
    else:
        featurise(sources, folder)
    return Dataset(folder)


def _featurised(how: Training, plan: CorpusPlan, name: str, told: Told) -> Dataset:
    folder = how.work / name
    shutil.rmtree(folder, ignore_errors=True)
    featurise([kept(plan, how.cache or default_cache(), told)], folder)
    return Dataset(folder)


def _fitted(how: Training, data: Dataset, told: Told) -> Fitted:
    rows = np.arange(len(data))
    if how.ray:
        from hashwarden.training.job.cluster import fit_on_ray

        return fit_on_ray(data, rows, how.recipe, how.work, workers=how.workers, resume=how.resume)
    checkpoints = Checkpoints(how.work / "job.checkpoint", resume=how.resume)
    return fit(data, rows, how.recipe, told, checkpoints)


def _record(how: Training, data: Dataset, honest: Dataset, found: Fitted, evidence: dict[str, Any]) -> JobMetadata:
    """What the model file says of itself."""
    samples = {origin: int(data.length[data.origin == origin].sum()) for origin in sorted(set(data.origin))}
    shares = {origin: count / data.samples for origin, count in samples.items()}
    recorded = ", ".join(f"{count} samples {origin}" for origin, count in samples.items())
    temperature, family_temperature = found.network.temperature.tolist()
    return JobMetadata(
        version=__version__,
        state_size=found.network.state_size,
        temperature=temperature,
        family_temperature=family_temperature,
        novelty_limits={"unlike": novelty_limit(found.network, data, found.held)},
        evidence=evidence,
        measured_on=_SYNTHESISED
        if set(samples) == {"synthesised"}
        else f"learned from {recorded}; measured on synthesised runs",
        origins=shares,
        training_data={Path(name).name: digest for name, digest in (data.digests | honest.digests).items()},
        seed=how.recipe.seed,
    )


def _proof(data: Dataset) -> Runs:
    """Runs on which the ONNX files have to prove equal, one of each class first."""
    first = [int(np.flatnonzero(data.label == label)[0]) for label in np.unique(data.label)]
    rest = [run for run in range(len(data)) if run not in first]
    chosen = [*first, *rest][: _PROOF[0]]
    batch = pack([data.read(run, 0, _PROOF[1]) for run in chosen], np.full(len(chosen), -1), _PROOF[1])
    return batch.samples, batch.masks, batch.dts
