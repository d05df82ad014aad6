"""``hashwarden train job``: from synthesised and recorded traces to the model files, their evidence and their card."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError, UsageError
from hashwarden.model.job.metadata import JobMetadata
from hashwarden.model.job.taxonomy import MINING
from hashwarden.model.sequential_calibration import EvidenceCalibration
from hashwarden.training.job.beside import made_beside
from hashwarden.training.job.card import write_card
from hashwarden.training.job.card_figures import measured
from hashwarden.training.job.checkpoints import Checkpoints
from hashwarden.training.job.dataset import Dataset, featurise
from hashwarden.training.job.evidence import calibrated, novelty_limit
from hashwarden.training.job.export import Runs, export
from hashwarden.training.job.fit import Fitted, fit
from hashwarden.training.job.material import calibration_plan, card_plan, default_cache, kept
from hashwarden.training.job.own import parted
from hashwarden.training.job.recipe import FULL, Recipe
from hashwarden.training.job.stopwatch import Stopwatch
from hashwarden.training.job.storage import room, staged
from hashwarden.training.job.windows import pack
from hashwarden.training.synthesise.plans import CorpusPlan
from hashwarden.version import __version__

__all__ = ["NO_PLAN", "Training", "run"]

Told = Callable[[str], None]
I64 = npt.NDArray[np.int64]
_log = logging.getLogger(__name__)

NO_PLAN: Final = "none"
"""The plan that synthesises nothing to learn from: given traces alone."""

_SYNTHESISED: Final = "synthesised; nothing was recorded on a GPU"
_PROOF: Final = (32, 200)
_AGAIN: Final = (
    "Make room (synthesised traces lie in $HASHWARDEN_CACHE or the user's cache folder), then call it again with "
    "--resume: it goes on from the last checkpoint, and what was served is as it was."
)


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
        Honest runs for the evidence, and runs that the card is measured on; the standard ones if None, and with no
        plan either some of the traces themselves.
    recipe : Recipe
    resume : bool
        Go on from the checkpoint of a fit that was interrupted.
    cache : Path, optional
        Folder of synthesised traces.
    ray : str
        Address of a Ray cluster, ``local``, or empty for this process alone.
    workers : int
        On the cluster.
    apart : tuple of Path
        Labelled traces that the card is measured on as well, and that nothing learns from.
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
    apart: tuple[Path, ...] = ()

    @property
    def work(self) -> Path:
        """Folder of the work in progress."""
        return self.output / "job.work"

    @property
    def alone(self) -> bool:
        """Whether the traces given have to serve for everything (`hashwarden.training.job.own`)."""
        return self.plan is None and self.calibration is None and self.card is None


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
        If there is nothing to learn from, a checkpoint belongs to another fit, or the disk is full.
    """
    with room(how.output, how.cache or default_cache(), remedy=_AGAIN):
        how.work.mkdir(parents=True, exist_ok=True)
        _trained(how, Stopwatch(how.work / "seconds", told or _log.info, resume=how.resume))
        shutil.rmtree(how.work)
    return how.output / "job.onnx"


def _trained(how: Training, watch: Stopwatch) -> None:
    told = watch.tell
    with _cluster(how):
        data = _data(how, told)
        apart = _apart(how, data)
        parts = parted(data, how.recipe.seed) if how.alone else None
        rows = np.arange(len(data)) if parts is None else parts.learn
        later = _later(how)
        told(f"{len(rows)} runs, {int(data.length[rows].sum())} samples; fitting")
        with made_beside(() if parts else later, how.cache or default_cache()):
            found = _fitted(how, data, rows, told)
    told("calibrating the evidence on honest runs that the fit never saw")
    honest = data.part(parts.honest) if parts else _featurised(how, later[0], "calibration", told)
    evidence = calibrated(found.network, honest, data, found.held)
    unseen = data.part(parts.unseen) if parts else _featurised(how, later[1], "card", told)
    learned = data.part(rows)
    record = _record(how, learned, (honest, unseen, *apart), found, evidence, _limit(found, data))
    figures = measured(found.network, unseen, evidence)
    more = [(each, measured(found.network, each, evidence)) for each in apart]
    with staged(how.output, last="job.onnx") as folder:
        exported = export(found.network, record, _proof(unseen), folder)
        told(f"exported; largest difference between torch and ONNX {exported.difference:.1e}")
        write_card(folder, record, learned, honest, unseen, found, figures, how.recipe, watch.seconds, more)


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


def _apart(how: Training, data: Dataset) -> list[Dataset]:
    """What the card is measured on besides; one data set, or none.

    Raises
    ------
    UsageError
        If it is among what is learned from.
    DataError
        If all of it mines, or nothing.
    """
    if not how.apart:
        return []
    folder = how.work / "apart"
    shutil.rmtree(folder, ignore_errors=True)
    featurise(how.apart, folder)
    apart = Dataset(folder)
    if twice := {name for name, digest in apart.digests.items() if digest in data.digests.values()}:
        got = f"{', '.join(sorted(twice))} to learn from and to measure on"
        raise UsageError(got, "other runs for each", "Name it once.")
    mines = int((apart.label == MINING).sum())
    if not 0 < mines < len(apart):
        got, where = f"{mines} of {len(apart)} runs that mine", ", ".join(map(str, how.apart))
        raise DataError(got, "some that mine and some that do not, to measure on", "Add such runs.", where=where)
    return [apart]


def _later(how: Training) -> tuple[CorpusPlan, CorpusPlan]:
    """Plans of what is needed after the fit: the honest runs of the evidence, and the runs of the card."""
    return how.calibration or calibration_plan(), how.card or card_plan()


def _featurised(how: Training, plan: CorpusPlan, name: str, told: Told) -> Dataset:
    folder = how.work / name
    shutil.rmtree(folder, ignore_errors=True)
    featurise([kept(plan, how.cache or default_cache(), told)], folder)
    return Dataset(folder)


def _fitted(how: Training, data: Dataset, rows: I64, told: Told) -> Fitted:
    if how.ray:
        from hashwarden.training.job.cluster import fit_on_ray

        return fit_on_ray(data, rows, how.recipe, how.work, workers=how.workers, resume=how.resume)
    checkpoints = Checkpoints(how.work / "job.checkpoint", resume=how.resume)
    return fit(data, rows, how.recipe, told, checkpoints)


def _limit(found: Fitted, data: Dataset) -> float:
    return novelty_limit(found.network, data, found.held if len(found.held) else found.kept)


def _record(  # noqa: PLR0913, PLR0917
    how: Training, data: Dataset, others: tuple[Dataset, ...], found: Fitted, evidence: EvidenceCalibration,
    unlike: float,
) -> JobMetadata:  # fmt: skip
    """What the model file says of itself."""
    honest, *unseen = others
    measured_on = " and ".join(sorted({origin for each in unseen for origin in each.origin}))
    samples = {origin: int(data.length[data.origin == origin].sum()) for origin in sorted(set(data.origin))}
    shares = {origin: count / data.samples for origin, count in samples.items()}
    recorded = ", ".join(f"{count} samples {origin}" for origin, count in samples.items())
    temperature, family_temperature = found.network.temperature.tolist()
    return JobMetadata(
        version=__version__,
        state_size=found.network.state_size,
        temperature=temperature,
        family_temperature=family_temperature,
        novelty_limits={"unlike": unlike},
        evidence=evidence.model_dump(mode="json"),
        measured_on=_SYNTHESISED
        if {*samples, measured_on} == {"synthesised"}
        else f"learned from {recorded}; measured on {measured_on} runs",
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
