"""Scores batches from Python, in three lines: kernels of files, runs of traces, or arrays that one has already.

::

    from hashwarden.serve import Scorer

    for run in Scorer().jobs("trace.parquet"):
        print(run.name, run.state, run.likeliest)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import DataError, target_error
from hashwarden.model.channels import CHANNELS
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES
from hashwarden.model.sequential_state import BLIND_TEXT, Blind, State

if TYPE_CHECKING:
    import pyarrow as pa

    from hashwarden.kernels.sass.table import MixTable
    from hashwarden.model.kernel.verdict import KernelVerdict
    from hashwarden.model.trace import Run
    from hashwarden.serve.job_scorer import JobScorer
    from hashwarden.serve.score_runs import Scored
    from hashwarden.serve.scorer import KernelScorer

__all__ = ["KernelScores", "RunScores", "Scorer"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
PathLike = str | os.PathLike[str]

_MINUTE_S: Final = 60.0


@final
@dataclass(frozen=True, slots=True)
class KernelScores:
    """What the kernel model says of rows of features, each alone; N rows.

    Attributes
    ----------
    p_hash, p_mining, p_kind : float64 array, shape (N,)
        Calibrated probabilities, 0 to 1: hash work of any kind; mining; that hash work is mining.
    groups : float32 array, shape (N, 3)
        Probabilities of `hashwarden.model.kernel.taxonomy.GROUPS`, not calibrated.
    families : float32 array, shape (N, M)
        Probabilities of `family_names`.
    novelty : float32 array, shape (N,)
        Distance to all that training saw; about 1 for what is known.
    family_names : tuple of str
    """

    p_hash: F64
    p_mining: F64
    p_kind: F64
    groups: F32
    families: F32
    novelty: F32
    family_names: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class RunScores:
    """What is said of one job on one GPU, after each of its T samples.

    Attributes
    ----------
    name : str
    times : float64 array, shape (T,)
        Seconds since the start of the run; samples that only repeat the one before are left out.
    probabilities : float32 array, shape (T, 6)
        Of the classes training, inference, mining, hash-other, hpc-other and idle.
    families : float32 array, shape (T, 12)
        Of ``MINING_FAMILIES``, given that the job mines.
    novelty : float32 array, shape (T,)
    evidence : float64 array, shape (T,)
        That it mines, for the state ``confirmed``; 1 is none.
    states : tuple of str
        ``clear``, ``watching``, ``suspect``, ``confirmed`` or ``abstain``, after each sample.
    state : str
        The last of them.
    abstains_for : str
        Why nothing new can be said at the end; empty if all is well.
    """

    name: str
    times: F64
    probabilities: F32
    families: F32
    novelty: F32
    evidence: F64
    states: tuple[str, ...]
    state: str
    abstains_for: str

    @property
    def likeliest(self) -> str:
        """The likeliest class over the last minute."""
        return CLASSES[int(self._lately(self.probabilities).argmax())]

    @property
    def family(self) -> str:
        """The likeliest family of mining over the last minute, given that it mines."""
        return MINING_FAMILIES[int(self._lately(self.families).argmax())]

    @property
    def confirmed(self) -> bool:
        """Whether it was ever confirmed that it mines."""
        return "confirmed" in self.states

    def _lately(self, values: F32) -> F32:
        return np.asarray(values[self.times > self.times[-1] - _MINUTE_S].mean(0), np.float32)


@final
class Scorer:
    """Both models, each loaded when it is first needed and checked on its known answers.

    Parameters
    ----------
    job, kernel : path, optional
        Their files; the shipped ones if None.
    """

    def __init__(self, job: PathLike | None = None, kernel: PathLike | None = None) -> None:
        self._job_path = Path(job) if job is not None else None
        self._kernel_path = Path(kernel) if kernel is not None else None

    @cached_property
    def job_model(self) -> JobScorer:
        """The job model: single steps with a state of one's own.

        Raises
        ------
        CheckError
            If it gives other answers than it should.
        ModelError
            If its file cannot be used.
        """
        from hashwarden.serve.job_scorer import JobScorer

        scorer = JobScorer(self._job_path)
        scorer.self_test()
        return scorer

    @cached_property
    def kernel_model(self) -> KernelScorer:
        """The kernel model.

        Raises
        ------
        CheckError
            If it gives other answers than it should.
        ModelError
            If its file cannot be used.
        """
        from hashwarden.serve.scorer import KernelScorer

        scorer = KernelScorer(self._kernel_path)
        scorer.self_test()
        return scorer

    def kernels(self, source: PathLike | Sequence[PathLike] | MixTable) -> list[KernelVerdict]:
        """Judge the GPU kernels of files.

        Parameters
        ----------
        source : path, sequence of paths, or MixTable
            Libraries, cubins, wheels, archives, or folders of them: their kernels are judged together, as by
            ``hashwarden scan``. Kernels of a table are judged each alone.

        Returns
        -------
        list of KernelVerdict
            In the order they were read.

        Raises
        ------
        TargetError
            If a file, or a part of one, could not be judged: nothing that was not seen passes for harmless.
        """
        from hashwarden.kernels.sass.table import MixTable

        if isinstance(source, MixTable):
            return [*self.kernel_model.judge(source)]
        paths = [source] if isinstance(source, str | os.PathLike) else source
        return _scanned([Path(path) for path in paths], self.kernel_model)

    def features(self, features: npt.ArrayLike) -> KernelScores:
        """Score rows of features that one has already.

        Parameters
        ----------
        features : array_like of float, shape (N, F)
            As `hashwarden.model.kernel.features.features_of` makes them; finite.

        Raises
        ------
        DataError
            If the array has another shape, or holds what is not finite.
        """
        from hashwarden.model.kernel.features import FEATURE_NAMES

        rows = np.ascontiguousarray(features, np.float32)
        if rows.ndim != 2 or rows.shape[1] != len(FEATURE_NAMES) or not np.isfinite(rows).all():
            wanted = f"shape (kernels, {len(FEATURE_NAMES)}), all finite"
            raise DataError(f"features of shape {rows.shape}, or not finite", wanted, "Make them with features_of.")
        model = self.kernel_model
        groups, families, novelty = model.run(rows)
        names = tuple(model.metadata.families)
        return KernelScores(*model.probabilities(groups), np.exp(groups), families, novelty, names)

    def jobs(
        self, source: PathLike | pa.Table | npt.ArrayLike, times: npt.ArrayLike | None = None, period_s: float = 1.0
    ) -> list[RunScores]:
        """Score runs of jobs as they would have been scored while they ran, each from its beginning.

        Parameters
        ----------
        source : path, pyarrow.Table, or array_like of float
            A trace; or a table with ``time_s`` (seconds), columns named by channels, and ``run`` if there are several;
            or samples of one run, shape (T, C), or of N runs, shape (N, T, C), columns in the order of `CHANNELS`.
            NaN or null is missing.
        times : array_like of float, shape (T,), optional
            Of the samples of an array, in seconds, rising.
        period_s : float
            Seconds between the samples of an array without times.

        Returns
        -------
        list of RunScores
            One for each run, in order.

        Raises
        ------
        DataError
            If the trace, the table or the array cannot be meant.
        """
        from hashwarden.serve.score_runs import score_run

        return [_told(score_run(self.job_model, run)) for run in _runs(source, times, period_s)]


def _scanned(paths: list[Path], model: KernelScorer) -> list[KernelVerdict]:
    import json

    from hashwarden.serve.scan.records import kernel_from_record
    from hashwarden.serve.scan.scan import Scan
    from hashwarden.serve.scan.spool import KernelSpool

    with KernelSpool() as spool:
        report = Scan(model, model.rule).run(paths, spool)
        for problem in report.problems:
            raise target_error(problem.error, problem.got, problem.expected, problem.remedy, problem.where)
        return [kernel_from_record(json.loads(line)) for line in spool.lines()]


def _runs(source: Any, times: npt.ArrayLike | None, period_s: float) -> Iterable[Run]:  # noqa: ANN401
    if isinstance(source, str | os.PathLike):
        from hashwarden.model.trace_read import iter_runs

        return iter_runs(Path(source))
    if hasattr(source, "column_names"):
        from hashwarden.serve.batch_runs import runs_of_table

        return runs_of_table(source)
    from hashwarden.serve.batch_runs import runs_of_array

    return runs_of_array(source, times, period_s)


def _told(scored: Scored) -> RunScores:
    words: tuple[str, ...] = tuple(State(state).word for state in scored.states.tolist())
    if not words:
        raise DataError("a run without a sample that can be judged", f"samples of {len(CHANNELS)} channels",
                        "Look at the source of its samples.", where=scored.run.name)  # fmt: skip
    reason = BLIND_TEXT.get(Blind(int(scored.reasons[-1])), "")
    return RunScores(scored.run.name, scored.times, scored.probabilities, scored.families, scored.novelty,
                     scored.evidence, words, words[-1], reason)  # fmt: skip
