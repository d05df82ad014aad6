"""What one step of the engine decided, told and asked for: written down first, let out whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from hashwarden.serve.audit.event import Auditor, EventKind
from hashwarden.serve.journal import StorageError
from hashwarden.serve.policy.alerts import Alert, AlertBook, AlertKind, one_line
from hashwarden.serve.policy.case import Case
from hashwarden.serve.policy.guards import BLIND_WORDS
from hashwarden.serve.policy.observation import Blindness
from hashwarden.serve.policy.schema import Policy
from hashwarden.serve.schedulers.scheduler import Action, Outcome

__all__ = ["RETRY_S", "Decision", "Outbox", "Step"]

RETRY_S: Final = 10.0
"""After the disk refused, so long nothing new is decided."""

_MOST_REASONS: Final = 16


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """Something that became of a case, with its reasons.

    Attributes
    ----------
    case, job : str
        Id, and `Job.key`.
    change : str
        ``opened``, ``standing``, ``asked``, ``told``, ``waiting``, ``done``, ``refused``, ``again``, ``approved``,
        ``closed``; ``forgiven``: rejected after it was closed.
    words : str
    reasons : tuple of str
    action : Action or None
        What was asked for, or in a dry run would have been.
    unix_s : float
    """

    case: str
    job: str
    change: str
    words: str
    reasons: tuple[str, ...] = ()
    action: Action | None = None
    unix_s: float = 0.0


@final
@dataclass(frozen=True, slots=True)
class Step:
    """What came out of one step.

    Attributes
    ----------
    actions : tuple of Action
        To be asked for; each id comes once, ever.
    alerts : tuple of Alert
    outcomes : tuple of Outcome
        Of what a dry run only tells: all `Result.DRY_RUN`.
    decisions : tuple of Decision
    """

    actions: tuple[Action, ...] = ()
    alerts: tuple[Alert, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    decisions: tuple[Decision, ...] = ()


@final
class Outbox:
    """Collects what goes out with the next step.

    Parameters
    ----------
    policy : Policy
        Whose alerts these are.
    audit : Auditor

    Attributes
    ----------
    actions, alerts, outcomes, decisions : list
        Since the last step.
    """

    def __init__(self, policy: Policy, audit: Auditor) -> None:
        self.policy = policy
        self._audit, self._book = audit, AlertBook()
        self.actions: list[Action] = []
        self.alerts: list[Alert] = []
        self.outcomes: list[Outcome] = []
        self.decisions: list[Decision] = []
        self._time_s = self._unix_s = 0.0
        self._refused_s: float | None = None

    def begin(self, time_s: float, unix_s: float) -> None:
        """Say what time it is."""
        self._time_s, self._unix_s = time_s, unix_s

    def taken(self) -> Step:
        """Everything there is; nothing is left."""
        found = Step(tuple(self.actions), tuple(self.alerts), tuple(self.outcomes), tuple(self.decisions))
        for buffer in self._buffers():
            buffer.clear()
        return found

    def writes(self) -> bool:
        """Whether the disk may be tried: it did not refuse just now."""
        return self._refused_s is None or not 0 <= self._time_s - self._refused_s < RETRY_S

    def guarded(self, do: Callable[[], object]) -> bool:
        """Do something; if the disk refuses, nothing of it goes out, and that is told."""
        lengths = [len(buffer) for buffer in self._buffers()]
        try:
            do()
        except StorageError as error:
            for buffer, length in zip(self._buffers(), lengths, strict=True):
                del buffer[length:]
            self._refused_s = self._time_s
            kind = Blindness.STORAGE
            self.tell(AlertKind.BLIND, str(kind), f"blind: {BLIND_WORDS[kind]}: {error}")
            return False
        return True

    def record(  # noqa: PLR0913, PLR0917
        self, case: Case, change: str, words: str, reasons: Sequence[str], unix_s: float, action: Action | None = None
    ) -> None:
        """Write into the audit log what became of a case; StorageError if that cannot be."""
        body: dict[str, Any] = {
            "case": case.id, "job": case.job_key, "user": case.job.get("user", ""), "change": change,
            "words": one_line(words), "rule": case.rule, "origin": case.origin, "standing": str(case.standing),
            "mode": self.policy.mode, "policy": self.policy.sha256,
            "reasons": [one_line(reason) for reason in reasons[:_MOST_REASONS]], "unix_s": unix_s,
        }  # fmt: skip
        if action is not None:
            body |= {"action": action.id, "kind": str(action.kind)}
        if change in {"opened", "standing", "asked", "told"}:
            body["evidence"] = dict(case.evidence)
        self._audit.append(EventKind.CASE, body)
        self.decide(case, change, words, reasons, unix_s, action)

    def decide(  # noqa: PLR0913, PLR0917
        self, case: Case, change: str, words: str, reasons: Sequence[str], unix_s: float, action: Action | None = None
    ) -> None:
        """Say what became of a case."""
        self.decisions.append(Decision(case.id, case.job_key, change, one_line(words), tuple(reasons), action, unix_s))

    def alert(self, kind: AlertKind, case: Case, words: str, unix_s: float) -> None:
        """Tell operators of a case."""
        who = case.job.get("user") or case.job.get("namespace") or "nobody known"
        text = one_line(f"{case.id} ({case.job_key} of {who}): {words}")
        self.alerts.append(Alert(kind, case.id, text, 1, (case.job_key,), self.policy.admin_emails, unix_s))

    def tell(self, kind: AlertKind, subject: str, words: str, job: str = "", every_s: float | None = None) -> None:
        """Tell operators of something, unless they were told a short while ago."""
        every = self.policy.alert_minutes * 60 if every_s is None else every_s
        count, jobs = self._book.see(kind, subject, job, self._time_s, every)
        if count:
            of = f" ({', '.join(jobs)})" if jobs else ""
            told = Alert(kind, subject, one_line(f"{words}{of}"), count, tuple(jobs), self.policy.admin_emails,
                         self._unix_s)  # fmt: skip
            self.alerts.append(told)

    def _buffers(self) -> tuple[list[Any], ...]:
        return self.actions, self.alerts, self.outcomes, self.decisions
