"""``hashwarden report`` as people call it, and its page in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner, Result

from hashwarden.cli.app import app
from hashwarden.errors import DataError, HashwardenError, MissingExtraError, UsageError
from hashwarden.model.trace_read import iter_runs
from hashwarden.serve.audit.bundle import write_bundle
from hashwarden.serve.audit.bundle_verify import members
from hashwarden.serve.jobs.job import Job, ProcessKey
from hashwarden.serve.launch_board import KernelLaunches, LaunchProfile
from hashwarden.serve.reporting.make import Sources, case_facts, rendered
from hashwarden.serve.reporting.pdf import NATIVE, pdf_of
from hashwarden.serve.sources.code_join import LaunchedKernel

KERNEL = "<svg/onload=alert(2)>$\\frac{kernel"


def call(*words: object) -> Result:
    done = CliRunner().invoke(app, ["report", *map(str, words)])
    if isinstance(done.exception, HashwardenError):
        raise done.exception
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_a_case_becomes_a_file_of_the_kind_that_its_name_says(site, tmp_path):
    for name, begin in (("r.json", b"{"), ("r.HTM", b"<!DOCTYPE html>")):
        done = call(site.case.lower(), "--state-dir", site.state, "-o", tmp_path / name)
        assert (done.exit_code, (tmp_path / name).read_bytes().startswith(begin)) == (0, True)
        assert f"case {site.case}: Confirmed as mining" in done.stderr


def test_it_goes_to_the_terminal_where_no_file_is_named(site):
    assert call(site.case, "--state-dir", site.state).stdout.startswith("<!DOCTYPE html>")
    found = json.loads(call("today", "--state-dir", site.state, "--format", "json").stdout)
    assert (found["kind"], len(found["cases"])) == ("period", 1)


def test_a_bundle_is_taken_by_its_name(site, tmp_path):
    bundle = shutil.copy(site.state / "evidence" / f"{site.case}.tar", tmp_path)
    found = json.loads(call(bundle, "--format", "json").stdout)
    assert (found["case"], found["logs"]) == (site.case, [])
    both = json.loads(call(site.case, "--bundle", bundle, "--state-dir", site.state, "--format", "json").stdout)
    assert (both["bundle"]["known"], both["logs"][0]["ok"]) == ("newest", True)


def test_the_code_is_1_and_a_report_is_written_where_the_log_does_not_verify(site, tmp_path):
    site.log.write_bytes(site.log.read_bytes().replace(b"jane", b"john"))
    done = call(site.case, "--state-dir", site.state, "-o", tmp_path / "r.html")
    assert done.exit_code == 1
    assert "problem: The audit log" in done.stderr
    assert "Do not rely on this report." in (tmp_path / "r.html").read_text()


def test_redacted_reports_name_nobody(site):
    given = [site.case, "--state-dir", site.state, "--redact-users"]
    found = "".join(call(*given, "--format", form).stdout for form in ("html", "json"))
    for name in ("drill", "jane", "alert", "frac", "雪", str(site.state)):
        assert name not in found
    assert "person-2 approved the case" in found


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        (("HW-2345678", "-o", "x.docx"), UsageError, "one that ends with"),
        (("next-week",), UsageError, "a case as HW-"),
        (("HW-ZZZZZZZ",), UsageError, "no case is called 'HW-ZZZZZZZ'"),
        (("not-there.tar",), DataError, "cannot be read"),
        (("1999",), UsageError, "a period as"),
        (("1999-01-01",), DataError, "no record of 1 January 1999"),
    ],
)
def test_what_cannot_be_is_one_clear_error(site, words, error, match):
    with pytest.raises(error, match=match):
        call(*words, "--state-dir", site.state)


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="--state-dir"):
        call("today", "--state-dir", tmp_path / "nothing")


@pytest.mark.parametrize(
    ("package", "form"), [("matplotlib", "html"), ("jinja2", "html"), ("weasyprint", "pdf")]
)  # fmt: skip
def test_what_is_not_installed_is_named_with_its_extra(site, monkeypatch, package, form):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=re.escape("hashwarden[report]")):
        call(site.case, "--state-dir", site.state, "--format", form)


def test_a_library_that_the_system_lacks_is_named_with_its_packages(tmp_path, monkeypatch):
    """As WeasyPrint ends where Pango is not installed."""
    (tmp_path / "weasyprint.py").write_text("raise OSError('cannot load library \\'libpango-1.0-0\\': no such file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match=re.escape(f"apt install {NATIVE}")):
        pdf_of("<p>x")


def test_json_needs_no_extra(site, monkeypatch):
    for package in ("matplotlib", "jinja2", "weasyprint"):
        monkeypatch.setitem(sys.modules, package, None)
    assert call(site.case, "--state-dir", site.state, "--format", "json").exit_code == 0


def test_a_file_that_cannot_be_written_leaves_nothing(site, tmp_path):
    with pytest.raises(HashwardenError, match="cannot be written"):
        call(site.case, "--state-dir", site.state, "-o", tmp_path / "no" / "r.json")
    assert list(tmp_path.glob("no*")) == []


@pytest.fixture
def with_code(site, tmp_path) -> Path:
    """The same bundle, with what a node says that reads machine code."""
    old = site.state / "evidence" / f"{site.case}.tar"
    parts = {name: data for name, data in members(old, 1 << 24).items() if name.endswith(".json")}
    (tmp_path / "trace.parquet").write_bytes(members(old, 1 << 24)["trace.parquet"])
    mix = {"logic": 0.5, "integer": 0.3, "float": 0.0, "hmma": 0.0, "imma": 0.0, "memory": 0.1, "dependent_load": 0.9}
    kernels = {KERNEL: LaunchedKernel(KERNEL, "00ff00ff00ff00ff", 90, 0.97, 0.99, 0.8, mix)}
    launches = [LaunchProfile(ProcessKey(7, 8), 1.0, 2.0, (KernelLaunches(KERNEL, 10, 2560),))]
    return write_bundle(
        tmp_path / "new", case=json.loads(parts["case.json"]), job=Job("slurm:1", "slurm", "1"), verdicts=[],
        runs=[replace(run) for run in iter_runs(tmp_path / "trace.parquet")], launches=launches, code=kernels,
        model={"sha256": "ab" * 32}, policy={},
    ).path  # fmt: skip


def test_kernels_are_shown_with_their_instruction_mix(with_code):
    report = case_facts("", Sources((), with_code))
    [kernel] = report.kernels
    assert (kernel.p_mining, kernel.threads, kernel.architecture) == (0.97, 0.8, 90)
    assert "another model's opinion would prove nothing" in report.curve_words
    page = rendered(report, "html").decode()
    assert "What the instructions of each kernel are." in page
    assert "<svg/onload" not in page


def test_a_real_browser_shows_it_and_runs_nothing(site, tmp_path):
    call(site.case, "--state-dir", site.state, "-o", tmp_path / "r.html")
    chromium = os.environ.get("HASHWARDEN_CHROMIUM", "/usr/bin/chromium")
    said: list[str] = []
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="dark")
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
        page.goto((tmp_path / "r.html").as_uri())
        assert page.locator("h1").inner_text() == "Confirmed as mining"
        assert page.locator("svg").count() == 3
        assert page.locator("h2").count() == 8
        box = page.locator("svg").first.bounding_box()
        assert box is not None
        assert box["width"] > 400
        assert Axe().run(page).response["violations"] == []
        dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        browser.close()
    assert said == []
    assert dark == "rgb(22, 24, 26)"
