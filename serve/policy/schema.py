"""``policy.toml``: what it may say.

Names and shape of the ladder follow Princeton's Job Defense Shield (docs/alert/cancel_gpu_jobs.md of
PrincetonUniversity/job_defense_shield).
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any, Final, Literal, Self, final

from pydantic import AwareDatetime, Field, model_validator

from hashwarden.model.channels import TIERS
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES
from hashwarden.serve.jobs.job import Job
from hashwarden.serve.policy.selectors import Names, Part, What, Who, Work, fits

__all__ = ["ANY", "ENDING", "Act", "Agents", "Exemption", "Ladder", "Policy", "Quota", "Rule", "policy_schema"]

ANY: Final = "any"
"""Class of a quota that counts all GPU-hours, ``unknown`` too."""

Minutes = float


class Act(StrEnum):
    """What the last step of a ladder asks for."""

    NONE = "none"
    CANCEL = "cancel"
    """The job ends, in the way of its scheduler: scancel, eviction, SIGTERM and SIGKILL."""
    REQUEUE_HOLD = "requeuehold"
    HOLD = "hold"
    THROTTLE = "throttle"
    DRAIN = "drain"


ENDING: Final = (Act.CANCEL, Act.REQUEUE_HOLD, Act.DRAIN)
"""What a person has to approve unless the policy says otherwise: it cannot be taken back."""


class Ladder(Part):
    """Warn, warn, act. Minutes count while the job is seen to do it; blind minutes do not count."""

    sampling_period_minutes: Minutes = Field(
        default=1.0, gt=0, le=60, description="Minutes between two looks at a case"
    )
    first_warning_minutes: Minutes = Field(default=15.0, ge=0, le=100_000, description="First warning of the owner")
    second_warning_minutes: Minutes | None = Field(
        default=None, ge=0, le=100_000, description="Second warning; none if absent"
    )
    throttle_minutes: Minutes | None = Field(
        default=None, ge=0, le=100_000, description="Lower the power limit; absent: never"
    )
    cancel_minutes: Minutes = Field(
        default=60.0, gt=0, le=100_000, description="The act, never without the warnings before"
    )
    repeat_cancel_minutes: Minutes | None = Field(
        default=None, gt=0, le=100_000,
        description="The act, for a user who was acted on within remember_days: one warning, at once, then this; "
        "absent: the whole ladder anew",
    )  # fmt: skip
    action: Act = Field(default=Act.NONE, description="The act; none: the ladder ends with the warnings")
    throttle_watts_ratio: float = Field(
        default=0.5, ge=0.05, le=1, description="Power limit when throttled, of the present one"
    )
    do_not_cancel: bool = Field(
        default=False, description="Warnings go out, acts are only told: a dry run of the act alone"
    )
    warn_on_suspect: bool = Field(default=False, description="Warn under 'suspect' too, not only under 'confirmed'")
    interactive_warn_only: bool = Field(default=False, description="No act on jobs that a person sits before")
    act_tiers: Names = Field(default=("gpm", "gpm+code", "all"), description="Tiers of evidence good enough for an act")
    act_beyond_calibration: bool = Field(
        default=False, description="Act on what was confirmed after the calibrated horizon"
    )
    act_if_warning_refused: bool = Field(
        default=False, description="Act though the scheduler would not deliver a warning"
    )
    despite_budgets: Literal["none", "own", "all"] = Field(
        default="none",
        description="Delete a pod whose disruption budgets block its eviction; own: where they protect nobody else",
    )
    evict_wait_minutes: Minutes = Field(
        default=5.0, ge=0, le=720, description="How long such budgets are heeded, with despite_budgets"
    )
    require_approval: tuple[Act, ...] | None = Field(
        default=None, description="Acts that a person approves; absent: as above"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        warnings = [self.first_warning_minutes]
        warnings += [self.second_warning_minutes] if self.second_warning_minutes is not None else []
        if sorted(set(warnings)) != warnings:
            raise ValueError("second_warning_minutes comes after first_warning_minutes")
        if self.action is not Act.NONE and self.cancel_minutes <= warnings[-1]:
            raise ValueError("cancel_minutes comes after the last warning: nobody is acted on unwarned")
        if self.throttle_minutes is not None and self.throttle_minutes <= warnings[0]:
            raise ValueError("throttle_minutes comes after first_warning_minutes: nobody is acted on unwarned")
        if unknown := set(self.act_tiers) - set(TIERS):
            raise ValueError(f"act_tiers: no tier is called {min(unknown)!r}; there are {', '.join(TIERS)}")
        return self


def _checked_work(classes: Names, families: Names) -> None:
    for name in classes:
        if not any(fits((name,), known) for known in CLASSES):
            raise ValueError(f"classes: no class is called {name!r}; there are {', '.join(CLASSES)}")
    for name in families:
        if not any(fits((name,), known) for known in MINING_FAMILIES):
            raise ValueError(f"families: no family is called {name!r}; there are {', '.join(MINING_FAMILIES)}")


@final
class Rule(What, Ladder):
    """What is done about whom; the first rule of the file that fits is the one."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Its name in cases and in the audit log")
    classes: Names = Field(default=("mining",), description="Classes of work; anything but mining is only warned about")
    excluded_users: Names = Field(default=(), description="Users that this rule is not about")
    excluded_accounts: Names = Field(default=(), description="Accounts that this rule is not about")
    excluded_partitions: Names = Field(default=(), description="Partitions that this rule is not about")
    excluded_qos: Names = Field(default=(), description="QOS that this rule is not about")
    excluded_namespaces: Names = Field(default=(), description="Namespaces that this rule is not about")

    @model_validator(mode="after")
    def _known(self) -> Self:
        _checked_work(self.classes, self.families)
        if self.action is not Act.NONE and "mining" not in self.classes:
            raise ValueError("action: only 'mining' has a bound on false alarms; other classes are warned about, "
                             "or get a quota")  # fmt: skip
        return self

    def is_for(self, job: Job, work: Work) -> bool:
        """Whether it is about this work of this job."""
        if not self.is_work(job, work):
            return False
        excluded = (
            (self.excluded_users, job.user), (self.excluded_accounts, job.account), (self.excluded_qos, job.qos),
            (self.excluded_partitions, job.partition), (self.excluded_namespaces, job.namespace),
        )  # fmt: skip
        return not any(patterns and fits(patterns, name) for patterns, name in excluded)


