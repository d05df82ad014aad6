"""The dashboard in a real Chromium, over a real agent that watches a trace: what people see and do."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from urllib.parse import quote

import axe_playwright_python.sync_playwright as axe
import playwright.sync_api as playwright
import pytest

from hashwarden.serve.agent.web import Server
from hashwarden.serve.agent_client import Peer, ask
from hashwarden.serve.audit.read import Reader
from hashwarden.serve.pages.dashboard import Dashboard
from hashwarden.serve.pages.drill import Drill

sys.path.insert(0, str(Path(__file__).parent))
from hostile_node import EVIL, HostileNode

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.chromium, pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium")]

DEMO = Path(__file__).parents[3] / "data" / "job" / "demo.parquet"
MINER = "drill:mining-progpow-plain-90000002"
GPU = "mining-progpow-plain-90000002"
LATE = "drill:mining-ethash-slow-start-90000005"
"""What decided on it lies in the last minutes of the trace, and stays in the window."""
PATIENCE_MS = 30_000
VIOLATIONS = """window.violations = []; window.pwned = 0;
addEventListener("securitypolicyviolation",
  (event) => window.violations.push(event.violatedDirective + " " + event.blockedURI));"""


LINES = """all => all.map(each => {
  const range = document.createRange(); range.selectNodeContents(each);
  return [each.textContent, new Set([...range.getClientRects()].map(part => part.top)).size]; })"""
CHOSEN = """(() => { const area = document.activeElement;
  return area.value.slice(area.selectionStart, area.selectionEnd); })()"""


def until(done, patience_s=60):
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        if found := done():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come")


class Site:
    """A dashboard of two nodes: a real agent, and one whose names mean harm."""

    def __init__(self, folder):
        self.keys, self.folder = [], folder
        self.drill = Drill(DEMO, 60)
        until(lambda: any(case["waiting"] == "approval of cancel" for case in self.page("/v1/cases")["cases"]))
        query = f"?key={MINER}"
        pages = {path: self.page(path) for path in ("/v1/status", "/v1/jobs", "/v1/gpus", "/v1/cases")}
        pages |= {
            "/v1/job": self.page(f"/v1/job{query}"),
            "/v1/job/channels": self.page(f"/v1/job/channels{query}&gpu={GPU}"),
        }
        self.hostile = HostileNode(pages)
        self.second = Server(folder / "hostile.sock", self.hostile)
        self.dashboard = Dashboard([Peer(self.drill.socket), Peer(folder / "hostile.sock")], [DEMO], self.keys.append)
        self.server = Server("127.0.0.1:0", self.dashboard)
        self.base = f"http://127.0.0.1:{self.server.port}"

    def page(self, path):
        return ask(self.drill.socket, "GET", path)

    def audit(self):
        reader = Reader(self.drill.socket.parents[1] / "state" / "audit")
        found = [record.body() for record in reader]
        reader.close()
        return found

    def close(self):
        for each in (self.server, self.dashboard, self.second, self.drill):
            each.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    found = Site(tmp_path_factory.mktemp("site"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(site, chromium):
    found = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", reduced_motion="reduce")
    found.add_init_script(VIOLATIONS)
    found.set_default_timeout(PATIENCE_MS)
    page = found.new_page()
    page.goto(f"{site.base}/?key={site.keys[-1]}")
    page.wait_for_selector("table.jobs")
    page.close()
    yield found
    found.close()


@pytest.fixture
def page(site, context):
    """A page; whatever it complains of, asks elsewhere for, or lets run fails the test."""
    found, wrong = context.new_page(), []
    expected = found.expected = []
    found.on("console", lambda said: wrong.append(said.text) if said.type in {"error", "warning"} else None)
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.on("request", lambda asked: None if asked.url.startswith((site.base, "data:")) else wrong.append(asked.url))
    yield found
    assert found.evaluate("[window.violations, window.pwned]") == [[], 0]
    found.close()
    assert [words for words in wrong if not any(part in words for part in expected)] == []


def show(page, site, view, wait, node=0):
    page.goto(f"{site.base}/#{'/@1' if node else ''}/{view}")
    page.wait_for_selector(wait)


def accessible(page, **only):
    found = axe.Axe().run(page, options={"resultTypes": ["violations"], **only})
    bad = [one for one in found.response["violations"] if one["impact"] in {"serious", "critical"}]
    assert bad == [], [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in bad]


def test_jobs_appear_by_evidence_and_are_live(page, site):
    show(page, site, "jobs", "table.jobs a.row")
    rows = page.locator("table.jobs tbody tr")
    assert rows.count() == 6
    assert "confirmed" in rows.first.inner_text()
    assert rows.first.locator("svg.spark").get_attribute("aria-label").startswith("Evidence over time")
    assert "at most one honest job in 1,000" in rows.first.inner_text()
    assert page.locator(".age").inner_text() == "live"
    with page.expect_response(lambda answer: answer.url.endswith("/v1/jobs")):
        pass
    assert page.title() == "Jobs - hashwarden"
    page.keyboard.press("/")
    page.keyboard.type("progpow mining")
    assert rows.count() == 1
    assert "1 of 6 jobs" in page.locator("main [aria-live]").first.inner_text()
    page.fill("#filter", "")
    page.get_by_role("button", name="clear").click()
    assert {"clear"} >= set(page.locator("table.jobs tbody .state").all_inner_texts())
    page.get_by_role("button", name="clear").click()
    page.get_by_role("button", name="User").click()
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("User")


def test_a_job_shows_its_evidence_what_decided_and_its_code(page, site):
    show(page, site, "jobs", "table.jobs a.row")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_selector(".chart path.line")
    until(lambda: next(iter(site.page(f"/v1/job?key={LATE}")["verdicts"].values()))["state"] == "confirmed")
    show(page, site, f"job/{LATE.replace(':', '%3A')}", ".multiples figure.chosen svg .decided")
    assert "confirmed" in page.locator(".wash").first.inner_text()
    chart = page.locator("[role=slider]")
    chart.focus()
    page.keyboard.press("Home")
    first = chart.get_attribute("aria-valuetext")
    page.keyboard.press("End")
    assert "evidence 100" in chart.get_attribute("aria-valuetext")
    assert chart.get_attribute("aria-valuetext") != first
    titles = page.locator("h3").all_inner_texts()
    assert titles[0].startswith("Decided: ")
    drawn = page.locator("figure.chosen").first.locator("path.line").get_attribute("d")
    assert drawn.count("L") > 50
    page.get_by_text("All other channels").click()
    page.wait_for_selector("text=Plain NVML")
    assert page.locator(".multiples figure").count() > 40
    assert "logic and shifts" in page.locator("svg.mix").first.get_attribute("aria-label")
    page.keyboard.press("Escape")
    page.wait_for_selector("table.jobs")


def test_a_case_is_approved_with_keys_alone_and_stands_in_the_audit_log(page, site):
    case = next(one["id"] for one in site.page("/v1/cases")["cases"] if one["waiting"] == "approval of cancel")
    show(page, site, "cases", f"text={case}")
    page.keyboard.press("/")
    page.keyboard.type(case)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("form.decide")
    ladder = page.locator(".steps").inner_text()
    assert "Next, waits for: approval of cancel" in ladder
    assert "The act (terminate): after" in ladder
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "reason":
            break
    page.keyboard.type("no")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Say why, in a few words")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type(" doubt: seen with its owner")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    deed = page.locator("dialog .alarm").inner_text()
    assert "SIGTERM" in deed
    assert "of drill, on 1 GPU" in deed
    assert page.evaluate("document.activeElement.textContent") == "No, back"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Approved: it is in the audit log.")
    record = until(lambda: next((r for r in site.audit() if r.get("what") == "approved" and r["case"] == case), None))
    assert record["reason"] == "no doubt: seen with its owner"
    page.wait_for_selector("text=Approved by")


def test_a_rejection_can_be_taken_back_before_it_is_made(page, site):
    case = next(
        one["id"]
        for one in site.page("/v1/cases")["cases"]
        if one["rule"] == "hash-work" or one["closed_unix_s"] is None
    )
    show(page, site, f"case/{case}", "form.decide")
    page.fill("#reason", "not now")
    page.get_by_role("button", name="Reject").click()
    page.wait_for_selector("dialog[open]")
    assert "is left alone" in page.locator("dialog .alarm").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert ask(site.drill.socket, "GET", f"/v1/cases/{case}")["closed_unix_s"] is None
    assert page.input_value("#reason") == "not now"


def test_names_that_mean_harm_are_text_and_kernels_are_a_picture(page, site):
    show(page, site, "jobs", "table.jobs a.row", node=1)
    assert page.locator("select option:checked").inner_text().startswith('"><img')
    text = page.locator("main").inner_text()
    assert '"><img src=x one' in text
    assert "\u202e" not in text
    assert "\\u{202e}" in text
    page.get_by_label("ended ones too").check()
    page.wait_for_selector("tr.ended :text('slurm:ended')")
    page.get_by_label("ended ones too").uncheck()
    show(page, site, "job/" + quote(EVIL, safe=""), "table.kernels svg.mix", node=1)
    mix = page.locator("table.kernels svg.mix").first
    assert mix.get_attribute("aria-label").startswith("logic and shifts 48")
    widths = [float(part.get_attribute("width")) for part in mix.locator("rect").all()]
    assert widths[0] == pytest.approx(0.48 * 400 - 1)
    assert sum(width + 1 for width in widths) == pytest.approx(400, abs=2)
    assert '"><img src=x onerror="window.pwned=1">' in page.locator("table.kernels").inner_text()
    for view, wait in (("cases", "table a.row"), ("blind", "section .blind"), ("gpus", "table"), ("about", "dl")):
        show(page, site, view, wait, node=1)
        width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert width <= 0, view


def test_names_break_between_their_parts_and_pushed_gpus_go_by_them(page, site):
    kept = site.hostile.pages
    site.hostile.pages = {**kept, "/v1/jobs": {"jobs": [
        {**job, "job": f"pushed:east:slurm:4010{place}", "user": "user22", "account": "lab4", "name": "train-11"}
        for place, job in enumerate(site.page("/v1/jobs")["jobs"])
    ]}, "/v1/gpus": {"gpus": [
        {**gpu, "index": None, "name": "", "gpu": "east/node012/GPU-6"} for gpu in kept["/v1/gpus"]["gpus"][:1]
    ]}}  # fmt: skip
    try:
        show(page, site, "jobs", "table.jobs tbody tr:has-text('user22')", node=1)
        page.set_viewport_size({"width": 900, "height": 800})
        lines = dict(page.locator("table.jobs bdi.name").evaluate_all(LINES))
        assert (lines["user22"], lines["pushed:east:slurm:40100"] <= 3) == (1, True)
        show(page, site, "gpus", "table th b bdi.name:has-text('east/node012/GPU-6')", node=1)
    finally:
        site.hostile.pages = kept


def test_who_may_not_is_told_who_may(page, site):
    page.expected.append("403")
    case = site.hostile.pages["/v1/cases"]["cases"][0]["id"]
    show(page, site, f"case/{case}", "form.decide", node=1)
    page.fill("#reason", "let me try")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("button", name="Yes, approve").click()
    page.wait_for_selector("text=mallory may not; who may: root, @gpu-admins")
    assert page.input_value("#reason") == "let me try"


@pytest.mark.parametrize(
    ("view", "words"),
    [("job/nobody", "no job is called"), ("case/HW-NONE", "no case is called"), ("nothing", "no page called")],
)
def test_what_is_unknown_is_said(page, site, view, words):
    page.expected.append("404")
    show(page, site, view, f"main :text('{words}')")


def test_a_policy_is_tried_and_what_is_wrong_is_said(page, site):
    show(page, site, "policy", "text=Valid:")
    assert "dry-run" in page.locator("#lint").inner_text()
    whole = page.input_value("#policy")
    page.fill("#policy", whole.replace("action =", "actoin ="))
    page.wait_for_selector("text=Did you mean 'action'?")
    assert page.get_by_role("button", name="Try it").is_disabled()
    page.get_by_role("button", name="To line").click()
    assert "actoin" in page.evaluate(CHOSEN)
    page.fill("#policy", whole)
    page.wait_for_selector("text=Valid:")
    page.wait_for_selector(f"option[value='run:{GPU}']", state="attached")
    page.select_option("form select", f"run:{GPU}")
    page.get_by_role("button", name="Try it").click()
    page.wait_for_selector("svg.trial .mark.asked")
    assert "requeuehold is asked for" in page.locator("table.cards").inner_text()


VIEWS = [("jobs", "table.jobs a.row"), (f"job/{MINER.replace(':', '%3A')}", "figure.chosen svg"),
         ("cases", "table a.row"), ("blind", "h2"), ("gpus", "table"), ("policy", "text=Valid:"),
         ("about", "dl")]  # fmt: skip


def test_views_are_accessible(page, site):
    case = site.page("/v1/cases")["cases"][0]["id"]
    views = [(f"case/{case}", "form.decide"), *VIEWS]
    for view, wait in views:
        show(page, site, view, wait)
        accessible(page)
    page.emulate_media(color_scheme="dark")
    for view, wait in views[:5]:
        show(page, site, view, wait)
        accessible(page, runOnly=["color-contrast"])
    show(page, site, "jobs", "table.jobs a.row", node=1)
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    accessible(page)


def test_it_fits_a_telephone_and_keeps_the_theme_that_was_chosen(page, site):
    page.set_viewport_size({"width": 375, "height": 800})
    for view, wait in VIEWS:
        show(page, site, view, wait)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, view
    dark = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(dark)
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.evaluate(dark) != before
    page.reload()
    page.wait_for_selector("table, dl")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.keyboard.press("t")
    assert page.locator("html").get_attribute("data-theme") is None


def test_without_scripts_all_is_there_and_a_decision_too(site, chromium):
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(f"{site.base}/?key={site.keys[-1]}")
        page.get_by_role("link", name="The pages without").click()  # the page before it goes on by itself
        assert page.locator("tbody tr").count() == 6
        page.get_by_role("link", name=MINER).first.click()
        assert "Evidence of mining 100\u00a0%" in page.locator("main").inner_text()
        page.goto(f"{site.base}/plain/cases")
        case = next(one for one in site.page("/v1/cases")["cases"] if one["closed_unix_s"] is None)
        page.get_by_role("link", name=case["id"]).click()
        page.fill("#reason", "a drill, without scripts")
        page.get_by_role("button", name="Reject").click()
        assert "is left alone" in page.locator(".alarm").inner_text()
        page.get_by_role("button", name="Yes, reject").click()
        assert "closed: rejected" in page.locator("main").inner_text()
        assert page.goto(f"{site.base}/plain/case?id=HW-NONE").status == 404
        assert any(r.get("reason") == "a drill, without scripts" for r in site.audit())
    finally:
        context.close()


def test_an_agent_that_hangs_or_dies_never_looks_calm(page, site):
    page.expected += ["503", "502"]
    show(page, site, "jobs", "table.jobs a.row", node=1)
    site.hostile.alive = False
    page.wait_for_selector("text=The agent hangs")
    show(page, site, "jobs", "table.jobs a.row")
    site.drill.close()
    page.wait_for_selector("[role=alert] :text('Connection lost')")
    assert page.title().startswith("Connection lost")
    assert page.locator("table.jobs tbody tr").count() > 0
    assert page.locator("body.lost").count() == 1
    assert "lost" in page.locator(".age").inner_text()
    page.reload()
    page.wait_for_selector("text=No agent answers")
