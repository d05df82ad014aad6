"""From kernels to a file: which files are called what, and how often an innocent one would be.

The highest of thousands of probabilities says little: some innocent kernel is always the highest. The rule
counts the distinct kernels that pass a threshold which one plain kernel in 1,000 passes, and asks how often an
innocent file of that size holds as many (`hashwarden.model.kernel.tail`, fitted on packages that the network
had not seen). Kernels of one file are then judged together (`hashwarden.model.kernel.joint`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from hashwarden.kernels.sass.table import MixTable
from hashwarden.model.kernel.decide import Thresholds, decide
from hashwarden.model.kernel.joint import Calibration, company, logit, sigmoid, together
from hashwarden.model.kernel.tail import at_least
from hashwarden.model.kernel.verdict import FileVerdict, KernelVerdict, Verdict

__all__ = ["ALONE", "FileRule", "Innocent"]

TOP: Final = 10
ALONE: Final = "row "
"""What the ``source`` of a row begins with that lies in no known file: it keeps no company."""

_WORDS: Final = {Verdict.MINING: "mining", Verdict.OTHER_HASH: "hash work"}


@final
@dataclass(frozen=True, slots=True)
class Innocent:
    """How many kernels of innocent files pass the thresholds: Beta(a, b) for each of the two.

    Attributes
    ----------
    mining, hashing : tuple of float
        (a, b).
    alarm : float
        Chance under which a file is called what it looks like.
    doubt : float
        Chance under which the rule abstains instead of clearing the file.
    """

    mining: tuple[float, float]
    hashing: tuple[float, float]
    alarm: float = 0.01
    doubt: float = 0.1


@final
@dataclass(frozen=True, slots=True)
class FileRule:
    """The file rule with its fitted numbers, as the model file holds them."""

    calibration: Calibration
    thresholds: Thresholds
    innocent: Innocent

    def __call__(
        self, where: str, table: MixTable, verdicts: Sequence[KernelVerdict], notes: Sequence[str]
    ) -> tuple[FileVerdict, list[KernelVerdict]]:
        """Judge a file and, together, its kernels.

        Parameters
        ----------
        where : str
            The file.
        table : MixTable
            Its kernels; only text and scalars are read.
        verdicts : sequence of KernelVerdict
            Of each kernel alone.
        notes : sequence of str
            What in the file was not judged.

        Returns
        -------
        FileVerdict
        list of KernelVerdict
            Of the same kernels in the same order, judged together.
        """
        objects, files = _places(table)
        jointly = self._together(verdicts, objects, files, table)
        chance, claimed = self._chance(verdicts, files)
        verdict = self._verdict(jointly, chance, claimed, notes)
        one_each = list({(v.code_sha1 or i): v for i, v in enumerate(jointly)}.values())
        return FileVerdict(
            where=where,
            verdict=verdict,
            p_mining=max((v.p_mining for v in jointly), default=0.0),
            n_kernels=len(jointly),
            n_distinct=len(one_each),
            counts=dict(Counter(v.verdict for v in one_each)),
            reasons=_reasons(verdict, claimed, chance, one_each),
            top=tuple(sorted(one_each, key=lambda v: (v.verdict.rank, -v.p_mining, -v.p_hash))[:TOP]),
            notes=tuple(notes),
            chance=chance,
        ), jointly

    def _together(
        self, verdicts: Sequence[KernelVerdict], objects: list[str], files: list[str], table: MixTable
    ) -> list[KernelVerdict]:
        alone = logit(np.array([v.p_mining for v in verdicts]))
        code = [str(c) for c in table.text["code_sha1"]]
        added = together(alone, objects, files, code, self.calibration) - alone
        beside = company(sigmoid(alone), files, code, self.calibration.background)
        kinds = {file: _kind([verdicts[i] for i in rows]) for file, rows in _by_file(files).items()}
        result = []
        for v, gain, start, near, file in zip(verdicts, added, alone, beside, files, strict=True):
            raised = self._raised(v, float(start + gain), float(near), kinds[file]) if gain > 0 else v
            if raised.verdict is Verdict.OTHER_HASH:  # hash work surely, a miner's only as far as its kind says
                raised = replace(raised, p_mining=raised.p_mining * raised.p_kind)
            result.append(raised)
        return result

    def _raised(self, v: KernelVerdict, log_odds: float, near: float, beside: tuple[Verdict, str]) -> KernelVerdict:
        """The same kernel with what its company adds.

        One that was called something alone keeps its word: company says that there is hash work, not of which kind.
        """
        p_mining = float(sigmoid(np.array(log_odds)))
        v = replace(v, p_mining=p_mining, p_hash=max(v.p_hash, p_mining))
        kind, family = beside
        verdict = decide(v.p_hash, p_mining, float(kind is Verdict.MINING), v.novelty, v.n_instr, self.thresholds)
        if v.verdict in _WORDS or verdict is v.verdict:
            return v
        share = min(self.calibration.background * float(np.exp(near)), 1)
        reasons = (f"lies beside kernels that hash (about {share:.0%} of the others)", *v.reasons)
        return replace(v, verdict=verdict, family=family if verdict in _WORDS else "", reasons=reasons)

    def _chance(self, verdicts: Sequence[KernelVerdict], files: list[str]) -> tuple[float, Verdict]:
        """The smallest chance over architectures and both thresholds, corrected for having looked so often."""
        looks: list[tuple[float, Verdict]] = []
        for rows in _counted(files).values():
            kernels = {verdicts[i].code_sha1 or str(i): verdicts[i] for i in rows}.values()
            mining = sum(v.verdict is Verdict.MINING for v in kernels)
            hashing = sum(v.verdict in _WORDS for v in kernels)
            looks.append((at_least(mining, len(kernels), *self.innocent.mining), Verdict.MINING))
            looks.append((at_least(hashing, len(kernels), *self.innocent.hashing), Verdict.OTHER_HASH))
        if not looks:
            return 1.0, Verdict.NOT_HASH
        named = [look for look in looks if look[1] is Verdict.MINING and look[0] * len(looks) <= self.innocent.alarm]
        if not _mostly_mining(verdicts):
            looks, named = [(chance, Verdict.OTHER_HASH) for chance, _ in looks], []
        chance, claimed = min(named or looks)
        return min(1.0, chance * len(looks)), claimed

    def _verdict(self, jointly: list[KernelVerdict], chance: float, claimed: Verdict, notes: Sequence[str]) -> Verdict:
        if chance <= self.innocent.alarm:
            return claimed
        if not jointly:
            return Verdict.NOT_JUDGED if notes else Verdict.ABSTAIN
        work = sum(v.n_instr for v in jointly)
        unsure = sum(v.n_instr for v in jointly if v.verdict is Verdict.ABSTAIN)
        if chance <= self.innocent.doubt or 2 * unsure > work:
            return Verdict.ABSTAIN
        return Verdict.NOT_HASH


def _by_file(files: list[str]) -> dict[str, list[int]]:
    """The rows of each file."""
    rows: dict[str, list[int]] = {}
    for index, file in enumerate(files):
        rows.setdefault(file, []).append(index)
    return rows


def _counted(files: list[str]) -> dict[str, list[int]]:
    """The rows that are counted together: those of a file and architecture.

    Rows of a table that name no file are counted by architecture: thousands of looks at one kernel each would find
    nothing that the correction for so many looks leaves standing.
    """
    return _by_file([file.rpartition("|")[2] if file.startswith(ALONE) else file for file in files])


def _mostly_mining(verdicts: Sequence[KernelVerdict]) -> bool:
    """Whether at least half of the kernels that hash look like a miner's.

    The chance of a mining look is that of innocent code without hash work; of a password cracker or a prover, where
    everything hashes, some kernels look like mining too.
    """
    calls = Counter(v.verdict for v in verdicts)
    return calls[Verdict.MINING] >= calls[Verdict.OTHER_HASH]


def _kind(verdicts: Sequence[KernelVerdict]) -> tuple[Verdict, str]:
    """What most of the kernels that were called something are called, and their commonest family."""
    calls = Counter(v.verdict for v in verdicts)
    kind = max(_WORDS, key=lambda word: calls[word])
    families = Counter(v.family for v in verdicts if v.verdict is kind).most_common(1)
    return kind, families[0][0] if families else ""


def _places(table: MixTable) -> tuple[list[str], list[str]]:
    """Object and file of each kernel, for company: one per architecture.

    Rows of a training table name their repository or package as ``source``; there that is the file.
    """
    objects = [str(name) for name in table.text["file"]]
    sources = table.text.get("source")
    files = [str(s) for s in sources] if sources is not None else [o.rpartition("#")[0] or o for o in objects]
    if not any(files):  # a bare table says nothing about what lies beside what: each row stands alone
        objects = files = [str(index) for index in range(len(table))]
    arch = table.scalars["arch"]
    files = [f"{file}|{a}" for file, a in zip(files, arch, strict=True)]
    return [f"{file}|{name}" for file, name in zip(files, objects, strict=True)], files


def _reasons(verdict: Verdict, claimed: Verdict, chance: float, kernels: list[KernelVerdict]) -> tuple[str, ...]:
    judged = Counter(v.verdict for v in kernels)
    loud = judged[Verdict.MINING] + judged[Verdict.OTHER_HASH]
    if verdict in _WORDS:
        families = Counter(v.family for v in kernels if v.verdict is verdict and v.family).most_common(3)
        named = ", ".join(f"{name} ({n})" for name, n in families)
        head = f"{judged[verdict]} of {len(kernels)} kernels look like {_WORDS[claimed]}"
        return (
            f"{head}: {named}" if named else head,
            f"an innocent file of this size shows as much with chance {chance:.2g}",
        )
    if loud:
        head = f"{loud} of {len(kernels)} kernels look like hash work"
        return (f"{head}; innocent files show as much with chance {chance:.2g}",)
    return ()
