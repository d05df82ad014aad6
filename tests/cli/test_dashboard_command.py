"""``hashwarden dashboard`` as a process: its link, who can read it, an agent that is away, its end."""

from __future__ import annotations

import http.client
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

START = "from hashwarden.cli import main; main()"


def run(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", START, "dashboard", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--listen", "0.0.0.0:0"), "an address of the loopback"), (("--listen", "example.org:80"), "loopback"),
     (("--trace", "/nowhere.parquet"), "no such file"), (("--url", "ftp://x"), "http:// or https://"),
     (("--replay", "/nowhere.parquet"), "no such file")],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(arguments, words):
    with run("--no-browser", *arguments) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert words in said


def asked(link, path, cookie=""):
    host = re.match(r"http://([^/]+)/", link)[1]
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), (answer.getheader("Set-Cookie") or "").partition(";")[0]
    connection.close()
    return found


def test_it_opens_a_file_of_this_user_alone_says_that_no_agent_answers_and_ends(tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened.new; mv {tmp_path}/opened.new {tmp_path}/opened\n')
    browser.chmod(0o755)
    with run("--listen", "127.0.0.1:0", "--socket", str(tmp_path / "away.sock"), BROWSER=str(browser)) as process:
        try:
            link = re.match(r"dashboard: (\S+)", process.stdout.readline())[1]
            end = process.stdout.readline()
            assert "Ctrl-C ends it" in end
            until_s = time.monotonic() + 30
            while not (tmp_path / "opened").exists() and time.monotonic() < until_s:
                time.sleep(0.05)
            opened = (tmp_path / "opened").read_text().strip()
            assert opened.startswith("file:///")
            assert link not in opened
            file = Path(opened.removeprefix("file://"))
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert link in file.read_text()
            key = link.partition("/?")[2]
            status, _, cookie = asked(link, f"/?{key}")
            assert status == 200
            assert re.fullmatch(r"hashwarden_0_\d+=\S{43}", cookie)
            assert "the link was used" in process.stdout.readline()
            assert asked(link, "/", cookie)[0] == 200
            status, text, _ = asked(link, "/v1/status", cookie)
            assert status == 502
            assert "no agent answers" in text
            assert asked(link, "/v1/status")[0] == 401
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not file.exists()
