"""Make a picture of ``hashwarden top``, as docs/top.png was made: a real agent watches the demo's six jobs.

pip install resvg-py 'hashwarden[node,top]'
python examples/top_picture.py docs/top.png 110x30 Enter
NO_COLOR=1 python examples/top_picture.py plain.png 80x24
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hashwarden.errors import HashwardenError
from hashwarden.serve.agent_client import Peer, ask
from hashwarden.serve.top.app import TopApp
from hashwarden.serve.top.feed import Feed
from hashwarden.serve.top.words import Look

DEMO = Path(__file__).parents[1] / "data" / "job" / "demo.parquet"
AGENT = (sys.executable, "-c", "from hashwarden.cli import main; main()", "agent", "--listen", "127.0.0.1:0")
CASES = 2
WAIT_S = 120


async def _drawn(feed: Feed, size: tuple[int, int], keys: list[str]) -> str:
    """The screen after some keys, as SVG."""
    app = TopApp(feed, Look())
    async with app.run_test(size=size) as pilot:
        for key in keys:
            await pilot.press(key)
            await pilot.pause(1.0)
        await pilot.pause(1.0)
        return app.export_screenshot(title="hashwarden top")


def picture(size: tuple[int, int], keys: list[str]) -> str:
    """Start an agent, wait for cases, press keys; gives an SVG."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--replay", str(DEMO), "--speed", "6", "--state-dir", f"{folder}/state", "--run-dir", f"{folder}/run"]
        agent = subprocess.Popen([*AGENT, *flags], stderr=subprocess.DEVNULL)
        try:
            peer = Peer(Path(folder) / "run" / "agent.sock")
            _until_cases(peer)
            feed = Feed([peer])
            feed.read()
            return asyncio.run(_drawn(feed, size, keys))
        finally:
            agent.terminate()
            agent.wait()


def _until_cases(peer: Peer) -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            jobs = ask(peer, "GET", "/v1/jobs")["jobs"]
            states = [verdict["state"] for job in jobs for verdict in job["verdicts"].values()]
            if "confirmed" in states and sum(bool(job["case"]) for job in jobs) >= CASES:
                return
        except HashwardenError:
            pass  # it is starting
        time.sleep(0.5)
    raise SystemExit("no case was opened")


def main() -> None:
    """Write the picture named first."""
    path, size, keys = Path(sys.argv[1]), sys.argv[2].split("x"), sys.argv[3:]
    columns, lines = int(size[0]), int(size[1])
    svg = picture((columns, lines), [key.lower() if len(key) > 1 else key for key in keys])
    if path.suffix == ".svg":
        path.write_text(svg, encoding="utf-8")
        return
    import resvg_py

    font = "DejaVu Sans Mono"
    path.write_bytes(
        bytes(resvg_py.svg_to_bytes(svg_string=svg, width=11 * columns, font_family=font, monospace_family=font))
    )


if __name__ == "__main__":
    main()
