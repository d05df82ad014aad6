"""The page by its keys, on a real agent that watches the demo's jobs; Textual's own pilot presses them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from hashwarden.serve.agent_client import url_peer
from hashwarden.serve.top.app import TopApp
from hashwarden.serve.top.decide import consequences
from hashwarden.serve.top.feed import Feed
from hashwarden.serve.top.rows import case_row
from hashwarden.serve.top.words import Look

WAIT_S = 30.0
pytestmark = pytest.mark.xdist_group("top")  # one agent for all
HOSTILE = "\x1b]2;owned\x07[bold red]\u202ex[/]中"


def text(app: TopApp) -> str:
    """What stands on the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


def on_screen(
    feed: Feed, script: Callable[[TopApp, Pilot[None]], Awaitable[None]], look: Look | None = None,
    size: tuple[int, int] = (80, 24),
) -> None:  # fmt: skip
    """Run a script of keys."""

    async def run() -> None:
        app = TopApp(feed, look or Look(), 0.2)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(app, pilot)

    feed.read()
    asyncio.run(run())


async def until(app: TopApp, pilot: Pilot[None], *words: str) -> str:
    """Wait until all of these words stand there."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        shown = text(app)
        if all(word in shown for word in words):
            return shown
        await pilot.pause(0.05)
    raise AssertionError(f"{[word for word in words if word not in text(app)]} not in\n{text(app)}")


def test_jobs_gpus_and_how_well_they_are_watched_stand_there(agent):
    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        shown = await until(app, pilot, "● confirmed", "policy enforce", "6 GPUs, 6 jobs")
        lines = shown.splitlines()
        assert len(lines) == 24
        assert all(len(line) == 80 for line in lines)
        assert lines[1].startswith(("ready", "!"))
        assert "H100 SXM" in shown
        assert "q Quit" in lines[-1]
        assert "1/6 jobs" in lines[-2]

    on_screen(Feed([agent.peer]), script)


def test_keys_sort_turn_filter_search_and_help(agent):
    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("less_than_sign", "f6", "greater_than_sign", "r")
        assert (app.order.key, app.order.reverse) == ("job", True)
        await until(app, pilot, "JOB▲")
        await pilot.press("slash", *"llm", "enter")
        shown = await until(app, pilot, "2 of 6 hold 'llm'")
        assert "mining-ethash" not in shown.partition("STATE")[2]
        await pilot.press("escape", "r", "f3", *"ethash", "enter")
        shown = await until(app, pilot, "JOB▼")
        await until(app, pilot, "drill:mining-ethash-slow-start-90000005: ")
        await pilot.press("end")
        await until(app, pilot, "6/6 jobs")
        await pilot.press("k", "k", "down", "home")
        await until(app, pilot, "1/6 jobs")
        await pilot.press("f3", *"nobody", "enter")
        await until(app, pilot, "no job holds these words")
        await pilot.press("question_mark")
        await until(app, pilot, "quit; q and Esc leave a page", "cannot be judged")
        await pilot.press("escape", "t", "t")
        await pilot.pause(0.2)
        assert "H100" not in text(app)

    on_screen(Feed([agent.peer]), script)


def test_one_job_with_its_reasons_classes_channels_and_cases(agent):
    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"progpow", "enter", "enter")
        await until(app, pilot, "like progpow", "at most one honest job in 1,000", "evidence ", "mining  ",
                    "now: gpu util", "Kernels", "GPU time by class", "Cases: HW-")  # fmt: skip
        await pilot.press("q")
        await until(app, pilot, "hold 'progpow'")

    on_screen(Feed([agent.peer]), script, size=(100, 50))


def test_a_case_is_approved_by_keys_and_the_agent_knows_who_and_why(agent):
    (case,) = [c for c in agent.get("cases")["cases"] if c["waiting"]][:1]

    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("c")
        await until(app, pilot, case["id"], "approval of cancel")
        await pilot.press("a")
        await until(app, pilot, f"APPROVE {case['id']}: CANCEL is asked of its scheduler for", "It is confirmed")
        await pilot.press("enter")
        await until(app, pilot, "A reason of 3 letters at least")
        await pilot.press(*"a drill", "enter")
        await until(app, pilot, "Sure?")
        await pilot.press("n")
        await until(app, pilot, "nothing was done")
        assert agent.get(f"cases/{case['id']}")["approval"] is None
        await pilot.press("a", *"a drill", "enter", "y")
        await until(app, pilot, f"{case['id']}: approved")

    on_screen(Feed([agent.peer]), script)
    approval = agent.get(f"cases/{case['id']}")["approval"]
    assert (approval["reason"], approval["by"]) == ("a drill", "root")


def test_a_case_is_rejected_by_keys_and_closed_ones_are_shown_if_asked_for(agent):
    agent.until(lambda: any(c["closed_unix_s"] is None for c in agent.get("cases")["cases"]))

    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("c", "x")
        await until(app, pilot, "REJECT HW-", "is left alone")
        await pilot.press(*"an audit", "enter", "y")
        await until(app, pilot, "rejected; its job is left alone")
        await pilot.press("o")
        await until(app, pilot, "closed: rejected")
        await pilot.press("end", "enter")
        await until(app, pilot, "History", "opened")

    on_screen(Feed([agent.peer]), script)
    assert "rejected" in {case["closed_for"] for case in agent.get("cases")["cases"]}


def test_nothing_is_decided_by_who_leaves(agent):
    before = agent.get("cases")

    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("c", "o", "x", *"abcd", "escape")
        await until(app, pilot, "nothing was done")

    on_screen(Feed([agent.peer]), script)
    assert [c["approval"] for c in agent.get("cases")["cases"]] == [c["approval"] for c in before["cases"]]


@pytest.mark.parametrize("size", [(200, 60), (40, 8), (5, 3)])
def test_any_size_shows_something_and_a_change_of_size_is_followed(agent, size):
    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.resize_terminal(*size)
        await pilot.pause(0.3)
        lines = text(app).splitlines()
        assert len(lines) == size[1]
        assert {len(line) for line in lines} == {size[0]}
        await pilot.press("enter")
        await pilot.pause(0.1)
        await pilot.press("q", "c")
        await pilot.resize_terminal(80, 24)
        await until(app, pilot, "WAITS FOR")

    on_screen(Feed([agent.peer]), script)


def test_an_agent_that_is_killed_is_missed_at_once_and_nothing_stays_calm(mortal):
    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        await until(app, pilot, "○ clear")
        mortal.process.kill()
        mortal.process.wait()
        shown = await until(app, pilot, "NO ANSWER for", "OLD", "was clear")
        assert "○ clear" not in shown
        await pilot.press("enter")
        await until(app, pilot, "was ", "NO ANSWER")

    on_screen(Feed([mortal.peer]), script)


def test_a_pause_says_that_it_is_one(agent):
    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("p")
        await until(app, pilot, "PAUSED: p goes on")
        await pilot.press("p")
        await pilot.pause(0.2)
        assert "PAUSED" not in text(app)

    on_screen(Feed([agent.peer]), script)


@pytest.mark.parametrize("look", [Look(True), Look(False)])
def test_hostile_names_stay_text(liar, look):
    verdict = {"state": "suspect", "likeliest": HOSTILE, "reasons": [HOSTILE], "trend": [1, HOSTILE], "strength": 0.5}
    job = {"job": HOSTILE, "user": HOSTILE, "gpus": [HOSTILE], "verdicts": {HOSTILE: verdict}, "cases": [HOSTILE]}
    case = {"id": HOSTILE, "job": {"key": HOSTILE, "user": HOSTILE}, "waiting": HOSTILE, "history": [HOSTILE]}
    kernels = {"kernels": [{"name": HOSTILE, "p_mining": 1, "mix": {HOSTILE: 1}}]}
    url = liar({
        "/v1/status": {"node": HOSTILE, "gpus": 1, "ready": {"ready": True}, "model": {"name": HOSTILE}},
        "/v1/jobs": {"jobs": [job]}, "/v1/cases": {"cases": [case]}, "/v1/job": job, "/v1/job/kernels": kernels,
        "/v1/gpus": {"gpus": [{"gpu": HOSTILE, "name": HOSTILE, "jobs": [HOSTILE]}]},
    })  # fmt: skip

    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        for keys in ("enter", "q", "c", "enter", "q", "a"):
            shown = await until(app, pilot, "\\x1b]2;owned")
            assert "\x1b" not in shown
            assert "\u202e" not in shown
            assert look.unicode or shown.isascii()
            await pilot.press(keys)
            await pilot.pause(0.2)
        await until(app, pilot, "[bold red]")

    on_screen(Feed([url_peer(url)]), script, look, size=(120, 40))


def test_an_approval_says_what_it_does_and_a_dry_run_that_it_does_nothing():
    case = case_row("n", {"id": "HW-1", "job": {"key": "slurm:7", "user": "jane", "gpus": ["a", "b"]},
                          "standing": "confirmed", "waiting": "approval of requeuehold: that of bob has expired",
                          "opened_unix_s": math.nan}, Look())  # fmt: skip
    words = consequences(case, "approve", "n7", "dry-run", Look())
    assert words[0] == "APPROVE HW-1: REQUEUEHOLD is asked of its scheduler for slurm:7 of jane on 2 GPUs of n7."
    assert "dry run" in words[1]
    assert "dry run" not in " ".join(consequences(case, "approve", "n7", "enforce", Look()))
    assert "left alone" in consequences(case, "reject", "n7", "enforce", Look())[0]


def test_words_are_typed_into_their_line_and_not_taken_for_keys(agent):
    async def script(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"qpc")
        assert app.screen.query_one(Input).value == "qpc"
        assert not app.paused
        await until(app, pilot, "0 of 6 hold 'qpc'")
        await pilot.press("enter", "enter", "escape")
        await until(app, pilot, "1/6 jobs")

    on_screen(Feed([agent.peer]), script)
