"""Scores kernels with the ONNX file: one thread, no torch, a schema that is checked first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass.table import MixTable
from hashwarden.model.answers_file import answers_path, check_same
from hashwarden.model.kernel.decide import decide
from hashwarden.model.kernel.features import FEATURE_NAMES, features_of
from hashwarden.model.kernel.joint import own_log_odds, sigmoid
from hashwarden.model.kernel.known_answers import read_answers
from hashwarden.model.kernel.metadata import read_metadata
from hashwarden.model.kernel.reasons import reasons_of
from hashwarden.model.kernel.rule import FileRule
from hashwarden.model.kernel.taxonomy import GROUPS
from hashwarden.model.kernel.verdict import KernelVerdict, Verdict
from hashwarden.serve.onnx_session import Ends, check_ends, open_session, shipped

__all__ = ["KernelScorer", "shipped_model"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
CHUNK: Final = 2048
EXPLAINED: Final = 0.2
"""Kernels with a probability of hash work above this get reasons; an explanation costs eight further scores."""

_INPUTS: Final[Ends] = {"features": ["kernels", len(FEATURE_NAMES)]}
_OUTPUTS: Final[Ends] = {"groups": ["kernels", len(GROUPS)], "novelty": ["kernels"]}


def shipped_model() -> Path:
    """The model file of the installed package."""
    return shipped("kernel.onnx")


@final
class KernelScorer:
    """The kernel model, ready to score.

    Parameters
    ----------
    path : Path, optional
        The ONNX file; the shipped one if None.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or made for other features.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or shipped_model()
        self._opened = open_session(self.path, "kernel.onnx")
        self.session = self._opened.session
        self.metadata = read_metadata(self._opened.properties, str(self.path))
        families: Ends = {"families": ["kernels", len(self.metadata.families)]}
        check_ends(self.session, _INPUTS, {**_OUTPUTS, **families}, str(self.path))

    @property
    def identity(self) -> Mapping[str, str]:
        """Name, version and hash of the model file."""
        return self._opened.identity(self.metadata)

    @property
    def rule(self) -> FileRule:
        """The file rule that belongs to this model."""
        return self.metadata.rule

    def self_test(self) -> None:
        """Give the known answers again.

        Raises
        ------
        CheckError
            If an answer differs: then this installation must not judge anything.
        ModelError
            If the known answers are missing, damaged or of another model.
        """
        known = read_answers(answers_path(self.path), self._opened.sha256)
        wanted = {"groups": known.groups, "families": known.families, "novelty": known.novelty}
        check_same(self.run(known.features), wanted, self.path)

    def run(self, features: F32) -> tuple[F32, F32, F32]:
        """The raw outputs: group log-probabilities (N, 3), family probabilities (N, M), novelty (N,)."""
        groups, families, novelty = self.session.run(["groups", "families", "novelty"], {"features": features})
        return groups, families, novelty

    def probabilities(self, groups: F32) -> tuple[F64, F64, F64]:
        """Calibrated p_hash, p_mining and p_kind of kernels judged alone, each of shape (N,)."""
        hashing, mining, kind = own_log_odds(groups, self.rule.calibration)
        return sigmoid(hashing), sigmoid(mining), sigmoid(kind)

    def judge(self, table: MixTable) -> Sequence[KernelVerdict]:
        """One verdict per row, in order, each kernel alone."""
        verdicts: list[KernelVerdict] = []
        for start in range(0, len(table), CHUNK):
            part = table.take(np.arange(start, min(start + CHUNK, len(table))))
            verdicts += self._judge(part, start)
        return verdicts

    def _judge(self, table: MixTable, start: int) -> list[KernelVerdict]:
        features = features_of(table)
        groups, families, novelty = self.run(features)
        p_hash, p_mining, p_kind = self.probabilities(groups)
        words = self._reasons(features, p_hash)
        text = (table.text["file"], table.text["kernel"], table.text["code_sha1"])
        rows = zip(*text, table.scalars["arch"].tolist(), table.scalars["n_instr"].tolist(),
                   p_hash.tolist(), p_mining.tolist(), p_kind.tolist(), novelty.tolist(), strict=True)  # fmt: skip
        result = []
        for index, (where, name, code, arch, size, hashing, mining, kind, far) in enumerate(rows):
            verdict = decide(hashing, mining, kind, far, size, self.rule.thresholds)
            result.append(KernelVerdict(
                start + index, where, name, arch, hashing, mining, self._family(families[index], verdict), verdict,
                words.get(index, ()), code, size, kind, far,
            ))  # fmt: skip
        return result

    def _family(self, probabilities: F32, verdict: Verdict) -> str:
        """The most probable family that fits the verdict."""
        if verdict is Verdict.ABSTAIN:
            return ""
        fits = {Verdict.MINING: (2,), Verdict.OTHER_HASH: (1, 2)}.get(verdict, (0,))
        mask = np.isin(self.metadata.group_of_family, fits)
        return self.metadata.families[int(np.argmax(np.where(mask, probabilities, -1.0)))]

    def _reasons(self, features: F32, p_hash: F64) -> dict[int, tuple[str, ...]]:
        rows = np.flatnonzero(p_hash >= EXPLAINED)
        if not len(rows):
            return {}

        def log_odds(changed: F32) -> F64:
            return own_log_odds(self.run(changed)[0], self.rule.calibration)[0]

        return dict(zip(rows.tolist(), reasons_of(features[rows], self.metadata.plain, log_odds), strict=True))
