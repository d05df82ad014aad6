"""The policy at work: observations in, actions and alerts out. It has no clock of its own, so that it can be replayed.

Whatever goes out was written down before: in the audit log, then in the case. Where that fails nothing goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import RLock
from typing import Final, final

from hashwarden.serve.audit.event import Auditor, EventKind
from hashwarden.serve.policy.alerts import AlertKind
from hashwarden.serve.policy.approvals import Saying, approved, rejected
from hashwarden.serve.policy.case import RELEASED, Case, Standing, StepRecord, StepState
from hashwarden.serve.policy.cases import CaseStore
from hashwarden.serve.policy.climb import Move, climbed, release_names, released
from hashwarden.serve.policy.exemptions import run_out
from hashwarden.serve.policy.guards import BLIND_WORDS
from hashwarden.serve.policy.judge import Grounds, grounds_of, quota_grounds
from hashwarden.serve.policy.ladder import MARGIN_S, MOST_ATTEMPTS, for_repeat
from hashwarden.serve.policy.look import Steady, evidence_of, looked
from hashwarden.serve.policy.memory import remembered
from hashwarden.serve.policy.observation import Blindness, Observation
from hashwarden.serve.policy.outbox import RETRY_S, Outbox, Step
from hashwarden.serve.policy.outcomes import after_outcome, case_of
from hashwarden.serve.policy.past import before, offence
from hashwarden.serve.policy.quotas import Ledger, is_charged
from hashwarden.serve.policy.schema import Policy
from hashwarden.serve.schedulers.scheduler import Action, ActionKind, Outcome, Result

__all__ = ["LOST_S", "Engine"]

LOST_S: Final = 86400.0
"""A case of a job that nobody saw for so long is closed."""

_TIDY_S: Final = 600.0
_DAY_S: Final = 86400.0


@final
class Engine:
    """Decides. Its methods may be called from several threads.

    Parameters
    ----------
    policy : Policy
    cases : CaseStore
    audit : Auditor
    identity : mapping of str to str
        ``model``: SHA-256 of the model in service, without which nothing is acted on.
    """

    def __init__(self, policy: Policy, cases: CaseStore, audit: Auditor, identity: Mapping[str, str]) -> None:
        self.policy, self.cases = policy, cases
        self.identity = dict(identity)
        self._audit, self._ledger, self._out, self._lock = audit, Ledger(cases), Outbox(policy, audit), RLock()
        self._steady: dict[str, Steady] = {}
        self._later: list[Callable[[], object]] = []
        self._tidied_s = self._told_s = float("-inf")
        self._releasing = {case.id for case in cases if not case.is_open and case.unreleased}

    def step(self, observations: Sequence[Observation], time_s: float, unix_s: float) -> Step:
        """Take what is known now, of each job once.

        Parameters
        ----------
        observations : sequence of Observation
        time_s, unix_s : float
            Monotonic clock, and seconds since 1970.
        """
        with self._lock:
            self._out.begin(time_s, unix_s)
            self._retry()
            for seen in observations:
                self._follow(seen, time_s, unix_s)
            if not any(Blindness.CLOCK in seen.blind for seen in observations):
                self._out.guarded(partial(self._ledger.fold, unix_s))
                self._tidy(time_s, unix_s)
            self._release(unix_s)
            self._expiring(time_s, unix_s)
            return self._out.taken()

    def ended(self, job_key: str, unix_s: float) -> None:
        """A job has ended: its cases are closed, its GPUs get their power back with the next step."""
        with self._lock:
            self._ledger.ended(job_key)
            for case in self.cases.open_cases():
                if case.job_key == job_key:
                    self._or_later(partial(self._close, case.id, "ended", "its job has ended", unix_s))

    def report(self, outcome: Outcome, unix_s: float) -> None:
        """What came of an action."""
        with self._lock:
            self._or_later(partial(self._heed, outcome, unix_s))

    def approve(self, case_id: str, by: str, reason: str, unix_s: float) -> Case:
        """Approve the act of a case.

        Parameters
        ----------
        case_id : str
        by : str
            Name of the user as the system knows him; what somebody only claims is no name.
        reason : str

        Raises
        ------
        ForbiddenError
            If this user may not.
        UsageError
            If there is no such open case.
        StorageError
            If it cannot be written down; then it is not approved.
        """
        with self._lock:
            said = Saying(case_id, by, reason)
            case, event = approved(self.cases.get(case_id), said, self.policy, unix_s)
            self._audit.append(EventKind.APPROVAL, {**event, "policy": self.policy.sha256, "unix_s": unix_s})
            self.cases.save(case)
            self._out.decide(case, "approved", f"approved by {by}: {reason}", (), unix_s)
            return case

    def reject(self, case_id: str, by: str, reason: str, unix_s: float) -> Case:
        """Close a case: the job is left alone from now on; parameters and errors as `approve`.

        One that was closed without a person's word may still be rejected: what is held is let go, and it counts no
        longer against its user.
        """
        with self._lock:
            case, event = rejected(self.cases.get(case_id), Saying(case_id, by, reason), self.policy)
            self._audit.append(EventKind.APPROVAL, {**event, "policy": self.policy.sha256, "unix_s": unix_s})
            return self._close(case.id, "rejected", f"rejected by {by}: {reason}", unix_s)

    def reload(self, policy: Policy, unix_s: float = 0.0) -> None:
        """Go by another policy from now on; StorageError if that cannot be written down: then the old one stays."""
        with self._lock:
            body = {"before": self.policy.sha256, "after": policy.sha256, "mode": policy.mode, "unix_s": unix_s}
            self._audit.append(EventKind.POLICY, body)
            self.policy = self._out.policy = policy

    def forbids(self, action: Action) -> str:
        """Why an action that was decided must not be done any more, in words; empty if it may.

        For what waits for a scheduler: a person may have said no meanwhile, or the policy become a dry run. What is
        taken back always may be.
        """
        if action.kind is ActionKind.RELEASE:
            return ""
        with self._lock:
            case = self.cases.get(action.case)
            if case is None or not case.is_open:
                return "its case was closed meanwhile"
            return "" if self.policy.mode == "enforce" else "the policy is a dry run now"

    def throttled(self) -> frozenset[str]:
        """Cases whose GPUs may be throttled now, for `hashwarden.serve.policy.power.PowerThrottle.recover`."""
        with self._lock:
            return frozenset(case.id for case in self.cases if case.holds_power)

    # Following a job

    def _follow(self, seen: Observation, time_s: float, unix_s: float) -> None:
        policy = self.policy
        charged = [quota for quota in policy.quotas if is_charged(quota, policy, seen.job, unix_s)]
        self._ledger.see(seen, charged)
        grounds = grounds_of(seen, policy, self.identity.get("model", ""), unix_s)
        self._blind(seen, grounds)
        for one in (grounds, *quota_grounds(seen, policy, self._ledger, grounds, unix_s)):
            if self._out.writes():
                self._out.guarded(partial(self._case, seen, one, time_s, unix_s))

    def _case(self, seen: Observation, grounds: Grounds, time_s: float, unix_s: float) -> None:
        """Open, look at, climb or close one case."""
        old = self.cases.open_case(seen.job.key, grounds.origin)
        if grounds.exempt is not None:
            if old is not None:
                self._close(old.id, "exempt", f"exempted: {grounds.exempt.reason}", unix_s)
            return
        if old is None:
            left_alone = self.cases.was_rejected(seen.job.key, grounds.origin)
            if grounds.standing is Standing.NONE or grounds.objections or left_alone:
                return
            old = self._opened(seen, grounds, time_s, unix_s)
        if old.repeat and grounds.ladder is not None:
            grounds = replace(grounds, ladder=for_repeat(grounds.ladder))
        case = looked(old, seen.job, grounds, time_s, unix_s, self._steady.pop(old.id, None))
        if case is old:
            self._steady[old.id] = Steady(time_s, grounds.ladder)
        if case.quiet_s >= self.policy.clear_minutes * 60:
            self._close(case.id, "clear", f"nothing held against it for {case.quiet_s / 60:,.0f} minutes", unix_s)
            return
        if case.standing is not old.standing:
            words = f"{old.standing} became {case.standing}"
            case = case.noting(words, unix_s)
            self._out.record(case, "standing", words, grounds.reasons, unix_s)
            self._out.tell(AlertKind.CASE, f"{case.id} {case.standing}", f"{case.id}: {words}", case.job_key)
        move = climbed(case, seen, grounds, self.policy, unix_s)
        self._move(move, old, grounds.reasons, unix_s)
        if move.case is not old and move.case.waiting:
            words = f"{old.id} waits for: {move.case.waiting}"
            self._out.tell(AlertKind.APPROVAL, f"{old.id} {move.case.waiting}", words, old.job_key, every_s=_DAY_S)

    def _opened(self, seen: Observation, grounds: Grounds, time_s: float, unix_s: float) -> Case:
        job = seen.job
        case = Case(
            id=self.cases.fresh_id(job.key, grounds.origin, unix_s), origin=grounds.origin, job=Case.fields_of(job),
            rule=grounds.name, opened_unix_s=unix_s, seen_unix_s=unix_s, standing=grounds.standing, look_s=time_s,
            linked=before(self.cases.past, job, unix_s, self.policy.link_hours * 3600),
            repeat=offence(self.cases.past, job, grounds.origin, unix_s, self.policy.remember_days * 86400),
            beyond=grounds.verdict.evidence.beyond_calibration
            if grounds.verdict and grounds.standing is Standing.CONFIRMED else None,
            evidence=evidence_of(grounds.verdict) if grounds.verdict else {},
        )  # fmt: skip
        case = remembered(case, self.cases, unix_s)
        under = f"rule {grounds.name}" if grounds.name else "no rule: it is only recorded"
        words = f"opened, {grounds.standing}, under {under}" + (f", after {case.linked}" if case.linked else "")
        words += f"; a job of this user was ended in {case.repeat}" if case.repeat else ""
        words += f", whose time and warnings count ({case.clock_s:,.0f} s)" if case.clock_s else ""
        case = case.noting(words, unix_s)
        self._out.record(case, "opened", words, grounds.reasons, unix_s)
        self.cases.save(case)
        kind = AlertKind.QUOTA if grounds.standing is Standing.QUOTA else AlertKind.CASE
        self._out.alert(kind, case, f"{words}: {'; '.join(grounds.reasons[:3])}", unix_s)
        return case

    def _move(self, move: Move, old: Case, reasons: tuple[str, ...], unix_s: float) -> None:
        """Write down what became of a case, then let it out."""
        if move.case is old:
            return
        if move.change:
            self._out.record(move.case, move.change, move.words, reasons, unix_s, move.action)
        self.cases.save(move.case)
        if move.action is not None and move.change == "asked":
            self._out.actions.append(move.action)
            warned = move.action.kind == "warn"
            if not warned or self.policy.warnings_to_admin:
                self._out.alert(AlertKind.WARNED if warned else AlertKind.ACTION, move.case, move.words, unix_s)
        elif move.action is not None:
            self._out.outcomes.append(Outcome(move.action.id, Result.DRY_RUN, move.words))
            self._out.alert(AlertKind.ACTION, move.case, move.words, unix_s)
        elif move.change == "waiting":
            words = f"{old.id} waits for: {move.words}"
            self._out.tell(AlertKind.APPROVAL, f"{old.id} {move.words}", words, old.job_key)

    # What comes from outside

    def _heed(self, outcome: Outcome, unix_s: float) -> None:
        case, name = case_of(self.cases, outcome.action)
        if case is None:
            return
        after, change, words = after_outcome(case, name, outcome, unix_s)
        if after is case:
            return
        self._out.record(after, change, words, (), unix_s)
        self.cases.save(after)
        self._releasing |= {after.id} if not after.is_open and after.unreleased else set()
        if change == "refused" or (change == "again" and after.steps[name].kind != ActionKind.WARN):
            self._out.alert(AlertKind.ACTION, after, words, unix_s)

    def _close(self, id_: str, why: str, words: str, unix_s: float) -> Case:
        self._steady.pop(id_, None)
        case = self.cases.get(id_)
        if case is None:
            raise LookupError(id_)
        change = "closed" if case.is_open else "forgiven"
        if not case.is_open and why != "rejected":
            return case
        case = case.having(closed_unix_s=unix_s, closed_for=why, waiting="").noting(f"{change}: {words}", unix_s)
        for name in release_names(case):
            if RELEASED + name not in case.steps:
                case = case.stepping(RELEASED + name, StepRecord(state=StepState.DUE, kind="release"))
        self._out.record(case, change, words, (), unix_s)
        self.cases.save(case)
        if case.unreleased:
            self._releasing.add(case.id)
        return case

    def _release(self, unix_s: float) -> None:
        """Take back what closed cases still hold."""
        for id_ in sorted(self._releasing):
            case = self.cases.get(id_)
            if case is None or not case.unreleased:
                self._releasing.discard(id_)
                continue
            for name in case.unreleased:
                step = case.steps[RELEASED + name]
                waits = step.state is StepState.ASKED and unix_s < step.expires_unix_s + MARGIN_S
                if not waits and step.attempt < MOST_ATTEMPTS and self._out.writes():
                    self._out.guarded(partial(self._let_go, id_, name, unix_s))

    def _let_go(self, id_: str, name: str, unix_s: float) -> None:
        case = self.cases.get(id_)
        if case is not None:
            self._move(released(case, name, self.policy, unix_s), case, (), unix_s)

    # Housekeeping

    def _blind(self, seen: Observation, grounds: Grounds) -> None:
        for kind in sorted(grounds.blind):
            self._out.tell(AlertKind.BLIND, str(kind), f"blind: {BLIND_WORDS[kind]}", seen.job.key)

    def _expiring(self, time_s: float, unix_s: float) -> None:
        if time_s - self._told_s < RETRY_S and time_s >= self._told_s:
            return
        self._told_s = time_s
        for subject, words in run_out(self.policy, unix_s):
            self._out.tell(AlertKind.EXEMPTION, subject, words, every_s=_DAY_S)

    def _tidy(self, time_s: float, unix_s: float) -> None:
        if time_s - self._tidied_s < _TIDY_S and time_s >= self._tidied_s:
            return
        self._tidied_s = time_s
        for case in self.cases.open_cases():
            if unix_s - case.seen_unix_s > LOST_S:
                self._out.guarded(partial(self._close, case.id, "lost", "its job was not seen for a day", unix_s))
        self.cases.prune(unix_s, self.policy.keep_closed_days * 86400, self.policy.keep_closed_cases)

    def _or_later(self, do: Callable[[], object]) -> None:
        """Do it now, or with a later step if the disk refuses now."""
        if self._later or not self._out.guarded(do):
            self._later.append(do)

    def _retry(self) -> None:
        while self._later and self._out.guarded(self._later[0]):
            del self._later[0]
