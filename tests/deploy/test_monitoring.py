"""Dashboard and alert rules: what promtool says, what a real Prometheus makes of a real agent, what the pages say."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from ports import free_port

from hashwarden.serve.agent.metrics import _HELP, GpuView, Snapshot, exposition
from hashwarden.serve.sources.health import Health

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "hashwarden.json"
DEMO = ROOT / "data" / "job" / "demo.parquet"
WAIT_S = 60
OF_HISTOGRAMS = ("_bucket", "_count", "_sum")
LATER = ("verdicts", "actions", "alerts", "blind", "gpu_seconds", "blind_gpu_seconds", "ticks_missed", "clock_jumps",
         "audit_records", "audit_errors", "audit_lost", "source_events", "reloads")  # fmt: skip
"""Counters that a metrics page has once they were counted."""

CONFIGURATION = """
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: [{rules}/alerts.yml, {rules}/recording.yml]
scrape_configs:
  - job_name: hashwarden
    static_configs: [targets: ["127.0.0.1:{port}"]]
"""


def needed(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        assert "CI" not in os.environ, "CI installs Debian's package prometheus"
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    return found


def promtool(*words: object) -> str:
    done = subprocess.run([needed("promtool"), *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    return group["rules"]


def recorded() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((RULES / "recording.yml").read_text())["groups"]
    return group["rules"]


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text())["panels"]


def queries() -> list[str]:
    """Every expression of the dashboard, its variables filled in as for all nodes."""
    page = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for one in page["panels"] for target in one.get("targets", ())]
    found += [one["expr"] for one in page["annotations"]["list"]]
    return [expr.replace("$instance", ".*") for expr in found]


def known() -> set[str]:
    """Names of all series of agent and service."""
    from hashwarden.serve.api.meters import Meters

    one = Snapshot(model={"sha256": "x"}, policy={"sha256": "x"}, sources={"nvml": Health()},
                   gpus={"GPU-1": GpuView(0.0, 0.0, {"mining": 0.0})}, states={"clear": 1}, cases={"suspect": 1},
                   blind={"stale": 1}, values=dict.fromkeys(_HELP.keys() - set(LATER), 0.0))  # fmt: skip
    for name in LATER:
        one.totals[name, ()] = 1
    meters = Meters()
    meters.follow(lambda: {"job": 1})
    text = exposition(one).decode() + meters.exposition().decode()
    names = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    names |= {
        name + end for name in re.findall(r"^# TYPE (\w+) histogram", text, re.MULTILINE) for end in OF_HISTOGRAMS
    }
    return names | {rule["record"] for rule in recorded()}


def named(expr: str) -> set[str]:
    return set(re.findall(r"\bhashwarden[_:][a-zA-Z0-9_:]+", expr))


def test_the_dashboard_is_what_its_script_makes():
    spec = importlib.util.spec_from_file_location("grafana_build", DASHBOARD.with_name("build.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert json.loads(DASHBOARD.read_text()) == module.dashboard(), "run deploy/grafana/build.py"


def test_panels_have_their_place_and_say_what_they_show():
    taken = set()
    for one in panels():
        place = one["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert one["type"] == "row" or (one["title"] and one["description"] and one["targets"])
        assert all(target["datasource"]["uid"] == "${datasource}" for target in one.get("targets", ()))
    ids = [one["id"] for one in panels()]
    assert len(ids) == len(set(ids)) > 30
    assert len(queries()) > 35


def test_prometheus_itself_reads_every_query(tmp_path):
    rules = [{"record": f"test:query:{n}", "expr": expr} for n, expr in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", tmp_path / "rules.yml")


@pytest.mark.parametrize("where", ["dashboard", "alerts", "recording"])
def test_every_series_that_is_asked_for_exists(where):
    found = {"dashboard": queries(), "alerts": [rule["expr"] for rule in alerts()],
             "recording": [rule["expr"] for rule in recorded()]}[where]  # fmt: skip
    asked = set().union(*map(named, found))
    assert len(asked) > 3
    assert asked - known() == set()


def test_rules_are_good_and_fire_when_they_should():
    promtool("check", "rules", RULES / "alerts.yml", RULES / "recording.yml")
    for file in sorted((RULES / "tests").glob("*.yml")):
        assert "SUCCESS" in promtool("test", "rules", file)


def test_every_alert_is_tested_both_ways():
    files = (RULES / "tests").glob("*.yml")
    tests = [test for file in files for test in yaml.safe_load(file.read_text())["tests"]]
    fires = {m[1] for test in tests for one in test.get("promql_expr_test", ())
             if (m := re.search(r'alertname="(\w+)", alertstate="firing"', one["expr"]))}  # fmt: skip
    quiet = {one["alertname"] for test in tests for one in test.get("alert_rule_test", ()) if not one["exp_alerts"]}
    names = {rule["alert"] for rule in alerts()}
    assert fires == names
    assert names - quiet == {"HashwardenUnwatched"}


def test_every_alert_says_what_is_and_where_to_read_on():
    heads = re.findall(r"^### (Hashwarden\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert {rule["alert"] for rule in alerts()} == set(heads)
    for rule in alerts():
        notes = rule["annotations"]
        assert notes["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert len(notes["summary"]) > 10
        assert notes["description"].endswith(".")
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_those_that_wake_somebody_are_those_in_bold_and_wait_as_the_page_says():
    rows = re.findall(r"^\| (\**)(Hashwarden\w+)\** \| .* \| (.*) \|$", (ROOT / "docs" / "operations.md").read_text(),
                      re.MULTILINE)  # fmt: skip
    said = {name: (bool(bold), wait) for bold, name, wait in rows}
    units = {"": "at once", "m": " min", "h": " h", "d": " day"}
    found = {}
    for rule in alerts():
        size, unit = re.fullmatch(r"(\d*)([mhd]?)", rule.get("for", "")).groups()
        found[rule["alert"]] = (rule["labels"]["severity"] == "critical", f"{size}{units[unit]}")
    assert said == found


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            if found := holds():
                return found
        time.sleep(0.2)
    raise AssertionError("it never came to that")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """A real one that scrapes a real agent and has our rules; asks its API."""
    folder, scraped, port = tmp_path_factory.mktemp("prometheus"), free_port(), free_port()
    (folder / "p.yml").write_text(CONFIGURATION.format(rules=RULES, port=scraped))
    agent = [sys.executable, "-c", "from hashwarden.cli import main; main()", "agent", "--replay", DEMO, "--speed", 20]
    agent += ["--state-dir", folder / "state", "--run-dir", folder / "run", "--listen", f"127.0.0.1:{scraped}"]
    server = [needed("prometheus"), f"--config.file={folder / 'p.yml'}", f"--storage.tsdb.path={folder / 'data'}",
              f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]  # fmt: skip

    def ask(page: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{page}") as answer:
            return json.load(answer)["data"]

    running = [subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for command in (agent, server)]  # fmt: skip
    yield ask
    for process in running:
        process.kill()
        process.wait()


def test_a_real_prometheus_scrapes_a_real_agent_and_the_alert_fires(prometheus):
    def firing() -> Any:
        found = prometheus("alerts")["alerts"]
        return [
            one for one in found if one["labels"]["alertname"] == "HashwardenConfirmed" and one["state"] == "firing"
        ]

    (alert,) = until(firing)
    assert re.fullmatch(r"127\.0\.0\.1:\d+: \d jobs are confirmed to mine", alert["annotations"]["summary"])
    rules = [rule for group in prometheus("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(alerts()) + len(recorded())
    until(lambda: all(rule["health"] == "ok" for group in prometheus("rules")["groups"] for rule in group["rules"]))


def test_the_panels_of_the_agent_have_something_to_show(prometheus):
    def series(expr: str) -> list[Any]:
        return prometheus("query?query=" + urllib.parse.quote(expr))["result"]

    until(lambda: series('hashwarden_watched_state{state="confirmed"} > 0') and series("hashwarden_cases"))
    until(lambda: series("rate(hashwarden_samples_total[1m])"))
    empty = {expr for expr in queries() if not series(expr) and "hashwarden_serve" not in expr}
    late = {"hashwarden_gpu_seconds_total", "hashwarden_blind_gpu_seconds_total", "hashwarden_audit_errors_total",
            "hashwarden_audit_lost_total", "hashwarden_ticks_missed_total", "hashwarden_clock_jumps_total",
            "hashwarden_actions_total", "hashwarden_source_events_total", "hashwarden_blind_now",
            "hashwarden_audit_records_total", "hashwarden_verdicts_total", "hashwarden_alerts_total",
            "hashwarden_cases"}  # fmt: skip
    assert {name for expr in empty for name in named(expr)} <= late


def test_the_rules_for_the_operator_are_made_as_the_page_says(tmp_path):
    page = (ROOT / "docs" / "monitoring.md").read_text()
    (script,) = re.findall(r"```sh\n(# PrometheusRule.*?)```", page, re.DOTALL)
    made = subprocess.run(["sh", "-c", script.replace("kubectl apply -f -", "cat")], cwd=ROOT, capture_output=True,
                          text=True, check=True).stdout  # fmt: skip
    documents = list(yaml.safe_load_all(made))
    assert {one["kind"] for one in documents} == {"PrometheusRule"}
    rules = [rule for one in documents for group in one["spec"]["groups"] for rule in group["rules"]]
    assert rules == [*alerts(), *recorded()]
