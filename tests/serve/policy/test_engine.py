"""The ladder as the engine climbs it: warn, warn, act, in time, once, and not without cause."""

import itertools
from dataclasses import replace

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.jobs.slurm_book import UNDESCRIBED
from hashwarden.serve.journal import StorageError
from hashwarden.serve.policy.alerts import AlertKind
from hashwarden.serve.policy.engine import LOST_S
from hashwarden.serve.policy.ladder import GOES_ON_S, MOST_ATTEMPTS
from hashwarden.serve.policy.load import read_policy
from hashwarden.serve.policy.observation import Blindness
from hashwarden.serve.policy.outbox import RETRY_S
from hashwarden.serve.schedulers.scheduler import ActionKind, Outcome, Result


def test_two_warnings_come_before_the_act_and_each_has_its_reasons(world):
    world.run(12, world.see)
    assert world.asked() == ["warn", "warn", "cancel"]
    times = [at for at, _ in world.actions]
    assert times[1] - times[0] >= 120
    assert times[2] - times[1] >= 120
    assert times[2] - times[0] >= 240
    first, _, last = (action for _, action in world.actions)
    assert first.reason.startswith(f"hashwarden {first.case}: its GPU work is judged as confirmed: mining, family")
    assert "cancelled after 4 more minutes" in first.reason
    assert "help@example.org" in first.reason
    assert last.expires_unix_s - last.requested_unix_s == 1800
    assert world.audit.changes() == ["opened", "asked", "done", "asked", "done", "asked", "done"]
    bodies = [body for kind, body in world.audit.events if kind is EventKind.CASE]
    assert all(body["policy"] == world.policy.sha256 for body in bodies)
    assert bodies[1]["reasons"][1] == "integer work"
    assert bodies[1]["evidence"]["model"] == {"sha256": "ab" * 32}


def test_a_dry_run_tells_everything_and_asks_for_nothing(make_world, tools):
    world = make_world(tools.enforce.replace("enforce", "dry-run"))
    world.run(12, world.see)
    assert world.actions == []
    assert [outcome.result for outcome in world.outcomes] == [Result.DRY_RUN] * 3
    told = [d.action.kind for d in world.decisions if d.change == "told"]
    assert told == [ActionKind.WARN, ActionKind.WARN, ActionKind.CANCEL]


def test_what_was_told_in_a_dry_run_is_no_warning_once_it_is_none(make_world, tools):
    world = make_world(tools.enforce.replace("enforce", "dry-run"))
    world.run(12, world.see)
    world.engine.reload(read_policy(tools.enforce.encode()), world.unix_s)
    begun = world.now_s
    world.run(8, world.see)
    assert world.asked() == ["warn", "warn", "cancel"]
    assert world.actions[2][0] - world.actions[0][0] >= 240
    assert world.actions[0][0] - begun <= 60
    assert EventKind.POLICY in [kind for kind, _ in world.audit.events]


def test_do_not_cancel_warns_and_only_tells_of_the_act(make_world, tools):
    world = make_world(tools.enforce + "do_not_cancel = true\n")
    world.run(12, world.see)
    assert world.asked() == ["warn", "warn"]
    assert len(world.outcomes) == 1


def test_budgets_are_passed_over_only_where_the_policy_says_so_and_only_by_evictions(make_world, tools):
    own = tools.enforce + 'despite_budgets = "own"\nevict_wait_minutes = 10\n'
    wanted = {"despite_budgets": "own", "evict_wait_s": "600"}
    for name, text, kind, parameters in (
        ("plain", tools.enforce, "kubernetes", {}), ("own", own, "kubernetes", wanted), ("slurm", own, "slurm", {}),
    ):  # fmt: skip
        world = make_world(text, name)
        world.run(12, lambda world=world, kind=kind: world.see(job=tools.job("pod:u/c", kind=kind)))
        acts = [action for _, action in world.actions]
        assert [str(action.kind) for action in acts][2] == ("evict" if kind == "kubernetes" else "cancel")
        found = [{k: v for k, v in action.parameters.items() if k not in {"rule", "step"}} for action in acts]
        assert found == [{}, {}, parameters]


