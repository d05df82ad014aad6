"""The words of a verdict on kernels and files."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import final

__all__ = ["FileVerdict", "KernelVerdict", "Verdict"]


class Verdict(StrEnum):
    """What hashwarden says of a kernel, a file or a process, from worst to best."""

    MINING = "hash: mining-like"
    OTHER_HASH = "hash: other"
    ABSTAIN = "abstain"
    NOT_JUDGED = "not judged"
    NOT_HASH = "not hash"

    @property
    def rank(self) -> int:
        """0 for the worst; a file is as bad as the worst verdict that its rule supports."""
        return list(Verdict).index(self)


@final
@dataclass(frozen=True, slots=True)
class KernelVerdict:
    """One kernel, judged.

    Attributes
    ----------
    index : int
        Place of the kernel in its target, from 0.
    where : str
        The object it lies in (``a.whl!lib/b.so#fatbin3``).
    kernel : str
        Mangled name; "" if stripped.
    arch : int
        Compute capability times 10.
    p_hash, p_mining : float
        Calibrated probabilities, 0 to 1: any hash workload; a hash workload that looks like mining.
        From a scorer they are those of the kernel alone; the file rule judges kernels together.
    family : str
        The most probable family; "" if the model abstains.
    verdict : Verdict
        What the probabilities amount to.
    reasons : tuple of str
        What decided it, in words, strongest first.
    code_sha1 : str
        First 16 hex digits of SHA-1 over the code.
    n_instr : int
        Instructions.
    p_kind : float
        Probability, 0 to 1, that it is a miner's if it is hash work at all.
    novelty : float
        Distance from all training data; about 1 for what is known.
    """

    index: int
    where: str
    kernel: str
    arch: int
    p_hash: float
    p_mining: float
    family: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    code_sha1: str = ""
    n_instr: int = 0
    p_kind: float = 1.0
    novelty: float = 0.0


@final
@dataclass(frozen=True, slots=True)
class FileVerdict:
    """A file, a library or a process, judged from its kernels.

    Attributes
    ----------
    where : str
        The object.
    verdict : Verdict
        By the file rule (`hashwarden.model.kernel.rule`).
    p_mining : float
        The highest probability of mining among its kernels, judged together, 0 to 1; the verdict does not
        rest on it, for of thousands of innocent kernels one is always the highest.
    n_kernels, n_distinct : int
        Kernels found, and kernels with distinct code.
    counts : dict of Verdict to int
        Distinct kernels by verdict.
    reasons : tuple of str
        What decided it, in words.
    top : tuple of KernelVerdict
        The kernels that weigh most, worst first.
    chance : float
        How often an innocent file of this size would look so, 0 to 1: what the verdict rests on.
    notes : tuple of str
        What was not judged and why (PTX only, older architectures, unknown opcodes).
    """

    where: str
    verdict: Verdict
    p_mining: float
    n_kernels: int
    n_distinct: int
    counts: dict[Verdict, int] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    top: tuple[KernelVerdict, ...] = ()
    notes: tuple[str, ...] = ()
    chance: float = 1.0
