"""What a scan found: per target its files, its problems and its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

from hashwarden.errors import HashwardenError, target_error
from hashwarden.model.kernel.verdict import FileVerdict, Verdict
from hashwarden.serve.scan.events import ReadStats

__all__ = ["Problem", "ScanReport", "TargetReport", "worst"]


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """One object that could not be judged.

    Attributes
    ----------
    error : str
        Class name in `hashwarden.errors`.
    exit_code : int
        Exit code of that class.
    where, got, expected, remedy : str
        The object, what was found, what would have been right, what to do.
    """

    error: str
    exit_code: int
    where: str
    got: str
    expected: str
    remedy: str

    @classmethod
    def of(cls, error: HashwardenError, where: str = "") -> Problem:
        """Describe an error; ``where`` names the object if the error does not."""
        place = error.where or where
        return cls(type(error).__name__, error.exit_code, place, error.got, error.expected, error.remedy)

    def line(self) -> str:
        """Say it in one line, as every error of hashwarden is said."""
        return str(target_error(self.error, self.got, self.expected, self.remedy, self.where))


@final
@dataclass(frozen=True, slots=True)
class TargetReport:
    """One target, judged.

    Attributes
    ----------
    target : str
        As the user named it; ``pid 4711`` for a process.
    files : tuple of FileVerdict
        The objects in it that hold GPU code, in the order they were read.
    problems : tuple of Problem
        What could not be judged.
    first_kernel, n_kernels : int
        Its kernels are records ``first_kernel`` to ``first_kernel + n_kernels - 1`` of the report.
    stats : ReadStats
        Numbers of the reading.
    sha256 : str
        Of the whole content; "" where that was not read (folders, processes, no cache).
    cached : bool
        The verdict was taken from the cache.
    """

    target: str
    files: tuple[FileVerdict, ...] = ()
    problems: tuple[Problem, ...] = ()
    first_kernel: int = 0
    n_kernels: int = 0
    stats: ReadStats = field(default_factory=ReadStats)
    sha256: str = ""
    cached: bool = False

    @property
    def verdict(self) -> Verdict:
        """As bad as its worst file; never ``not hash`` while a part of it is unread.

        Blindness never passes for innocence: no file at all, or a problem beside innocent files,
        makes ``not judged``.
        """
        found = worst(file.verdict for file in self.files)
        return Verdict.NOT_JUDGED if found is Verdict.NOT_HASH and self.problems else found

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers of the reading say about code that no kernel of this report stands for."""
        stats = self.stats
        old = ", ".join(f"{n:,} of sm_{arch}" for arch, n in sorted(stats.unsupported_archs.items()))
        notes = [f"kernels not judged, architecture not decoded: {old}"] if old else []
        if stats.kernels_too_small and not self.files:
            notes.append(f"{stats.kernels_too_small:,} kernels of too few instructions to judge")
        if stats.unknown_opcodes:
            notes.append(f"{stats.unknown_opcodes:,} instructions with an unknown opcode")
        if stats.pages_unreadable:
            notes.append(f"{stats.pages_unreadable:,} pages of memory could not be read")
        return tuple(notes)


@final
@dataclass(frozen=True, slots=True)
class ScanReport:
    """All targets of one run.

    Attributes
    ----------
    targets : tuple of TargetReport
        In the order they were given.
    model : dict of str to str
        Which model judged: name, version and SHA-256 of its file.
    limits : dict of str to int or float
        The limits of reading that applied.
    seconds : float
        Wall time of the run.
    """

    targets: tuple[TargetReport, ...]
    model: dict[str, str]
    limits: dict[str, int | float]
    seconds: float = 0.0

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of all targets."""
        return tuple(problem for target in self.targets for problem in target.problems)

    @property
    def files(self) -> tuple[FileVerdict, ...]:
        """The files of all targets."""
        return tuple(file for target in self.targets for file in target.files)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Pick the worst of some verdicts; of none, `Verdict.NOT_JUDGED`."""
    return min(verdicts, key=lambda verdict: verdict.rank, default=Verdict.NOT_JUDGED)
