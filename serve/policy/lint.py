"""What is allowed in a policy, and probably not meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from hashwarden.serve.jobs.job import JobKind
from hashwarden.serve.policy.exemptions import run_out
from hashwarden.serve.policy.ladder import action_kind
from hashwarden.serve.policy.schema import ENDING, Act, Policy, Quota, Rule
from hashwarden.serve.schedulers.scheduler import ActionKind

__all__ = ["remarks"]

_CALLED: Final[Mapping[JobKind, str]] = {"slurm": "jobs of Slurm", "kubernetes": "pods", "process": "plain processes"}


def remarks(policy: Policy, unix_s: float) -> Iterator[str]:
    """What a second reader would ask about.

    Yields
    ------
    str
        One line each.
    """
    if not policy.rules:
        yield "no rules: cases are recorded, and nobody is warned"
    if policy.mode == "dry-run":
        yield "mode = 'dry-run': nothing is asked for, not even warnings"
    yield from _hidden(policy)
    ladders: list[Rule | Quota] = [*policy.rules, *policy.quotas]
    for one in ladders:
        if one.action in ENDING and not policy.needs_approval(one) and policy.mode == "enforce":
            yield f"{one.name}: {one.action} needs nobody's approval"
        if "nvml" in one.act_tiers and one.action is not Act.NONE:
            yield f"{one.name}: acts on plain NVML evidence, where the model is weak"
        if one.despite_budgets != "none" and not _evicts(one):
            yield f"{one.name}: despite_budgets is about evictions of pods, and it asks for none"
        yield from _powerless(one)
    if any(quota.agents for quota in policy.quotas) and policy.agents.nobody:
        yield "a quota is for agents, and [agents] names none"
    yield from (words for _, words in run_out(policy, unix_s))


def _evicts(one: Rule | Quota) -> bool:
    pods = not one.kinds or "kubernetes" in one.kinds
    return pods and action_kind(one.action, "kubernetes") is ActionKind.EVICT


def _powerless(one: Rule | Quota) -> Iterator[str]:
    """Jobs that the act of a ladder can never reach."""
    if one.action is Act.NONE:
        return
    if one.interactive_warn_only:
        yield f"{one.name}: interactive_warn_only: who mines from srun, salloc or a terminal is never acted on"
    for kind, called in _CALLED.items():
        if one.kinds and kind not in one.kinds:
            continue
        if action_kind(one.action, kind) is None:
            yield f"{one.name}: {called} cannot be acted on by {one.action}"
        elif kind == "process" and not one.act_if_warning_refused:
            yield f"{one.name}: {called} have nobody to warn; without act_if_warning_refused it never acts on them"


def _hidden(policy: Policy) -> Iterator[str]:
    """Rules that never come to their turn."""
    for place, rule in enumerate(policy.rules):
        for earlier in policy.rules[:place]:
            if _takes_all(earlier) and set(rule.classes) <= set(earlier.classes):
                yield f"{rule.name}: the rule {earlier.name} before it takes all that it is for"
                break


def _takes_all(rule: Rule) -> bool:
    chosen = (rule.partitions, rule.namespaces, rule.users, rule.accounts, rule.qos, rule.kinds, rule.families,
              rule.tiers, rule.excluded_users, rule.excluded_accounts, rule.excluded_partitions, rule.excluded_qos,
              rule.excluded_namespaces)  # fmt: skip
    return not any(chosen)
