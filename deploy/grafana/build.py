"""Write hashwarden.json, the dashboard beside this file: python deploy/grafana/build.py.

The format is Grafana's dashboard model, schema version 39 (Grafana 10.4 and later read it).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_name("hashwarden.json")
WIDTH = 24
AT = 'instance=~"$instance"'
STATES = {"clear": "#5794F2", "watching": "#8AB8FF", "abstain": "#B877D9", "suspect": "#FF9830", "confirmed": "#C4162A"}
"""States and colours that those who see no red or green can tell apart."""

Panel = dict[str, Any]


def panel(kind: str, title: str, text: str, *queries: tuple[str, str], **more: Any) -> Panel:  # noqa: ANN401
    """A panel: queries as pairs of PromQL and legend; `unit`, `steps` of thresholds, `width`, `height`, `options`."""
    steps = [{"color": color, "value": value} for value, color in more.get("steps", ())]
    defaults: dict[str, Any] = {"unit": more.get("unit", "short"), "min": more.get("min", 0)}
    if "max" in more:
        defaults["max"] = more["max"]
    defaults["color"] = {"mode": "thresholds" if steps else "palette-classic"}
    if steps:
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if kind == "timeseries":
        defaults["custom"] = {"fillOpacity": 10, "showPoints": "never", "stacking": {"mode": more.get("stack", "none")}}
    targets = [
        {"refId": chr(65 + n), "expr": expr, "legendFormat": legend, "instant": kind == "stat"}
        for n, (expr, legend) in enumerate(queries)
    ]
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": kind, "title": title, "description": text, "datasource": source,
        "targets": [{**target, "datasource": source} for target in targets],
        "fieldConfig": {"defaults": defaults, "overrides": more.get("overrides", [])},
        "options": more.get("options", {}), "gridPos": {"w": more.get("width", 8), "h": more.get("height", 7)},
    }  # fmt: skip


def row(title: str) -> Panel:
    """A heading."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1}}


