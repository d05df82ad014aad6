"""``hashwarden evaluate job``: what the job model and its peers do on families, evasions and GPUs that they never saw.

The corpus is made once into a work folder; each fold is fitted, calibrated and tested in a process of its own and its
outcomes are kept there, so that an evaluation that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, final

import torch

from hashwarden.errors import UsageError
from hashwarden.model.sequential_calibration import WITHIN
from hashwarden.model.trace import Run
from hashwarden.training.job.detectors import DETECTORS
from hashwarden.training.job.evaluation_plan import evaluation_key, evaluation_plan, evaluation_runs
from hashwarden.training.job.folds import AXES, Fold, make_folds
from hashwarden.training.job.measures import DAY_S
from hashwarden.training.job.pictures import draw
from hashwarden.training.job.prepared import Prepared, prepare
from hashwarden.training.job.proof import Calibrated
from hashwarden.training.job.recipe import QUICK, Recipe
from hashwarden.training.job.report import write_report
from hashwarden.training.job.storage import room, staged
from hashwarden.training.job.summary import FoldResult, clean, summarise
from hashwarden.training.job.trial import Calibrate, Plan, play, read_result, write_result
from hashwarden.training.orphans import end_with_parent

__all__ = ["Evaluation", "evaluate", "machine", "measured_on", "run_evaluation"]

_log = logging.getLogger(__name__)
Told = Callable[[str], None]
VERSION: Final = 1
"""Of what a fold's file holds; raised when older ones must not be used."""


NOTE: Final = """\
The bound is on runs of the kinds that were calibrated on; kinds that no fit saw, and GPUs that were held out, are
outside of it: the tables count their false alarms on their own. How probabilities pay is chosen by runs that neither
the fit nor the calibration holds, for every detector alike."""

_AGAIN: Final = "Make room and call it again: the corpus and the folds that are whole are used again."


@final
@dataclass(frozen=True, slots=True)
class Evaluation:
    """How an evaluation is done.

    Attributes
    ----------
    work : Path
        Folder for the corpus and the outcomes of folds.
    calibrate : callable
        The evidence path; one that another process can unpickle.
    alpha : float
        The false-alarm probability of a run that ``calibrate`` is set to, for the report.
    note : str
        What else the report says of the evidence.
    axes : tuple of str
        What is held out.
    recipe : Recipe
        Of the network; its seed is that of all.
    detectors : tuple of str
    jobs : int
        Processes.
    """

    work: Path
    calibrate: Calibrate
    alpha: float
    note: str = ""
    axes: tuple[str, ...] = AXES
    recipe: Recipe = QUICK
    detectors: tuple[str, ...] = DETECTORS
    jobs: int = 2


