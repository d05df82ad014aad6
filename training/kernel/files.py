"""The file rule on sources that were held out: which innocent files it calls, which miners it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from hashwarden.model.kernel.decide import decide
from hashwarden.model.kernel.joint import own_log_odds, sigmoid
from hashwarden.model.kernel.rule import FileRule
from hashwarden.model.kernel.taxonomy import MINING, PLAIN
from hashwarden.model.kernel.verdict import KernelVerdict, Verdict
from hashwarden.training.kernel.calibrate import calibrate
from hashwarden.training.kernel.dataset import Dataset
from hashwarden.training.kernel.thresholds import innocent_files, set_thresholds

__all__ = ["JudgedFile", "judge_held_out"]

F32 = npt.NDArray[np.float32]


@final
@dataclass(frozen=True, slots=True)
class JudgedFile:
    """One held-out file and what the rule said.

    Attributes
    ----------
    source, file : str
        For repositories ``file`` is "": all their kernels are one program.
    truth : str
        ``mining``, ``hash`` or ``plain``.
    kernels : int
    verdict : str
    chance : float
    """

    source: str
    file: str
    truth: str
    kernels: int
    verdict: str
    chance: float


def judge_held_out(data: Dataset, groups: F32, novelty: F32, fold: npt.NDArray[np.int64]) -> list[JudgedFile]:
    """Apply the rule, fitted on the other folds, to every source of each fold.

    A package's libraries are files; a repository is one. Files with any hash work in them count as ``hash``,
    those of miners as ``mining``.
    """
    judged = []
    for index in sorted(set(fold.tolist()) - {-1}):
        rest = data.usable & (fold >= 0) & (fold != index)
        fitted = calibrate(data, groups, rest)
        limits = set_thresholds(data, groups, novelty, rest, fitted)
        rule = FileRule(fitted, limits, innocent_files(data, groups, (fold >= 0) & (fold != index), fitted, limits))
        judged += _judge_fold(data, groups, novelty, np.flatnonzero(fold == index), rule)
    return judged


def _judge_fold(
    data: Dataset, groups: F32, novelty: F32, rows: npt.NDArray[np.int64], rule: FileRule
) -> list[JudgedFile]:
    origin = data.table.text["origin"]
    names = [(str(data.source[r]), str(data.table.text["file"][r]) if origin[r] == "package" else "") for r in rows]
    judged = []
    for name in sorted(set(names)):
        inside = np.array([row for row, n in zip(rows, names, strict=True) if n == name])
        verdicts = _alone(data, groups, novelty, inside, rule)
        verdict, _ = rule(name[0], data.table.take(inside), verdicts, ())
        of = set(data.group[inside].tolist())
        truth = "mining" if MINING in of else "plain" if of == {PLAIN} else "hash"
        judged.append(JudgedFile(*name, truth, len(inside), str(verdict.verdict), verdict.chance))
    return judged


def _alone(
    data: Dataset, groups: F32, novelty: F32, rows: npt.NDArray[np.int64], rule: FileRule
) -> list[KernelVerdict]:
    hashing, mining, kind = (sigmoid(z).tolist() for z in own_log_odds(groups[rows], rule.calibration))
    result = []
    for place, row in enumerate(rows.tolist()):
        size, far = int(data.table.scalars["n_instr"][row]), float(novelty[row])
        verdict: Verdict = decide(hashing[place], mining[place], kind[place], far, size, rule.thresholds)
        where, code = str(data.table.text["file"][row]), str(data.table.text["code_sha1"][row])
        arch, family = int(data.table.scalars["arch"][row]), str(data.family[row])
        words = (where, "", arch, hashing[place], mining[place], family, verdict, (), code, size, kind[place], far)
        result.append(KernelVerdict(place, *words))
    return result
