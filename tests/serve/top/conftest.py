"""A real agent that watches the demo's jobs; and servers that say what no honest agent would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hashwarden.errors import HashwardenError
from hashwarden.serve.agent_client import Peer, ask

DEMO = Path(__file__).parents[3] / "data" / "job" / "demo.parquet"
POLICY = """
mode = "enforce"
[[rules]]
name = "miners"
sampling_period_minutes = 0.02
first_warning_minutes = 0.05
cancel_minutes = 0.1
action = "cancel"
act_if_warning_refused = true
act_tiers = ["gpm", "gpm+code", "all"]
"""
WAIT_S = 60


class Agent:
    """An agent's process, and its socket."""

    def __init__(self, folder: Path, speed: int) -> None:
        self.peer = Peer(folder / "run" / "agent.sock")
        (folder / "policy.toml").write_text(POLICY)
        flags = ["--replay", DEMO, "--speed", speed, "--state-dir", folder / "state", "--run-dir", folder / "run",
                 "--listen", "127.0.0.1:0", "--policy", folder / "policy.toml"]  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from hashwarden.cli import main; main()", "agent", *map(str, flags)],
            stderr=subprocess.DEVNULL, env={**os.environ, "HASHWARDEN_AGENT__SCHEDULERS__NAMES": '["process"]'},
        )  # fmt: skip

    def get(self, page: str) -> Any:
        return ask(self.peer, "GET", f"/v1/{page}")

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None
            try:
                if holds():
                    return
            except HashwardenError:
                pass
            time.sleep(0.05)
        raise AssertionError("it never came to that")

    def states(self) -> list[str]:
        return [v["state"] for job in self.get("jobs")["jobs"] for v in job["verdicts"].values()]


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """Of whom cases wait for an approval; the tests leave it running."""
    one = Agent(tmp_path_factory.mktemp("agent"), 9)
    one.until(lambda: "confirmed" in one.states() and any(c["waiting"] for c in one.get("cases")["cases"]))
    yield one
    one.process.kill()
    one.process.wait()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Agent]:
    """One that a test may kill."""
    one = Agent(tmp_path, 20)
    one.until(lambda: len(one.states()) == 6)
    yield one
    one.process.kill()
    one.process.wait()


@pytest.fixture
def liar() -> Iterator[Callable[..., str]]:
    """Serves pages by path; gives its URL."""
    servers = []

    def serve(pages: dict[str, Any], token: str = "") -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = pages.get(self.path.partition("?")[0])
                right = not token or self.headers.get("Authorization") == f"Bearer {token}"
                body = found if isinstance(found, bytes) else json.dumps(found or {"error": "none"}).encode()
                self.send_response((200 if found is not None else 404) if right else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