def evaluate(runs: Iterable[Run], key: str, how: Evaluation, output: Path, told: Told | None = None) -> Path:
    """Evaluate and write ``job.md``, ``job-evaluation.json`` and pictures.

    Parameters
    ----------
    runs : iterable of Run
        The corpus; read only if the work folder does not hold it yet.
    key : str
        Says how the corpus was made.
    how : Evaluation
    output : Path
        Folder for the report.
    told : callable, optional
        Is told of each step.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    UsageError
        If the disk is full; what is whole in the work folder is used again.
    """
    told, start = told or _log.info, time.perf_counter()
    with room(output, how.work, remedy=_AGAIN):
        output.mkdir(parents=True, exist_ok=True)
        corpus = prepare(_counted(runs, told), how.work / "corpus", key)
        folds = make_folds([story.facts for story in corpus.stories], how.axes, how.recipe.seed)
        results = list(_all_folds(corpus, folds, how, told))
        result = clean(_about(corpus, how, start) | summarise(results))
        with staged(output) as folder:
            (folder / "job-evaluation.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            draw(result, folder)
            write_report(result, folder / "job.md")
    return output / "job.md"


def run_evaluation(  # noqa: PLR0913  what the command line asks for
    output: Path, work: Path, traces: Sequence[Path] = (), axes: Sequence[str] = (), *, runs: int = 3000,
    seconds: float = 900.0, alpha: float = 0.01, jobs: int = 2, seed: int = 0, quick: bool = False,
    told: Told | None = None,
) -> Path:  # fmt: skip
    """Do the evaluation of ``hashwarden evaluate job``.

    Parameters
    ----------
    output, work : Path
        Folder for the report; folder for what is kept between calls.
    traces : sequence of Path
        Recorded runs.
    axes : sequence of str
        Some of `AXES`; all if empty.
    runs, seconds : int, float
        Synthesised runs and the length of each.
    alpha : float
        Share of honest runs that may ever be confirmed.
    jobs, seed : int
    quick : bool
        Fits of seconds, for a trial.
    told : callable, optional

    Raises
    ------
    UsageError
        For an axis that there is not.
    """
    wrong = sorted(set(axes) - set(AXES))
    if wrong:
        raise UsageError(f"--axis {wrong[0]}", f"one of {', '.join(AXES)}", "Choose one.")
    plan = evaluation_plan(runs, seconds, seed)
    recipe = replace(QUICK, seed=seed, steps=30, check=15) if quick else replace(QUICK, seed=seed)
    chosen = tuple(axis for axis in AXES if not axes or axis in axes)
    how = Evaluation(work, Calibrated(alpha), alpha, NOTE, chosen, recipe, jobs=jobs)
    key = evaluation_key(plan, traces)
    return evaluate(evaluation_runs(plan, jobs, traces), key, how, output, told)


def _counted(runs: Iterable[Run], told: Told) -> Iterator[Run]:
    for number, run in enumerate(runs, 1):
        if number % 200 == 0:
            told(f"corpus: {number} runs")
        yield run


def _place(how: Evaluation, fold: Fold) -> Path:
    """Name the file of a fold after all that its outcomes hang on."""
    recipe = "-".join(str(value) for value in (how.recipe.steps, how.recipe.batch, how.recipe.seed))
    name = re.sub(r"[^\w=.-]+", "_", f"{fold.name}-{recipe}-a{how.alpha:g}-d{len(how.detectors)}-v{VERSION}")
    return how.work / "folds" / f"{name}.json"


def _all_folds(corpus: Prepared, folds: Sequence[Fold], how: Evaluation, told: Told) -> Iterator[FoldResult]:
    """Play what is not in the work folder yet; give all in order."""
    (how.work / "folds").mkdir(exist_ok=True)
    missing = [fold for fold in folds if not _place(how, fold).exists()]
    if len(missing) < len(folds):
        told(f"{len(folds) - len(missing)} folds are there already")
    plan = Plan(how.recipe, how.calibrate, how.detectors)
    if missing and how.jobs == 1:
        for fold in missing:
            told(_one(corpus.folder, fold, plan, _place(how, fold)))
    elif missing:
        with ProcessPoolExecutor(how.jobs, multiprocessing.get_context("spawn"), end_with_parent) as pool:
            waiting = [pool.submit(_one, corpus.folder, fold, plan, _place(how, fold)) for fold in missing]
            try:
                for number, done in enumerate(as_completed(waiting), 1):
                    told(f"{done.result()} ({number} of {len(missing)})")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # those that run end; no other begins
                raise
    for fold in folds:
        yield read_result(_place(how, fold))


def _one(folder: Path, fold: Fold, plan: Plan, place: Path) -> str:
    """Play one fold in whatever process."""
    torch.set_num_threads(1)
    result = play(Prepared(folder), fold, plan)
    write_result(result, place)
    return f"{fold.name}: {sum(result.seconds.values()):.0f} s"


def _about(corpus: Prepared, how: Evaluation, start: float) -> dict[str, Any]:
    facts = [story.facts for story in corpus.stories]
    mining = sum(fact.label == "mining" for fact in facts)
    hours = float((corpus.data.length * corpus.data.period_s).sum()) / 3600
    calibrate = [len(fold.calibrate) for fold in make_folds(facts, how.axes, how.recipe.seed)]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "seed": how.recipe.seed,
        "seconds": round(time.perf_counter() - start),
        "measured_on": measured_on([story.origin for story in corpus.stories]),
        "key": corpus.key,
        "data_sha256": corpus.data.digest,
        "recipe": f"{how.recipe.steps} steps of {how.recipe.batch} sequences in each fold",
        "recipe_record": asdict(how.recipe),
        "alpha": how.alpha,
        "evidence_note": how.note,
        "alpha_most": max(how.alpha, 1 / (WITHIN * (min(calibrate) + 1))),
        "calibrate_least": min(calibrate),
        "calibrate_most": max(calibrate),
        "corpus": {
            "runs": len(facts), "mining": mining, "honest": len(facts) - mining, "gpu_hours": hours,
            "gpu_days": hours * 3600 / DAY_S, "kinds": len({f.kind for f in facts if f.label != "mining"}),
            "gpus": sorted({fact.gpu for fact in facts}),
        },
    }  # fmt: skip


def measured_on(origins: Sequence[str]) -> str:
    """Say of what the figures are."""
    recorded = sum(origin == "recorded" for origin in origins)
    if not recorded:
        return f"{len(origins):,} synthesised runs; none was recorded on a GPU"
    return f"{recorded:,} runs recorded on GPUs and {len(origins) - recorded:,} synthesised ones"


def machine() -> dict[str, str]:
    """Name the processor and what was run on it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = named[0] if named else platform.processor()
    return {"processor": processor, "python": platform.python_version(), "torch": torch.__version__}
