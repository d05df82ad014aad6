"""A policy file: defaults are safe, errors name the line and the key that was meant, the schema is what is read."""

from __future__ import annotations

import json
import os
import tomllib
from contextlib import suppress
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashwarden.errors import UsageError
from hashwarden.serve.policy.exemptions import run_out
from hashwarden.serve.policy.lint import remarks
from hashwarden.serve.policy.load import LARGEST, load_policy, read_policy
from hashwarden.serve.policy.schema import ENDING, Ladder, Policy, policy_schema

ROOT = Path(__file__).parents[3]
AUDIT = '[[exemptions]]\nusers = ["ali*"]\nreason = "password audit"\n'


def test_what_a_policy_does_by_default():
    policy = read_policy(b'[[rules]]\nname = "mining"\n')
    assert policy.mode == "dry-run"
    assert policy.rules[0].action == "none"
    assert policy.rules[0].classes == ("mining",)
    assert "nvml" not in policy.rules[0].act_tiers
    assert policy.require_approval == ENDING
    assert all(policy.needs_approval(policy.rules[0], act) for act in ENDING)
    assert policy.four_eyes
    assert not policy.rules[0].act_beyond_calibration


def test_rules_take_what_they_do_not_say_from_the_ladder():
    policy = read_policy(
        b'[ladder]\ncancel_minutes = 90\n[[rules]]\nname = "a"\n[[rules]]\nname = "b"\ncancel_minutes = 20\n'
    )
    assert [rule.cancel_minutes for rule in policy.rules] == [90, 20]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('mode = "enforce"\nadmin_mails = []\n', 2, "Did you mean 'admin_emails'"),
        ('[[rules]]\nname = "a"\n\n[[rules]]\nname = "b"\nexclude_users = ["x"]\n', 6, "Did you mean 'excluded_users'"),
        ('[ladder]\nfirst_warning_minuets = 1\n[[rules]]\nname = "a"\n', 2, "Did you mean 'first_warning_minutes'"),
        ('[agents]\nuser = ["x"]\n', 2, "Did you mean 'users'"),
        ('[[rules]]\nname = "a"\n[[exemptions]]\nusers = ["x"]\nreason = "why"\nexpires = 2026-01-01T00:00:00\n', 6,
         "time zone"),
        ('[[exemptions]]\nusers = ["x"]\nreason = "why"\n', 1, "Field required"),
        ('[[exemptions]]\nusers = ["x"]\nexpires = 2026-01-01T00:00:00Z\n', 1, "Field required"),
        ('[[exemptions]]\nreason = "why"\nexpires = 2026-01-01T00:00:00Z\n', 1, "for everybody"),
        ('[[exemptions]]\nusers = ["*"]\nreason = "why"\nexpires = 2026-01-01T00:00:00Z\n', 1, "for everybody"),
        ('[[rules]]\nname = "a"\naction = "freeze"\n', 3, "'cancel'"),
        ('[[rules]]\nname = "a"\naction = "cancel"\ncancel_minutes = 10\n', 1, "unwarned"),
        ('[[rules]]\nname = "a"\nsecond_warning_minutes = 5\n', 1, "comes after first_warning_minutes"),
        ('[[rules]]\nname = "a"\nthrottle_minutes = 5\n', 1, "unwarned"),
        ('[[rules]]\nname = "a"\nclasses = ["minig"]\n', 1, "no class is called"),
        ('[[rules]]\nname = "a"\nclasses = ["hash-other"]\naction = "cancel"\n', 1, "bound on false alarms"),
        ('[[rules]]\nname = "a"\nact_tiers = ["gmp"]\n', 1, "no tier is called"),
        ('[[rules]]\nname = "a"\n[[rules]]\nname = "a"\n', 0, "two are called 'a'"),
        ('[[rules]]\nname = "a"\naction = "drain"\nrequire_approval = []\n', 0, "always needs approval"),
        ("mode = enforce\n", 0, "no TOML"),
        ('[[quotas]]\nname = "a"\nclasses = []\ngpu_hours = 1\n', 1, "name some"),
        ("[ladder]\ncancel_minutes = -1\n", 2, "greater than 0"),
        ('[[rules]]\nname = "a"\ndespite_budgets = "mine"\n', 3, "'own'"),
        ('[[rules]]\nname = "a"\ndespite_budgets = "own"\nevict_wait_minutes = 16\n', 0, "half of action_expires"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_line(text, line, words):
    with pytest.raises(UsageError) as caught:
        read_policy(text.encode(), "policy.toml")
    assert words in str(caught.value)
    assert caught.value.where == (f"policy.toml:{line}" if line else "policy.toml")


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_one_clear_error(text):
    with suppress(UsageError):
        assert read_policy(text.encode(errors="surrogatepass")).mode in {"dry-run", "enforce"}


def test_files_that_are_no_policies(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_policy(tmp_path / "none.toml")
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(UsageError, match="more than"):
        load_policy(large)


def test_a_policy_that_others_can_write_is_refused_where_it_matters(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text("")
    path.chmod(0o666)
    assert load_policy(path).mode == "dry-run"
    with pytest.raises(UsageError, match="others can write"):
        load_policy(path, own=True)
    path.chmod(0o644)
    load_policy(path, own=True)
    if os.geteuid() == 0:
        os.chown(path, 1234, 0)
        with pytest.raises(UsageError, match="user 1234"):
            load_policy(path, own=True)


def test_the_hash_is_of_the_meaning():
    plain = read_policy(b'[[rules]]\nname = "a"\n')
    assert read_policy(b'# why\n[[rules]]\nname   = "a"\nfirst_warning_minutes = 15\n').sha256 == plain.sha256
    assert read_policy(b'[ladder]\nfirst_warning_minutes = 15\n[[rules]]\nname = "a"\n').sha256 == plain.sha256
    assert read_policy(b'[[rules]]\nname = "a"\nfirst_warning_minutes = 14\n').sha256 != plain.sha256


def test_the_schema_on_the_page_is_that_of_the_program():
    assert json.loads((ROOT / "docs" / "policy.schema.json").read_text()) == policy_schema()
    jsonschema.Draft202012Validator.check_schema(policy_schema())


def test_the_example_is_a_policy_by_program_and_by_schema():
    text = (ROOT / "examples" / "policy.toml").read_text()
    policy = read_policy(text.encode())
    assert policy.mode == "dry-run"
    assert policy.rules
    assert policy.quotas
    document = json.loads(json.dumps(tomllib.loads(text), default=lambda date: date.isoformat()))
    jsonschema.Draft202012Validator(policy_schema()).validate(document)


def test_every_setting_is_on_the_page():
    page = (ROOT / "docs" / "policy.md").read_text()
    names = {name for part in (Policy, Ladder) for name in part.model_fields}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_exemptions_that_have_run_out_are_told(world, make_world, tools):
    text = (
        tools.enforce + '[[exemptions]]\nusers = ["alice"]\nreason = "password audit"\nexpires = 2026-01-01T00:00:00Z\n'
    )
    policy = read_policy(text.encode())
    ends = policy.exemptions[0].expires.timestamp()
    assert list(run_out(policy, ends - 8 * 86400)) == []
    ((_, soon),) = run_out(policy, ends - 86400)
    assert "ends in 1.0 days" in soon
    other = make_world(text, "other")  # it is 2027 there
    other.run(48 * 60, other.see, wait_s=600.0)
    told = [alert.text for alert in other.alerts if alert.kind == "exemption"]
    assert len(told) == 2
    assert "password audit" in told[0]
    assert other.asked()[:3] == ["warn", "warn", "cancel"]


def test_an_exemption_in_force_closes_the_case_and_keeps_it_closed(world, tools):
    world.run(3, world.see)
    text = (
        tools.enforce + '[[exemptions]]\nusers = ["ali*"]\nreason = "password audit"\nexpires = 2030-01-01T00:00:00Z\n'
    )
    world.engine.reload(read_policy(text.encode()), world.unix_s)
    world.run(12, world.see)
    assert world.asked() == ["warn"]
    assert world.case().closed_for == "exempt"


def test_what_is_probably_not_meant_is_remarked():
    text = """
mode = "enforce"
[ladder]
action = "cancel"
require_approval = []
[[rules]]
name = "all"
act_tiers = ["nvml", "all"]
[[rules]]
name = "never"
users = ["x"]
kinds = ["process"]
[[quotas]]
name = "agents"
agents = true
classes = ["any"]
gpu_hours = 1
"""
    found = "\n".join(remarks(read_policy(text.encode()), 0.0))
    assert "despite_budgets" not in found
    wanted = ("all: cancel needs nobody's approval", "plain NVML", "never: the rule all before it", "nobody to warn")
    assert [words for words in (*wanted, "[agents] names none") if words not in found] == []
    assert "no rules" in "\n".join(remarks(read_policy(b""), 0.0))


@pytest.mark.parametrize("text", [b"a = " + b"[" * 50_000, b"a = " + b"{a = " * 20_000])
def test_brackets_without_end_are_told_in_words(text):
    with pytest.raises(UsageError, match="deep"):
        read_policy(text)


@pytest.mark.parametrize("line", ["clear_minutes = inf", "action_expires_minutes = 5000", "alert_minutes = nan"])
def test_times_without_end_cannot_be_meant(line):
    with pytest.raises(UsageError, match=line.partition(" ")[0]):
        read_policy(line.encode())


@pytest.mark.parametrize("pattern", ["*", "**", "?*"])
def test_an_exemption_for_everybody_is_refused_however_it_is_written(pattern):
    text = f'[[exemptions]]\nusers = ["{pattern}"]\nreason = "why"\nexpires = 2030-01-01T00:00:00Z\n'
    with pytest.raises(UsageError, match="everybody"):
        read_policy(text.encode())


def test_jobs_that_an_act_can_never_reach_are_remarked():
    text = '[[rules]]\nname = "a"\naction = "requeuehold"\ninteractive_warn_only = true\n'
    found = "\n".join(remarks(read_policy(text.encode()), 0.0))
    assert "a: pods cannot be acted on by requeuehold" in found
    assert "a: plain processes cannot be acted on by requeuehold" in found
    assert "interactive_warn_only" in found
    both = '[[rules]]\nname = "a"\naction = "cancel"\n'
    assert "plain processes have nobody to warn" in "\n".join(remarks(read_policy(both.encode()), 0.0))
    fine = both + 'kinds = ["slurm", "kubernetes"]\n'
    assert "plain" not in "\n".join(remarks(read_policy(fine.encode()), 0.0))


@pytest.mark.parametrize("line", ['action = "none"', 'action = "hold"', 'action = "cancel"\nkinds = ["slurm"]'])
def test_budgets_that_nothing_runs_into_are_remarked(line):
    text = f'[[rules]]\nname = "a"\ndespite_budgets = "own"\n{line}\n'
    assert "a: despite_budgets is about evictions" in "\n".join(remarks(read_policy(text.encode()), 0.0))
