"""The systemd unit and the configuration that sites begin with: what systemd says of the one, and we of the other."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from units import ROOT, analyze, runnable, settings

from hashwarden.errors import UsageError
from hashwarden.serve.agent.config import CONFIG_PATH, Config, load_config
from hashwarden.serve.jobs.registry import PROVIDERS
from hashwarden.serve.schedulers.registry import SCHEDULERS
from hashwarden.serve.sources.registry import SOURCES

UNIT = ROOT / "deploy" / "systemd" / "hashwarden-agent.service"
CONFIG = ROOT / "deploy" / "agent.toml"
MOST_EXPOSED = 5.5
"""Of 10. What is left is what the agent is for: other processes, eBPF, GPUs, the network of the schedulers."""


@pytest.fixture
def unit(tmp_path):
    return runnable(UNIT, tmp_path)


def test_systemd_understands_every_line(unit):
    done = analyze("verify", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_line_that_it_does_not_understand_would_be_found(unit):
    unit.write_text(unit.read_text().replace("ProtectClock=yes", "ProtectClocks=yes"))
    assert "ProtectClocks" in analyze("verify", str(unit)).stderr


def test_it_is_exposed_no_more_than_it_has_to_be(unit):
    done = analyze("security", "--offline=true", "--no-pager", str(unit))
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level is not None, done.stderr
    assert float(level[1]) <= MOST_EXPOSED


def test_the_unit_and_the_configuration_name_the_same_places():
    said = settings(UNIT.read_text())
    assert said["ExecStart"].split() == ["/opt/hashwarden/bin/hashwarden", "agent", "--config", str(CONFIG_PATH)]
    config = Config()
    assert config.state_dir == Path("/var/lib") / said["StateDirectory"]
    assert config.run_dir == Path("/run") / said["RuntimeDirectory"]
    assert (said["StateDirectoryMode"], said["UMask"]) == ("0700", "0077")


def test_systemd_is_told_when_it_begins_lives_reloads_and_ends():
    said = settings(UNIT.read_text())
    assert (said["Type"], said["Restart"]) == ("notify", "always")
    assert said["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert float(said["WatchdogSec"]) >= 30, "the agent itself calls 30 s without a tick dead"
    assert float(said["TimeoutStopSec"]) > 5, "it ends within 5 s"


def test_a_worker_that_takes_too_much_memory_does_not_end_the_agent():
    assert settings(UNIT.read_text())["OOMPolicy"] == "continue"


def test_every_right_is_explained_in_the_unit_and_on_the_page():
    text = UNIT.read_text()
    explained = "".join(line for line in text.splitlines() if line.startswith("#"))
    page = (ROOT / "docs" / "operations.md").read_text()
    for name in settings(text)["CapabilityBoundingSet"].split():
        assert name.removeprefix("CAP_") in explained
        assert name in page


def test_the_configuration_is_one_and_does_nothing_by_itself():
    config = load_config(CONFIG)
    assert config.policy == CONFIG_PATH.with_name("policy.toml")
    assert set(config.sources.names) <= {source.name for source in SOURCES}
    assert set(config.jobs.providers) <= {provider.name for provider in PROVIDERS}
    assert set(config.schedulers.names) <= {scheduler.name for scheduler in SCHEDULERS}
    assert config.http.listen.startswith("127.0.0.1:")
    assert config.http.approvers[0] == "root"


@pytest.mark.parametrize("line", re.findall(r"^# (names = .*)$", CONFIG.read_text(), re.MULTILINE))
def test_what_is_commented_out_could_be_taken_in(tmp_path, line):
    text = re.sub(r"^names = \[\"nvml\"\].*$", lambda _: line, CONFIG.read_text(), count=1, flags=re.MULTILINE)
    (tmp_path / "agent.toml").write_text(text)
    names = load_config(tmp_path / "agent.toml").sources.names
    assert set(names) <= {source.name for source in SOURCES}
    assert names != ("nvml",)


def test_a_key_that_is_not_known_is_refused(tmp_path):
    (tmp_path / "agent.toml").write_text(CONFIG.read_text().replace("approvers", "aprovers"))
    with pytest.raises(UsageError, match="approvers"):
        load_config(tmp_path / "agent.toml")
