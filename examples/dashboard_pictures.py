"""The pictures of docs/dashboard.md: the dashboard on the demo, in a real Chromium, light and dark.

Run it in a clone: python examples/dashboard_pictures.py [FOLDER]. Needs the extra node, playwright and a chromium.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, sync_playwright

from hashwarden.serve.agent.web import Server
from hashwarden.serve.agent_client import Peer, ask
from hashwarden.serve.pages.dashboard import Dashboard
from hashwarden.serve.pages.drill import Drill

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "data" / "job" / "demo.parquet"
JOB = "drill:mining-matmul-pow-mimic-requests-90000003"
SPEED = 20.0
"""What decided on the job has to be among the samples of the last ten minutes while its pictures are taken."""
WIDTH, HEIGHT = 1240, 800
_ENDING = {"light": "", "dark": "-dark"}


def main(folder: Path) -> None:
    """Make all pictures."""
    keys: list[str] = []
    drill = Drill(DEMO, SPEED)
    dashboard = Dashboard([Peer(drill.socket)], [DEMO], keys.append)
    server = Server("127.0.0.1:0", dashboard)
    base = f"http://127.0.0.1:{server.port}"
    try:
        case = _wait_for_case(drill.socket)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(f"{base}/?key={keys[-1]}")
            page.wait_for_selector("table.jobs a.row")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                _pictures(page, base, case, folder, scheme)
            _others(page, base, folder)
            browser.close()
    finally:
        for each in (server, dashboard, drill):
            each.close()


def _pictures(page: Page, base: str, case: str, folder: Path, scheme: str) -> None:
    views = (
        ("jobs", "jobs", "table.jobs a.row", HEIGHT - 260),
        ("job", f"job/{quote(JOB, safe='')}", "figure.chosen svg .decided", HEIGHT + 330),
        ("case", f"case/{case}", "form.decide", HEIGHT - 60),
    )
    for name, view, wait, height in views:
        page.set_viewport_size({"width": WIDTH, "height": height})
        page.goto(f"{base}/#/{view}")
        page.wait_for_selector(wait)
        page.wait_for_timeout(600)
        page.screenshot(path=folder / f"dashboard-{name}{_ENDING[scheme]}.png")


def _others(page: Page, base: str, folder: Path) -> None:
    """A telephone, and a policy that was tried."""
    page.set_viewport_size({"width": 375, "height": 812})
    page.goto(f"{base}/#/jobs")
    page.wait_for_selector("table.jobs a.row")
    page.wait_for_timeout(600)
    page.screenshot(path=folder / "dashboard-phone-dark.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT + 200})
    page.goto(f"{base}/#/policy")
    page.wait_for_selector("text=Valid:")
    page.wait_for_selector("option[value^='run:mining']", state="attached")
    page.get_by_role("button", name="Try it").click()
    page.wait_for_selector("svg.trial", timeout=60_000)
    page.screenshot(path=folder / "dashboard-policy.png")


def _wait_for_case(socket: Path) -> str:
    """The case of the job that is shown, once it waits for a person."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for one in ask(socket, "GET", "/v1/cases")["cases"]:
            if one["job"]["key"] == JOB and one["waiting"].startswith("approval"):
                return str(one["id"])
        time.sleep(0.2)
    raise SystemExit("no case came to wait for approval")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
