"""What a case report rests on: the log, the bundle, or both, brought into one form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, final

from pydantic import ValidationError

from hashwarden.model.job.verdict import EvidenceRecord, JobVerdict
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.policy.case import Standing
from hashwarden.serve.reporting.evidence import Evidence
from hashwarden.serve.reporting.names import Names
from hashwarden.serve.reporting.story import Story

__all__ = ["Basis", "Look", "Said", "verdict_of"]

_ORDER: Final = ("abstain", "clear", "watching", "suspect", "confirmed")


class Said(NamedTuple):
    """A verdict, when and of which GPU it was said, and its record in the log."""

    unix_s: float
    gpu: str
    verdict: JobVerdict
    record: int | None

    @property
    def rank(self) -> int:
        """Of its state, from least to most."""
        return _ORDER.index(self.verdict.state)

    def interval(self) -> tuple[float, float] | None:
        """The stretch that decided, since 1970; None if nothing did."""
        now, decided = self.verdict, self.verdict.decided_s
        if decided is not None and decided[0] < decided[1]:
            return self.unix_s - (now.time_s - decided[0]), self.unix_s - (now.time_s - decided[1])
        return None


def verdict_of(plain: object) -> JobVerdict | None:
    """A verdict of this version or another: fields that this one does not know are left out; None if it is none."""
    if not isinstance(plain, Mapping) or not isinstance(plain.get("evidence"), Mapping):
        return None
    known = {name: value for name, value in plain.items() if name in JobVerdict.model_fields}
    inner = plain["evidence"]
    known["evidence"] = {name: value for name, value in inner.items() if name in EvidenceRecord.model_fields}
    try:
        return JobVerdict.model_validate(known)
    except ValidationError:
        return None


@final
@dataclass(frozen=True, slots=True)
class Look:
    """How a case stands.

    Attributes
    ----------
    opened_unix_s : float
        0 if that is not known.
    closed_unix_s : float or None
    closed_for : str
        In words.
    standing, worst : str
        Now, and the most that it ever was.
    origin, rule, mode : str
        Of the policy; ``mode`` is ``enforce``, ``dry-run`` or empty.
    waiting : str
        What the next step waits for.
    """

    opened_unix_s: float = 0.0
    closed_unix_s: float | None = None
    closed_for: str = ""
    standing: str = "none"
    worst: str = "none"
    origin: str = ""
    rule: str = ""
    mode: str = ""
    waiting: str = ""


@final
@dataclass(slots=True)
class Basis:
    """See the module.

    Attributes
    ----------
    case : str
    story : Story or None
    evidence : Evidence or None
    names : Names
    """

    case: str
    story: Story | None
    evidence: Evidence | None
    names: Names
    said: list[Said] = field(default_factory=list)
    unread: int = 0

    def __post_init__(self) -> None:
        self.said = list(self._said())
        for job in self._jobs():
            self.names.learn(job)

    @property
    def job(self) -> Mapping[str, Any]:
        """The fields of the job, as they were seen last."""
        return next(reversed([job for job in self._jobs() if job]), {})

    @property
    def gpus(self) -> list[str]:
        """The GPUs that the job had."""
        found = self.job.get("gpus")
        named = [str(gpu) for gpu in found] if isinstance(found, list | tuple) else []
        return named or list(dict.fromkeys(one.gpu for one in self.said))

    @property
    def started_unix_s(self) -> float | None:
        """When the job started, if that is known."""
        found = _number(self.job.get("started_unix_s"), -1.0)
        return found if found >= 0 else None

    @property
    def told(self) -> bool:
        """Whether the log that was given tells of this case."""
        return self.story is not None and bool(self.story.of(EventKind.CASE))

    @property
    def decisive(self) -> Said | None:
        """The first verdict of the highest state; of several GPUs the one that got there first."""
        best = max((one.rank for one in self.said), default=0)
        return next((one for one in self.said if one.rank == best), None)

    @property
    def last(self) -> list[Said]:
        """The newest verdict on each GPU."""
        return list({one.gpu: one for one in self.said}.values())

    @property
    def look(self) -> Look:
        """How the case stands."""
        if self.story is not None and self.told:
            return self._by_log(self.story)
        return self._by_bundle(self.evidence.case) if self.evidence else Look()

    @property
    def as_of_unix_s(self) -> float:
        """When the newest thing was written that this rests on."""
        packed = _number(self.evidence.case.get("seen_unix_s"), 0.0) if self.evidence else 0.0
        return self.story.last_unix_s if self.story else packed

    def _said(self) -> Iterator[Said]:
        """Those of the log; those of the bundle where the log has none, or none any more."""
        found = list(self._logged())
        yield from found or self._packed()

    def _logged(self) -> Iterator[Said]:
        for record in self.story.of(EventKind.VERDICT) if self.story else ():
            verdict = verdict_of(record.body.get("verdict"))
            if verdict is None:
                self.unread += 1
            else:
                yield Said(_number(record.body.get("unix_s"), record.unix_s), str(record.body.get("gpu", "")), verdict,
                           record.seq)  # fmt: skip

    def _packed(self) -> Iterator[Said]:
        if self.evidence is not None:
            packed = _number(self.evidence.case.get("seen_unix_s"), 0.0)
            for verdict in self.evidence.verdicts:
                yield Said(packed, verdict.job.rpartition("@")[2], verdict, None)

    def _jobs(self) -> Iterator[Mapping[str, Any]]:
        if self.evidence is not None:
            yield {**self.evidence.job, "tenant": self.evidence.tenant} if self.evidence.job else {}
        for record in self.story.of(EventKind.VERDICT) if self.story else ():
            job = record.body.get("job")
            yield job if isinstance(job, Mapping) else {"key": job}
        for record in self.story.of(EventKind.CASE) if self.story else ():
            if not self.said and record.body.get("user"):
                yield {"key": self.story.job if self.story else "", "user": record.body["user"]}

    def _by_log(self, story: Story) -> Look:
        records = [record for record in story.of(EventKind.CASE) if record.body.get("change")]
        opened = next((one for one in records if one.body["change"] == "opened"), None)
        closed = next((one for one in records if one.body["change"] == "closed"), None)
        told = [str(one.body.get("standing", "")) for one in records]
        newest: Mapping[str, Any] = records[-1].body if records else {}
        waits = newest if newest.get("change") == "waiting" else {}
        return Look(
            opened_unix_s=_number(opened.body.get("unix_s"), opened.unix_s) if opened else 0.0,
            closed_unix_s=_number(closed.body.get("unix_s"), closed.unix_s) if closed else None,
            closed_for=str(closed.body.get("words", "")) if closed else "",
            standing=told[-1] if told else "none", worst=_worst(told), origin=str(newest.get("origin", "")),
            rule=str(newest.get("rule", "")), mode=str(newest.get("mode", "")), waiting=str(waits.get("words", "")),
        )  # fmt: skip

    def _by_bundle(self, case: Mapping[str, Any]) -> Look:
        closed, standing = case.get("closed_unix_s"), str(case.get("standing", "none"))
        policy = self.evidence.manifest.get("policy") if self.evidence else {}
        return Look(
            opened_unix_s=_number(case.get("opened_unix_s"), 0.0),
            closed_unix_s=None if closed is None else _number(closed, 0.0),
            closed_for=str(case.get("closed_for", "")), standing=standing, worst=standing,
            origin=str(case.get("origin", "")), rule=str(case.get("rule", "")),
            mode=str(policy.get("mode", "")) if isinstance(policy, Mapping) else "",
            waiting=str(case.get("waiting", "")),
        )  # fmt: skip


def _worst(told: list[str]) -> str:
    order = [str(one) for one in Standing]
    return max((one for one in told if one in order), key=order.index, default="none")


def _number(value: object, missing: float) -> float:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else missing
    except OverflowError:
        return missing