@final
class Exemption(What):
    """Work that is allowed for a while: a password audit, a prover of proofs."""

    reason: str = Field(min_length=3, max_length=500, description="Why; it is in the audit log")
    expires: AwareDatetime = Field(description="When it ends, with its time zone: 2026-12-31T00:00:00Z")
    by: str = Field(default="", max_length=200, description="Who allowed it")

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        _checked_work(self.classes, self.families)
        if self.anybody:
            raise ValueError("an exemption for everybody; name partitions, namespaces, users, accounts or qos")
        return self


@final
class Agents(Part):
    """Which jobs are software agents; any one sign is enough. What a job says of itself can only add it here."""

    users: Names = Field(default=(), description="Users that are agents")
    accounts: Names = Field(default=(), description="Accounts of agents")
    namespaces: Names = Field(default=(), description="Namespaces of agents")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels: name, and a pattern of the value")
    approved: tuple[Exemption, ...] = Field(
        default=(), description="Agents with an approval, which the quota is not for"
    )

    @property
    def nobody(self) -> bool:
        """Whether it names none."""
        return not (self.users or self.accounts or self.namespaces or self.labels)

    def is_agent(self, job: Job) -> bool:
        """Whether the job is one."""
        named = ((self.users, job.user), (self.accounts, job.account), (self.namespaces, job.namespace))
        if any(patterns and fits(patterns, name) for patterns, name in named):
            return True
        return any(key in job.labels and fits((pattern,), job.labels[key]) for key, pattern in self.labels.items())