def test_suspect_opens_a_case_and_warns_only_where_the_policy_says_so(world, make_world, tools):
    world.run(30, lambda: world.see("suspect"))
    assert world.asked() == []
    assert world.case().standing == "suspect"
    other = make_world(tools.enforce + "warn_on_suspect = true\n", "other")
    other.run(30, lambda: other.see("suspect"))
    assert other.asked() == ["warn", "warn"]
    assert other.case().act_clock_s == 0


def test_plain_nvml_evidence_never_goes_beyond_warnings(world):
    world.run(30, lambda: world.see(tier="nvml"))
    assert world.asked() == ["warn", "warn"]
    assert "tier 'nvml' is good for warnings only" in world.case().waiting


def test_what_was_confirmed_beyond_the_calibration_is_acted_on_only_where_the_policy_says_so(world, make_world, tools):
    def beyond(where):
        return lambda: where.see(evidence={"beyond_calibration": True})

    world.run(30, beyond(world))
    assert world.asked() == ["warn", "warn"]
    assert "horizon" in world.case().waiting
    bold = make_world(tools.enforce + "act_beyond_calibration = true\n", "bold")
    bold.run(15, beyond(bold))
    assert bold.asked() == ["warn", "warn", "cancel"]


def test_confirmed_within_the_calibration_stays_so(world):
    world.run(2, world.see)
    world.run(10, lambda: world.see(evidence={"beyond_calibration": True}))
    assert world.asked() == ["warn", "warn", "cancel"]


def test_time_without_evidence_does_not_count_and_closes_the_case_in_the_end(world):
    world.run(3, world.see)
    world.run(5, lambda: world.see("clear"))
    assert world.asked() == ["warn"]
    assert world.case().is_open
    world.run(1, world.see)
    assert world.case().quiet_s == 0
    world.run(12, lambda: world.see("clear"))
    assert world.case().closed_for == "clear"
    assert world.asked() == ["warn"]


def test_a_gap_in_the_observations_does_not_count(world):
    world.step(world.see)
    world.step(world.see, wait_s=86400.0)
    assert world.case().clock_s <= 120
    assert world.asked() in ([], ["warn"])


def test_an_act_waits_for_a_warning_that_was_not_delivered(world):
    world.answer = None
    world.run(20, world.see)
    assert world.asked() == ["warn"]
    world.run(20, world.see)
    ids = [action.id for _, action in world.actions]
    assert ids == [ids[0], ids[0] + "-2"], "it expired, and is asked for anew"


def test_a_refused_warning_stops_the_ladder_unless_the_policy_says_otherwise(world, make_world, tools):
    world.refused_kinds = {ActionKind.WARN}
    world.run(20, world.see)
    assert world.asked() == ["warn"]
    assert "could not be delivered" in world.case().waiting
    assert any(alert.kind is AlertKind.ACTION and "refused" in alert.text for alert in world.alerts)
    bold = make_world(tools.enforce + "act_if_warning_refused = true\n", "bold")
    bold.refused_kinds = {ActionKind.WARN}
    bold.run(12, bold.see)
    assert bold.asked() == ["warn", "warn", "cancel"]


def test_an_expired_action_is_asked_for_anew_a_few_times_under_another_id(world):
    world.run(7, world.see)
    world.answer = Result.EXPIRED
    world.run(30, world.see)
    cancels = [action.id for _, action in world.actions if action.kind is ActionKind.CANCEL]
    assert cancels == [f"{world.case().id}-act" + (f"-{n}" if n > 1 else "") for n in range(1, 6)]


@pytest.mark.parametrize(
    ("kind", "asked"), [("slurm", "cancel"), ("kubernetes", "evict"), ("process", "terminate"), ("gpu", None)]
)
def test_cancel_is_what_the_scheduler_of_the_job_has_for_it(world, tools, kind, asked):
    job = tools.job(f"{kind}:7", kind=kind)
    world.run(12, lambda: world.see(job=job))
    assert world.asked() == ([] if asked is None else ["warn", "warn", asked])


def test_an_act_that_a_scheduler_does_not_have_is_told_not_asked_for(make_world, tools):
    world = make_world(tools.enforcing(action="requeuehold"))
    job = tools.job("pod:7", kind="kubernetes")
    world.run(12, lambda: world.see(job=job))
    assert world.asked() == ["warn", "warn"]
    assert "cannot be acted on by requeuehold" in world.case("pod:7").waiting


