"""The unit of the scoring service and the configuration that sites begin with."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from units import ROOT, analyze, runnable, settings

from hashwarden.cli.serve import TOKENS
from hashwarden.serve.api.config import SERVE_CONFIG_PATH, ServeConfig, load_serve_config
from hashwarden.serve.api.listeners import default_socket

UNIT = ROOT / "deploy" / "systemd" / "hashwarden-serve.service"
CONFIG = ROOT / "deploy" / "serve.toml"
MOST_EXPOSED = 2.0
"""Of 10: it is no root, sees no device and no other process."""


@pytest.fixture
def unit(tmp_path):
    return runnable(UNIT, tmp_path)


def test_systemd_understands_every_line_of_the_service_s_unit(unit):
    done = analyze("verify", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_service_is_hardly_exposed(unit):
    done = analyze("security", "--offline=true", "--no-pager", str(unit))
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level is not None, done.stderr
    assert float(level[1]) <= MOST_EXPOSED


def test_the_unit_and_the_defaults_name_the_same_places(monkeypatch):
    said = settings(UNIT.read_text())
    words = ["/opt/hashwarden/bin/hashwarden", "serve", "--config", str(SERVE_CONFIG_PATH)]
    assert said["ExecStart"].split() == words
    assert ServeConfig().desk.state_dir == Path("/var/lib") / said["StateDirectory"] == TOKENS.parent
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"/run/{said['RuntimeDirectory']}")
    assert default_socket() == Path("/run/hashwarden-serve/serve.sock")
    assert said["User"] == said["StateDirectory"]
    assert (said["StateDirectoryMode"], said["UMask"]) == ("0700", "0077")


def test_systemd_is_told_when_the_service_begins_lives_reloads_and_ends():
    said = settings(UNIT.read_text())
    assert (said["Type"], said["Restart"]) == ("notify", "always")
    assert said["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert float(said["WatchdogSec"]) >= 30
    assert float(said["TimeoutStopSec"]) > ServeConfig().limits.drain_s + 15


def test_the_configuration_to_begin_with_is_one_and_stays_on_this_machine():
    config = load_serve_config(CONFIG)
    assert all(where.startswith("127.0.0.1:") for where in config.http.listen)
    assert not config.http.plaintext
    assert config.access.tokens == TOKENS
    assert config.desk.policy is None


def test_what_is_commented_out_there_could_be_taken_in(tmp_path):
    lines = [line for line in CONFIG.read_text().splitlines() if not re.match(r"listen = |policy = ", line)]
    text = "\n".join(re.sub(r"^# (?=\w+ = |\[tls\])", "", line) for line in lines)
    (tmp_path / "serve.toml").write_text(text)
    config = load_serve_config(tmp_path / "serve.toml")
    assert config.tls.client_ca is not None
    assert config.http.grpc
    assert config.access.certificates