@final
class Quota(Who, Ladder):
    """GPU-hours of some classes that a user, tenant or job may use in a sliding window; then its ladder begins."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Its name in cases and in the audit log")
    classes: Names = Field(description="Classes whose hours count by the likeliest class; 'any' for all hours")
    agents: bool = Field(default=False, description="Only for agents that have no approval")
    gpu_hours: float = Field(ge=0, description="What is free")
    window: Literal["day", "week"] = Field(default="week", description="Sliding: 24 hours, or 7 days")
    per: Literal["user", "tenant", "job"] = Field(default="user", description="For whom hours are summed up")
    first_warning_minutes: Minutes = Field(
        default=0.0, ge=0, le=100_000, description="First warning, after the quota is used"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if set(self.classes) != {ANY}:
            _checked_work(self.classes, ())
        if not self.classes:
            raise ValueError(f"classes: name some, or {ANY!r}")
        return self


@final
class Policy(Part):
    """What is done about verdicts. Nothing is done unless ``mode`` is ``enforce``."""

    version: Literal[1] = Field(default=1, description="Of this format")
    mode: Literal["dry-run", "enforce"] = Field(
        default="dry-run", description="dry-run: all is told, nothing is asked for"
    )
    admin_emails: Names = Field(default=(), description="Who is told of alerts")
    warnings_to_admin: bool = Field(default=True, description="Whether they are told of warnings of owners too")
    contact: str = Field(default="", max_length=200, description="Whom owners can ask; a part of each warning")
    require_approval: tuple[Act, ...] = Field(default=ENDING, description="Acts that a person has to approve")
    approvers: Names = Field(
        default=(), description="Who may approve and reject; empty: whoever may use the agent's socket"
    )
    four_eyes: bool = Field(default=True, description="Nobody approves or rejects a case of a job of his own")
    approval_hours: float = Field(default=24.0, gt=0, le=720, description="How long an approval holds")
    stale_seconds: float = Field(
        default=120.0, gt=0, le=3600, description="Age of a verdict that is no ground any longer"
    )
    clear_minutes: Minutes = Field(
        default=60.0, gt=0, description="Minutes without evidence after which a case is closed"
    )
    link_hours: float = Field(
        default=24.0, ge=0, description="A new case of the same user this soon names the one before"
    )
    remember_days: float = Field(
        default=7.0, ge=0, le=3650, description="So long a user whose job was ended is one who was acted on"
    )
    alert_minutes: Minutes = Field(default=60.0, gt=0, description="Least time between two alerts of the same thing")
    action_expires_minutes: Minutes = Field(
        default=30.0, gt=0, le=1440, description="What was not done by then is dropped; a day at most"
    )
    keep_closed_days: float = Field(default=90.0, gt=0, description="How long closed cases are kept")
    keep_closed_cases: int = Field(
        default=10_000, ge=100, le=100_000, description="How many of them at most; the oldest go first"
    )
    ladder: dict[str, Any] = Field(default_factory=dict, description="Settings of all rules and quotas that have none")
    rules: tuple[Rule, ...] = Field(default=(), description="The first that fits is the one")
    exemptions: tuple[Exemption, ...] = ()
    agents: Agents = Agents()
    quotas: tuple[Quota, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, given: Any) -> Any:  # noqa: ANN401
        """What ``[ladder]`` says holds where a rule or quota says nothing."""
        if not isinstance(given, dict) or not isinstance(base := given.get("ladder", {}), dict) or not base:
            return given
        entries = given.get("rules") or given.get("quotas")  # they show what is wrong with a known key
        Ladder.model_validate({k: v for k, v in base.items() if not entries or k not in Ladder.model_fields})
        mixed = dict(given)
        for part in ("rules", "quotas"):
            entries = given.get(part, ())
            if isinstance(entries, list | tuple):
                mixed[part] = [{**base, **entry} if isinstance(entry, dict) else entry for entry in entries]
        return mixed

    @model_validator(mode="after")
    def _names(self) -> Self:
        for part, found in (("rules", self.rules), ("quotas", self.quotas)):
            names = [entry.name for entry in found]
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{part}: two are called {min(twice)!r}")
        if self.remember_days > self.keep_closed_days:
            raise ValueError("remember_days: at most keep_closed_days, for what is not kept is not remembered")
        ladders: list[Rule | Quota] = [*self.rules, *self.quotas]
        drains = [one.name for one in ladders if one.action is Act.DRAIN and not self.needs_approval(one)]
        if drains:
            raise ValueError(f"{drains[0]}: 'drain' takes a node from everybody, and always needs approval")
        for one in ladders:
            if one.despite_budgets != "none" and one.evict_wait_minutes > self.action_expires_minutes / 2:
                raise ValueError(f"{one.name}: evict_wait_minutes: at most half of action_expires_minutes, or the "
                                 "eviction is dropped before it becomes a deletion")  # fmt: skip
        return self

    def needs_approval(self, ladder: Ladder, act: Act | None = None) -> bool:
        """Whether a person has to approve the act of this ladder."""
        wanted = self.require_approval if ladder.require_approval is None else ladder.require_approval
        return (act or ladder.action) in wanted

    @property
    def sha256(self) -> str:
        """Hash of its whole meaning: order and comments of the file do not count, defaults do."""
        return hashlib.sha256(self.model_dump_json(exclude={"ladder"}).encode()).hexdigest()


def policy_schema() -> dict[str, Any]:
    """JSON schema of ``policy.toml``. Settings under ``ladder`` are those of a rule's ladder."""
    found = Policy.model_json_schema()
    ladder = Ladder.model_json_schema()
    found["$defs"].update(ladder.pop("$defs", {}))
    found["properties"]["ladder"] = {**found["properties"]["ladder"], **ladder}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "hashwarden.policy/1", **found}