def test_the_first_rule_that_fits_is_the_one_and_excluded_users_fall_through(make_world, tools):
    text = tools.enforce + 'excluded_users = ["al*"]\n[[rules]]\nname = "second"\naction = "none"\n'
    world = make_world(text)
    bob = tools.job("slurm:8", user="bob")
    world.run(12, world.see, lambda: world.see(job=bob))
    assert world.case("slurm:7").rule == "second"
    assert world.case("slurm:8").rule == "mining"
    assert [a.job.user for _, a in world.actions if a.kind is ActionKind.CANCEL] == ["bob"]


def test_without_a_fitting_rule_a_case_is_recorded_and_nothing_more(make_world):
    world = make_world('mode = "enforce"\n')
    world.run(12, world.see)
    assert world.asked() == []
    assert world.case().rule == ""
    assert world.audit.changes() == ["opened"]


def test_other_classes_are_warned_about_at_most(make_world, tools):
    text = tools.enforcing(action="none") + 'classes = ["hash-other"]\n'
    world = make_world(text)
    world.run(12, lambda: world.see("clear", likeliest="hash-other"))
    assert world.asked() == ["warn", "warn"]
    assert world.case().standing == "other"


def test_a_requeued_job_of_the_same_user_names_the_case_before(world, tools):
    world.run(3, world.see)
    before = world.case().id
    world.engine.ended("slurm:7", world.unix_s)
    assert world.case().closed_for == "ended"
    world.step(world.see)
    world.step(lambda: world.see(job=tools.job("slurm:9", user="bob", uid=7)))
    assert (world.case().linked, world.case("slurm:9").linked) == (before, "")
    assert world.case().id != before
    assert world.case().clock_s == 0


def test_a_case_of_a_job_that_nobody_sees_any_more_is_closed(world):
    world.run(3, world.see)
    world.step(wait_s=LOST_S + 60)
    assert world.case().closed_for == "lost"


def test_nothing_goes_out_while_the_audit_log_takes_no_records_and_then_it_does(world):
    world.run(7, world.see)
    world.audit.full = True
    world.run(10, world.see)
    assert world.asked() == ["warn", "warn"]
    (alert,) = [a for a in world.alerts if a.subject == "storage"]
    assert alert.kind is AlertKind.BLIND
    assert "no room" in alert.text
    world.audit.full = False
    world.run(1, world.see)
    assert world.asked() == ["warn", "warn", "cancel"]
    assert RETRY_S < 60


def test_nothing_goes_out_while_cases_cannot_be_written(world, monkeypatch):
    def full(*_):
        raise StorageError("no room", "room", "Make room.")

    world.run(7, world.see)
    monkeypatch.setattr(world.engine.cases, "_write", full)
    world.run(10, world.see)
    assert world.asked() == ["warn", "warn"]
    assert "act" not in world.case().steps
    monkeypatch.undo()
    world.run(1, world.see)
    assert world.asked() == ["warn", "warn", "cancel"]


def test_the_end_of_a_job_that_could_not_be_written_down_is_written_later(world):
    world.run(3, world.see)
    world.audit.full = True
    world.engine.ended("slurm:7", world.unix_s)
    assert world.case().is_open
    world.audit.full = False
    world.step()
    assert world.case().closed_for == "ended"


def test_a_policy_that_cannot_be_written_down_does_not_come_into_force(world):
    world.audit.full = True
    with pytest.raises(StorageError):
        world.engine.reload(read_policy(b""), world.unix_s)
    assert world.engine.policy is world.policy


def test_an_outcome_of_nothing_known_changes_nothing(world):
    from hashwarden.serve.schedulers.scheduler import Outcome

    world.run(3, world.see)
    written = len(world.audit.events)
    for action in ("", "HW-AAAAAAA-warn1", f"{world.case().id}-nothing", "a-b-c-d-e"):
        world.engine.report(Outcome(action, Result.DONE), world.unix_s)
    assert len(world.audit.events) == written


def test_hostile_names_stay_on_one_printable_line(world, tools):
    job = tools.job(user="eve\n\x1b[2J\u202e")
    world.run(3, lambda: world.see(job=job))
    texts = [a.text for a in world.alerts] + [a.reason for _, a in world.actions] + list(world.case().history)
    assert texts
    assert all(text.isprintable() for text in texts)


