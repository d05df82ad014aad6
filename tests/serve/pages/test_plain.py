"""Pages without scripts: names are text, what is refused is said, and no form but ours decides."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.pages.pages import CSP, Pages

EVIL = "<script>alert(1)</script>\"'&\u202e\x1b[31m" + "x" * 500
VERDICT = {
    "state": "confirmed", "likeliest": "mining", "probabilities": {"mining": 0.98, "training": 0.02}, "strength": 1.0,
    "family": EVIL, "family_probability": 0.5, "tier": "gpm", "abstains_for": "", "watched_s": 600.0,
    "reasons": [EVIL, "so"],
}  # fmt: skip
JOB = {
    "job": EVIL, "user": EVIL, "name": EVIL, "case": "HW-ABCDEFG", "blind": ["stale"], "verdicts": {EVIL: VERDICT},
    "gpu_seconds": {EVIL: 3.0}, "started_unix_s": None, "cases": ["HW-ABCDEFG"],
}  # fmt: skip
CASE = {
    "id": "HW-ABCDEFG", "job": {"key": EVIL, "user": EVIL, "kind": "slurm", "gpus": ["g"]}, "rule": "mining",
    "standing": "confirmed", "opened_unix_s": 1.7e9, "closed_unix_s": None, "waiting": "approval of requeuehold",
    "steps": {"warn1": {"state": "done", "kind": "warn", "detail": EVIL}}, "approval": None,
    "evidence": {"reasons": [EVIL]}, "history": [f"1700000000 {EVIL}"],
    "coming": [{"name": "act", "kind": EVIL, "after_s": 600.0, "left_s": 90.0}, {"name": EVIL, "left_s": EVIL}],
}  # fmt: skip


class Agent:
    """Answers as an agent does; notes what is decided."""

    def __init__(self, mode="enforce"):
        self.decided, self.refuses, self.mode = [], None, mode

    def __call__(self, method, page, body):
        if method == "POST":
            if self.refuses is not None:
                return self.refuses
            self.decided.append((page, body))
            return 200, CASE
        pages = {"/v1/jobs": {"jobs": [JOB]}, "/v1/cases": {"cases": [CASE]}, "/v1/cases/HW-ABCDEFG": CASE,
                 "/v1/status": {"node": EVIL, "policy": {"mode": self.mode},
                                "blind": [{"kind": "stale", "subject": EVIL}]}}  # fmt: skip
        if page.startswith("/v1/job?"):
            return (200, JOB) if "script" in page else (404, {"error": "no job is called 'x'"})
        return (200, pages[page]) if page in pages else (404, {"error": f"no case is called {EVIL}"})


class Browser:
    """Keeps its cookie, as one does."""

    def __init__(self, agent):
        self.pages, self.cookie = Pages(agent), ""

    def get(self, path, **query):
        return self.ask("GET", path, query, b"")

    def post(self, path, form, **query):
        return self.ask("POST", path, query, urlencode(form).encode())

    def ask(self, method, path, query, body):
        reply = self.pages.answer(method, path, query, {"cookie": self.cookie}, body)
        if "Set-Cookie" in reply.headers:
            self.cookie = reply.headers["Set-Cookie"].partition(";")[0]
        return reply


@pytest.fixture
def agent():
    return Agent()


@pytest.fixture
def browser(agent):
    return Browser(agent)


@pytest.mark.parametrize(
    ("path", "query"),
    [("/plain", {}), ("/plain/", {}), ("/plain/job", {"key": EVIL}), ("/plain/cases", {}), ("/plain/blind", {}),
     ("/plain/case", {"id": "HW-ABCDEFG"}), ("/plain", {"node": EVIL})],
)  # fmt: skip
def test_names_are_text_whatever_they_hold(browser, path, query):
    reply = browser.get(path, **query)
    text = reply.body.decode()
    assert reply.status == 200
    assert reply.headers["Content-Security-Policy"] == CSP
    assert reply.headers["Cache-Control"] == "no-store"
    assert "<script" not in text
    assert not set("\u202e\x1b") & set(text)
    assert "&lt;script&gt;" in text or "node" in query
    assert "x" * 350 not in re.sub(r'"[^"]*"', "", text)
    assert not re.search(r"<[^>]*\son\w+=", text)


def token_of(reply):
    return re.search(rb'name="token" value="([0-9a-f]{64})"', reply.body)[1].decode()


def test_a_decision_takes_a_reason_and_two_steps_and_says_what_will_be_done(browser, agent):
    where = {"id": "HW-ABCDEFG"}
    form = {"token": token_of(browser.get("/plain/case", **where)), "word": "approve", "reason": "seen & agreed"}
    asked = browser.post("/plain/case", form, **where)
    assert (asked.status, agent.decided) == (200, [])
    assert b"requeue the job and hold it" in asked.body
    assert b"seen &amp; agreed" in asked.body
    done = browser.post("/plain/case", {**form, "token": token_of(asked), "sure": "yes"}, **where)
    assert (done.status, done.headers["Location"]) == (303, "/plain/case?id=HW-ABCDEFG")
    assert agent.decided == [("/v1/cases/HW-ABCDEFG/approve", {"reason": "seen & agreed"})]


@pytest.mark.parametrize(
    "change", [{"token": ""}, {"token": "0" * 64}, {"word": "delete"}, {"cookie": ""}, {"id": "HW-OTHER"}]
)
def test_no_form_but_ours_decides(browser, agent, change):
    token = token_of(browser.get("/plain/case", id="HW-ABCDEFG"))
    form = {"token": token, "word": "approve", "reason": "a good one", "sure": "yes"}
    if "cookie" in change:
        browser.cookie = "hashwarden_form=" + "A" * 32
    form |= {name: value for name, value in change.items() if name in form}
    reply = browser.post("/plain/case", form, id=change.get("id", "HW-ABCDEFG"))
    assert reply.status in {403, 404}
    assert agent.decided == []


def test_a_token_of_one_browser_is_none_of_another(agent):
    mine, other = Browser(agent), Browser(agent)
    other.pages = mine.pages
    token = token_of(mine.get("/plain/case", id="HW-ABCDEFG"))
    other.get("/plain/case", id="HW-ABCDEFG")
    form = {"token": token, "word": "approve", "reason": "a good one", "sure": "yes"}
    assert other.post("/plain/case", form, id="HW-ABCDEFG").status == 403
    assert agent.decided == []


def test_without_a_reason_nothing_is_decided(browser, agent):
    form = {
        "token": token_of(browser.get("/plain/case", id="HW-ABCDEFG")),
        "word": "reject",
        "reason": " x ",
        "sure": "yes",
    }
    reply = browser.post("/plain/case", form, id="HW-ABCDEFG")
    assert (reply.status, agent.decided) == (400, [])
    assert b"no reason" in reply.body


def test_what_the_agent_refuses_is_said_in_its_words(browser, agent):
    agent.refuses = 403, {"error": "mallory may not", "expected": "root, @gpu-admins"}
    form = {"token": token_of(browser.get("/plain/case", id="HW-ABCDEFG")), "word": "reject", "reason": "it is benign",
            "sure": "yes"}  # fmt: skip
    reply = browser.post("/plain/case", form, id="HW-ABCDEFG")
    assert reply.status == 403
    assert b"mallory may not; who may: root, @gpu-admins" in reply.body


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [("/plain/job", {"key": "x"}, 404), ("/plain/case", {"id": "HW-NONE"}, 404),
     ("/plain/case", {"id": "../jobs"}, 404), ("/plain/case", {}, 404), ("/plain/nothing", {}, 404)],
)  # fmt: skip
def test_what_is_unknown_is_a_404_with_a_clear_page(browser, path, query, status):
    reply = browser.get(path, **query)
    assert reply.status == status
    assert b'role="alert"' in reply.body
    assert b"<script" not in reply.body


def test_a_form_that_is_none_or_too_large_is_refused(browser):
    browser.get("/plain/case", id="HW-ABCDEFG")
    assert browser.ask("POST", "/plain/case", {"id": "HW-ABCDEFG"}, b"\xff" * 10).status == 400
    assert browser.ask("POST", "/plain/case", {"id": "HW-ABCDEFG"}, b"x" * 20_000).status == 413
    assert browser.ask("POST", "/plain", {}, b"").status == 405


def test_an_agent_that_is_gone_is_no_calm_one():
    def gone(method, page, body):
        raise UsageError("no agent answers (refused)", "a running agent", "Start it.")

    reply = Browser(gone).get("/plain")
    assert reply.status == 502
    assert b"Connection lost" in reply.body


@pytest.mark.parametrize(
    ("mode", "word", "words"),
    [("enforce", "approve", "requeue the job and hold it"), ("enforce", "reject", "is left alone"),
     ("dry-run", "approve", "The policy is a dry run")],
)  # fmt: skip
def test_the_page_with_scripts_is_told_the_same_deed(mode, word, words):
    reply = Browser(Agent(mode)).get("/plain/deed", id="HW-ABCDEFG", word=word)
    assert reply.headers["Content-Type"] == "application/json"
    assert words in reply.body.decode()
    assert Browser(Agent()).get("/plain/deed", id="HW-NONE", word=word).status == 404
