"""hashwarden scan, without its command line: targets in, a report out."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import final

from hashwarden.kernels.sass.limits import Limits
from hashwarden.serve.scan.cache import Cache, CacheKey
from hashwarden.serve.scan.events import Event, Finished, Kernels, Unreadable
from hashwarden.serve.scan.judge import FileRule, Scorer, TargetJudge
from hashwarden.serve.scan.pipeline import Held, Process, Progress, Target, read_targets
from hashwarden.serve.scan.result import Problem, ScanReport, TargetReport
from hashwarden.serve.scan.spool import KernelSpool

__all__ = ["Scan"]


def _ignore(_: object) -> None:
    """Tell nobody."""


@final
@dataclass(frozen=True, slots=True)
class Scan:
    """How targets are read and judged.

    Attributes
    ----------
    scorer : Scorer
        Judges kernels.
    rule : FileRule
        Judges files from their kernels.
    limits : Limits
        What reading one target may cost.
    jobs : int, optional
        Worker processes; as many as there are usable cores if None.
    cache : Cache, optional
        Verdicts of earlier scans, by content.
    told : callable
        Is told each problem as it comes.
    progress : callable, optional
        Is told where the reading stands.
    """

    scorer: Scorer
    rule: FileRule
    limits: Limits = field(default_factory=Limits)
    jobs: int | None = None
    cache: Cache | None = None
    told: Callable[[Problem], None] = _ignore
    progress: Callable[[Progress], None] | None = None

    def run(self, targets: Sequence[Target], spool: KernelSpool) -> ScanReport:
        """Judge all targets, in order.

        Parameters
        ----------
        targets : sequence of str, Path or Process
        spool : KernelSpool
            Takes the verdicts of all kernels.

        Returns
        -------
        ScanReport
            Bad targets are in it as problems; nothing raises for them.
        """
        start = time.perf_counter()
        keys = [self._key(target) for target in targets]
        known = [key is not None and self._cache_has(key) for key in keys]
        unknown = [target for target, hit in zip(targets, known, strict=True) if not hit]
        reports: list[TargetReport] = []
        with closing(self._read(unknown)) as events:
            for target, key, hit in zip(targets, keys, known, strict=True):
                report = self._recall(target, key, spool) if hit else None
                if report is None:  # a damaged entry is read apart from the others
                    source = self._read([target]) if hit else events
                    report = self._judge(source, target, key, spool)
                reports.append(report)
        limits = asdict(self.limits)
        return ScanReport(tuple(reports), dict(self.scorer.identity), limits, time.perf_counter() - start)

    def _key(self, target: Target) -> CacheKey | None:
        if self.cache is None or isinstance(target, (Process, Held)):
            return None
        return self.cache.key(target, self.scorer.identity.get("sha256", ""), self.limits)

    def _cache_has(self, key: CacheKey) -> bool:
        return self.cache is not None and self.cache.has(key)

    def _recall(self, target: Target, key: CacheKey | None, spool: KernelSpool) -> TargetReport | None:
        if self.cache is None or key is None:
            return None
        report = self.cache.load(key, str(target), spool)
        for problem in report.problems if report else ():
            self.told(problem)
        return report

    def _read(self, targets: Sequence[Target]) -> Generator[Event]:
        """Begin to read, when the first event is asked for."""
        yield from read_targets(targets, self.limits, jobs=self.jobs, progress=self.progress)

    def _judge(self, events: Iterable[Event], target: Target, key: CacheKey | None, spool: KernelSpool) -> TargetReport:
        judge = TargetJudge(self.scorer, self.rule, spool, self.told)
        start = spool.end
        for event in events:
            match event:
                case Kernels():
                    judge.add(event)
                case Unreadable():
                    judge.refuse(event, _name(target))
                case Finished():
                    report = judge.finish(event, key.sha256 if key else "")
                    if self.cache is not None and key is not None:
                        self.cache.store(key, report, spool.lines(start))
                    return report
        raise RuntimeError(f"the reading of {_name(target)} ended without its last event")


def _name(target: Target) -> str:
    if isinstance(target, Held):
        return target.name
    return f"pid {target.pid}" if isinstance(target, Process) else str(target)