def stat(title: str, text: str, expr: str, steps: list[tuple[float | None, str]], **more: Any) -> Panel:  # noqa: ANN401
    """One number."""
    options = {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return panel("stat", title, text, (expr, ""), steps=steps, width=4, height=4, options=options, **more)


def coloured() -> list[Panel]:
    """Each state in its colour."""
    return [
        {"matcher": {"id": "byName", "options": state},
         "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]}
        for state, color in STATES.items()
    ]  # fmt: skip


CALM, WARN, BAD = "#5794F2", "#FF9830", "#C4162A"
NONE_IS_GOOD: list[tuple[float | None, str]] = [(None, CALM), (1, BAD)]


def now() -> list[Panel]:
    """What somebody looks at first."""
    return [
        row("Now"),
        stat("Confirmed", "Jobs on GPUs whose evidence reached the threshold of confirmed mining.",
             f'sum(hashwarden_watched_state{{state="confirmed", {AT}}})', NONE_IS_GOOD),
        stat("Suspect", "At most one honest job in 100 ever shows such evidence.",
             f'sum(hashwarden_watched_state{{state="suspect", {AT}}})', [(None, CALM), (1, WARN)]),
        stat("Agents that do not answer", "Prometheus cannot scrape them: jobs there may be unwatched.",
             'count(up{job=~".*hashwarden.*"} == 0) or vector(0)', NONE_IS_GOOD),
        stat("Agents that are blind", "Something that was asked for is away on the whole node.",
             f"count(hashwarden_ready{{{AT}}} == 0) or vector(0)", NONE_IS_GOOD),
        stat("Actions waiting", "For a scheduler that does not answer.", f"sum(hashwarden_actions_pending{{{AT}}})",
             [(None, CALM), (1, WARN)]),
        stat("Audit errors of a day", "Records that could not be written. Nothing is done until they can.",
             f"sum(increase(hashwarden_audit_errors_total{{{AT}}}[1d]))", NONE_IS_GOOD),
        panel("state-timeline", "Readiness by node", "1: all that was asked for is there. 0: blind.",
              (f"hashwarden_ready{{{AT}}}", "{{instance}}"), steps=[(None, BAD), (1, CALM)], width=24, height=6,
              options={"mergeValues": True, "showValue": "never"}),
    ]  # fmt: skip


def jobs() -> list[Panel]:
    """Jobs, evidence, verdicts, actions."""
    return [
        row("Jobs and evidence"),
        panel("timeseries", "Jobs by state", "Jobs on GPUs; of a job on several GPUs each counts.",
              (f"sum by (state) (hashwarden_watched_state{{{AT}}})", "{{state}}"), stack="normal",
              overrides=coloured()),
        panel("timeseries", "Evidence by GPU", "Of mining: 0 none, 1 confirmed, logarithmic; the 20 highest.",
              (f"topk(20, hashwarden_evidence_ratio{{{AT}}})", "{{instance}} {{gpu_uuid}}"), unit="percentunit", max=1,
              steps=[(None, CALM), (0.5, WARN), (1, BAD)]),
        panel("timeseries", "Verdicts that changed", "An hour, by the new state.",
              (f"sum by (state) (increase(hashwarden_verdicts_total{{{AT}}}[1h]))", "{{state}}"), overrides=coloured()),
        panel("timeseries", "Open cases", "By what is held against the job.",
              (f"sum by (step) (hashwarden_cases{{{AT}}})", "{{step}}"), stack="normal"),
        panel("timeseries", "Actions that ended", "An hour, by result.",
              (f"sum by (result) (increase(hashwarden_actions_total{{{AT}}}[1h]))", "{{result}}")),
        panel("timeseries", "Alerts of the policy", "An hour, by kind.",
              (f"sum by (kind) (increase(hashwarden_alerts_total{{{AT}}}[1h]))", "{{kind}}")),
        panel("timeseries", "GPUs in use by class", "GPU-seconds a second that were watched.",
              (f"sum by (class) (rate(hashwarden_gpu_seconds_total{{{AT}}}[15m]))", "{{class}}"), stack="normal"),
        panel("timeseries", "GPUs that could not be seen", "GPU-seconds a second, by reason.",
              (f"sum by (reason) (rate(hashwarden_blind_gpu_seconds_total{{{AT}}}[15m]))", "{{reason}}"),
              stack="normal"),
        panel("timeseries", "Likeliest classes", "Mean probability over the GPUs.",
              (f"avg by (class) (hashwarden_class_probability_ratio{{{AT}}})", "{{class}}"), unit="percentunit", max=1),
    ]  # fmt: skip


def sight() -> list[Panel]:
    """What cannot be seen, and why."""
    return [
        row("Sight"),
        panel("timeseries", "Blindness now", "What cannot be seen, by kind; docs/runbook.md has each.",
              (f"sum by (kind) (hashwarden_blind_now{{{AT}}})", "{{kind}}"), stack="normal"),
        panel("state-timeline", "Sources", "1: the last reading that ended was one.",
              (f"min by (instance, source) (hashwarden_source_success{{{AT}}})", "{{instance}} {{source}}"),
              steps=[(None, BAD), (1, CALM)], options={"mergeValues": True, "showValue": "never"}),
        panel("timeseries", "Age of the newest sample", "The oldest GPU of each node.",
              (f"max by (instance) (hashwarden_sample_age_seconds{{{AT}}})", "{{instance}}"), unit="s",
              steps=[(None, CALM), (15, WARN), (60, BAD)]),
        panel("timeseries", "Failures and hangs of sources", "An hour.",
              (f"sum by (source) (increase(hashwarden_source_failures_total{{{AT}}}[1h]))", "{{source}} failed"),
              (f"sum by (source) (increase(hashwarden_source_hangs_total{{{AT}}}[1h]))", "{{source}} hung")),
        panel("timeseries", "Time of a reading", "Each source's last.",
              (f"max by (source) (hashwarden_source_duration_seconds{{{AT}}})", "{{source}}"), unit="s"),
        panel("timeseries", "What sources lost", "A minute, by event.",
              (f"sum by (source, event) (60 * rate(hashwarden_source_events_total{{{AT}}}[15m]))",
               "{{source}} {{event}}")),
    ]  # fmt: skip


def agent() -> list[Panel]:
    """The agent itself."""
    buckets = f"sum by (le) (rate(hashwarden_tick_duration_seconds_bucket{{{AT}}}[5m]))"
    return [
        row("The agent itself"),
        panel("timeseries", "Time of a tick", "Waiting for sources included.",
              (f"histogram_quantile(0.5, {buckets})", "half are below"),
              (f"histogram_quantile(0.99, {buckets})", "99 % are below"), unit="s"),
        panel("timeseries", "Ticks missed and clock jumps", "An hour.",
              (f"sum by (instance) (increase(hashwarden_ticks_missed_total{{{AT}}}[1h]))", "{{instance}} missed"),
              (f"sum by (instance) (increase(hashwarden_clock_jumps_total{{{AT}}}[1h]))", "{{instance}} jumped")),
        panel("timeseries", "Processor", "Share of a core.",
              (f"rate(hashwarden_process_cpu_seconds_total{{{AT}}}[5m])", "{{instance}}"), unit="percentunit"),
        panel("timeseries", "Memory", "Resident; above 200 MB it is worth a report.",
              (f"hashwarden_process_resident_memory_bytes{{{AT}}}", "{{instance}}"), unit="bytes",
              steps=[(None, CALM), (200e6, WARN)]),
        panel("timeseries", "Audit records", "An hour; errors and losses are told too.",
              (f"sum(increase(hashwarden_audit_records_total{{{AT}}}[1h]))", "written"),
              (f"sum(increase(hashwarden_audit_errors_total{{{AT}}}[1h]))", "errors"),
              (f"sum(increase(hashwarden_audit_lost_total{{{AT}}}[1h]))", "lost")),
        panel("timeseries", "Models and policies in force", "More than one of a kind: nodes differ.",
              (f"count(count by (sha256) (hashwarden_model_info{{{AT}}}))", "models"),
              (f"count(count by (sha256) (hashwarden_policy_info{{{AT}}}))", "policies")),
    ]  # fmt: skip


def service() -> list[Panel]:
    """The scoring service, where there is one."""
    buckets = f"sum by (le, route) (rate(hashwarden_serve_request_seconds_bucket{{{AT}}}[5m]))"
    return [
        row("The scoring service"),
        panel("timeseries", "Requests", "A second, by status.",
              (f"sum by (status) (rate(hashwarden_serve_requests_total{{{AT}}}[5m]))", "{{status}}"), unit="reqps"),
        panel("timeseries", "Time of a request", "99 of 100 are below, by route.",
              (f"histogram_quantile(0.99, {buckets})", "{{route}}"), unit="s"),
        panel("timeseries", "Refused", "A second: shed to protect the others, or not let in.",
              (f"sum by (reason) (rate(hashwarden_serve_shed_total{{{AT}}}[5m]))", "shed: {{reason}}"),
              (f"sum by (status) (rate(hashwarden_serve_access_refused_total{{{AT}}}[5m]))", "not let in: {{status}}"),
              unit="reqps"),
        panel("timeseries", "Samples scored", "A second, by model.",
              (f"sum by (model) (rate(hashwarden_serve_samples_scored_total{{{AT}}}[5m]))", "{{model}}")),
        panel("timeseries", "In flight and waiting", "Requests.",
              (f"sum(hashwarden_serve_in_flight{{{AT}}})", "in flight"),
              (f"sum(hashwarden_serve_waiting{{{AT}}})", "waiting")),
        panel("timeseries", "Connections", "Open now.", (f"sum(hashwarden_serve_connections{{{AT}}})", "open")),
    ]  # fmt: skip


def placed(panels: list[Panel]) -> list[Panel]:
    """With ids, and set from left to right, top to bottom."""
    left = top = tallest = 0
    found = []
    for number, one in enumerate(panels, 1):
        width, height = one["gridPos"]["w"], one["gridPos"]["h"]
        if left + width > WIDTH:
            left, top, tallest = 0, top + tallest, 0
        found.append({"id": number, **one, "gridPos": {"x": left, "y": top, "w": width, "h": height}})
        left, tallest = left + width, max(tallest, height)
    return found


def variables() -> list[Panel]:
    """Which Prometheus, and which nodes."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    every = {"selected": True, "text": "All", "value": "$__all"}
    query = 'label_values({__name__=~"hashwarden_build_info|hashwarden_serve_connections"}, instance)'
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1},
        {"name": "instance", "label": "Node", "type": "query", "datasource": source, "query": query,
         "definition": query, "refresh": 2, "sort": 1, "includeAll": True, "allValue": ".*", "multi": True,
         "current": every},
    ]  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The whole."""
    alerts = {"name": "hashwarden's alerts", "enable": True, "iconColor": BAD, "titleFormat": "{{alertname}}",
              "datasource": {"type": "prometheus", "uid": "${datasource}"}, "step": "60s",
              "expr": f'ALERTS{{alertname=~"Hashwarden.*", alertstate="firing", {AT}}}'}  # fmt: skip
    return {
        "uid": "hashwarden", "title": "hashwarden", "tags": ["gpu", "security"], "schemaVersion": 39, "editable": True,
        "description": "What the jobs on GPU nodes compute, how sure that is, and what could not be seen.",
        "time": {"from": "now-6h", "to": "now"}, "refresh": "30s", "timezone": "browser", "graphTooltip": 1,
        "templating": {"list": variables()}, "annotations": {"list": [alerts]},
        "panels": placed([*now(), *jobs(), *sight(), *agent(), *service()]),
    }  # fmt: skip


if __name__ == "__main__":
    OUT.write_text(json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