def test_approval_of_a_case_needs_a_case(world):
    with pytest.raises(UsageError, match="no case is called"):
        world.engine.approve("HW-NOTHING", "root", "because", world.unix_s)


def test_blindness_for_a_second_in_each_minute_does_not_stop_the_ladder(world):
    """As a second job on the GPU that comes and goes: `shared`, and the verdict abstains."""
    for second in range(900):
        blind = second % 50 == 49
        seen = world.see("abstain" if blind else "confirmed", blind=frozenset({Blindness.SHARED} if blind else ()))
        world.step(replace(seen, time_s=world.now_s + 1.0), wait_s=1.0)
    assert world.asked() == ["warn", "warn", "cancel"]
    assert 360 <= world.actions[-1][0] - 1000.0 <= 600


def test_blind_time_itself_does_not_count_however_it_is_cut(world):
    for second in range(900):
        blind = second % 50 < 40
        seen = world.see("confirmed", blind=frozenset({Blindness.SHARED} if blind else ()))
        world.step(replace(seen, time_s=world.now_s + 1.0), wait_s=1.0)
    assert world.case().clock_s <= 0.2 * 900


def test_what_goes_on_after_it_was_ended_is_ended_anew_a_few_times_and_then_told(world):
    """A shell that starts its miner again in the same session is the same job."""
    world.run(6, world.see)
    world.run(120, world.see)
    assert world.asked() == ["warn", "warn", *["cancel"] * MOST_ATTEMPTS]
    times = [at for at, action in world.actions if action.kind == "cancel"]
    assert all(later - one >= GOES_ON_S for one, later in itertools.pairwise(times))
    assert "goes on" in world.case().waiting
    assert any("goes on" in alert.text for alert in world.alerts)


def test_what_a_case_waits_for_is_told_again_every_day(make_world, tools):
    world = make_world(tools.enforcing(require_approval=["cancel"]), "waits")
    world.run(10, world.see)
    world.run(60 * 60, world.see, wait_s=3600.0)
    told = [alert for alert in world.alerts if alert.kind == "approval"]
    assert 3 <= len(told) <= 4


def test_an_approval_is_of_the_act_that_the_policy_had_then(make_world, tools):
    world = make_world(tools.enforcing(require_approval=["hold", "cancel"], action="hold"), "acts")
    world.run(3, world.see)
    world.engine.approve(world.case().id, "bob", "no project of ours", world.unix_s)
    other = tools.enforcing(require_approval=["cancel"])
    world.engine.reload(read_policy(other.encode()))
    world.run(10, world.see)
    assert world.asked() == ["warn", "warn"]
    assert world.case().waiting == "approval of cancel"
    world.engine.approve(world.case().id, "bob", "that too", world.unix_s)
    world.run(2, world.see)
    assert world.asked() == ["warn", "warn", "cancel"]


@pytest.mark.parametrize(
    "job", [{"labels": {UNDESCRIBED: "1"}}, {"kind": "kubernetes", "key": "pod:x/c", "namespace": ""}]
)
def test_a_job_that_its_scheduler_has_not_described_is_no_ground(world, tools, job):
    """Exclusions and exemptions go by what it says; while it is away, nothing fits them."""
    world.run(30, lambda: world.see(job=tools.job(**job)))
    assert world.actions == []
    assert any(alert.subject == "unmapped" for alert in world.alerts)


def test_an_act_that_could_not_be_done_in_time_is_told(world):
    world.run(6, world.see)
    assert world.asked() == ["warn", "warn"]
    world.answer = Result.EXPIRED
    world.run(4, world.see)
    assert any(alert.kind == "action" and "expired" in alert.text for alert in world.alerts)


@pytest.mark.parametrize("result", [Result.DONE, Result.REFUSED, Result.EXPIRED])
def test_an_outcome_that_is_told_twice_counts_once(world, result):
    world.answer = None
    world.run(4, world.see)
    action = world.actions[0][1]
    for _ in range(2):
        world.engine.report(Outcome(action.id, result, "as told"), world.unix_s)
    told = [
        body for kind, body in world.audit.events if kind == "case" and body["change"] in {"done", "refused", "again"}
    ]
    assert len(told) == 1
