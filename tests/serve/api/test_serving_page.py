"""What docs/serving-access.md says of settings, statuses, metrics, roles and commands is held against the program."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from hashwarden.cli.app import app
from hashwarden.serve.api.answers import EVERYWHERE
from hashwarden.serve.api.config import ServeConfig
from hashwarden.serve.api.meters import Meters
from hashwarden.serve.api.roles import Role

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "serving-access.md").read_text()
SOURCES = "".join(path.read_text() for path in (ROOT / "serve" / "api").glob("*.py"))
TABLED = ("http", "tls", "access", "limits")


def test_every_setting_is_on_the_page_with_its_default_and_no_other():
    rows = dict(re.findall(r"^\| `(\w+\.\w+)` \|([^|]*)\|", PAGE, re.MULTILINE))
    fields = {f"{section}.{key}": field.default for section in TABLED
              for key, field in ServeConfig.model_fields[section].annotation.model_fields.items()}  # fmt: skip
    shown = {key: "" if default in (None, "", (), {}) else str(default).lower() for key, default in fields.items()}
    assert {key: words.strip("` ") for key, words in rows.items()} == shown
    for section, keys in re.findall(r"`(desk|log)` \((.*?)\)", PAGE):
        assert keys.split(", ") == list(ServeConfig.model_fields[section].annotation.model_fields)
    named = set(re.findall(rf"`((?:{'|'.join(TABLED)})\.\w+)", PAGE))
    assert named <= fields.keys()


def test_every_metric_is_on_the_page_with_its_labels():
    meters = Meters()
    meters.follow(dict)
    exposed = set(re.findall(r"^# TYPE (\w+) ", meters.exposition().decode(), re.MULTILINE))
    rows = re.findall(r"^\| `(hashwarden_serve_\w+)` \| (.*?)\|", PAGE, re.MULTILINE)
    assert {name for name, _ in rows} == exposed
    for each in vars(meters).values():
        if hasattr(each, "_labelnames"):
            name = each.describe()[0]
            said = next(labels for row, labels in rows if row in (name.name, f"{name.name}_total"))
            assert tuple(re.findall(r"`(\w+)`", said)) == each._labelnames


def test_every_reason_is_on_the_page():
    [shed] = re.findall(r"^\| `hashwarden_serve_shed_total` .*$", PAGE, re.MULTILINE)
    [cut] = re.findall(r"^\| `hashwarden_serve_connections_cut_total` .*$", PAGE, re.MULTILINE)
    reasons = set(re.findall(r'(?:_cut\(|_cut, |_end\(\d+, )"(\w+)"', SOURCES))
    reasons |= set(re.findall(r'^    (?:REQUEST|LINES|BODY) = "(\w+)"', SOURCES, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", cut)) - {"hashwarden_serve_connections_cut_total", "reason"} == reasons
    assert set(re.findall(r"`(\w+)`", shed)) - {"hashwarden_serve_shed_total", "reason"} == {
        "busy", "rate", "size", "memory"}  # fmt: skip
    for reason in ("busy", "rate", "size", "memory"):
        assert f'"{reason}"' in SOURCES


def test_roles_and_statuses_are_the_program_s():
    assert re.findall(r"^\| `(\w+)` \| ", PAGE.split("## Who may do what")[1].split("\n## ")[0], re.MULTILINE) == [
        *Role
    ]
    statuses = {int(status) for status in re.findall(r"^\| (\d{3}) \| ", PAGE, re.MULTILINE)}
    assert {int(status) for status in EVERYWHERE} < statuses


def test_commands_and_flags_of_the_page_are_the_program_s():
    serve = typer.main.get_command(app).commands["serve"]
    token = serve.commands["token"]
    known = {name for command in (serve, *token.commands.values()) for each in command.params for name in each.opts}
    ours = "\n".join(line for line in PAGE.splitlines() if not line.startswith(("curl", "| --")))
    known |= {name for each in serve.params for name in each.secondary_opts}
    assert set(re.findall(r"(?<![\w-])(--[a-z-]+)", ours)) <= known
    assert set(re.findall(r"hashwarden serve token (\w+)", PAGE)) == set(token.commands)


def test_what_the_page_links_is_there():
    local = [target for target in re.findall(r"\]\(([^)\s]+)\)", PAGE) if not target.startswith(("http", "#"))]
    assert [target for target in local if not (ROOT / "docs" / target).exists()] == []
