"""What pages for operators say of commands, flags, settings, metrics and states is held against the program."""

import re
from pathlib import Path

import pytest
import typer.main

from hashwarden.cli.app import app
from hashwarden.serve.agent.config import Config
from hashwarden.serve.agent.metrics import _HELP, GpuView, Snapshot, exposition
from hashwarden.serve.policy.alerts import AlertKind
from hashwarden.serve.policy.observation import Blindness
from hashwarden.serve.sources.health import Health

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "docs/operations.md", "docs/runbook.md", "docs/guard.md",
         "docs/faults.md", "docs/exit-codes.md")  # fmt: skip
EVERY = sorted({*PAGES, "CHANGELOG.md"} | {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")
                                           if "_outside" not in page.parts and page.name != "commands.md"})  # fmt: skip
PROGRAM = typer.main.get_command(app)
SECTIONS = sorted(name for name, field in Config.model_fields.items() if hasattr(field.annotation, "model_fields"))


def read(page: str) -> str:
    return (ROOT / page).read_text()


def commands(text: str) -> list[list[str]]:
    """Words after ``hashwarden`` in blocks of code and between backticks."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL)
    blocks += re.findall(r"(?:^|\n)((?: {4}.*\n)+)", text)
    blocks += re.findall(r"`((?:[^`\n])*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        for part in re.split(r"&&|;|\|", line.partition(" # ")[0]):
            match = re.match(r"\s*(?:\$ )?(?:\S*/)?hashwarden ([a-z][\w-]*(?: .*)?)$", part)
            if match:
                found.append(match[1].split())
    return found


def unknown(words: list[str]) -> list[str]:
    """What of a command line the program does not know."""
    command = PROGRAM
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if hasattr(command, "commands") and not (command.invoke_without_command and words and words[0].startswith("--")):
        alternatives = words[0].split("\\|")[0].split("|") if words else []
        return [word for word in alternatives if word not in command.commands]
    flags = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    given = words[: words.index("--")] if "--" in words else words
    return [word for word in given if word.startswith("--") and word.partition("=")[0] not in {*flags, "--help"}]


@pytest.mark.parametrize("page", EVERY)
def test_commands_and_their_flags_are_the_program_s(page):
    wrong = {" ".join(words): found for words in commands(read(page)) if (found := unknown(list(words)))}
    assert wrong == {}


def test_commands_are_found_and_wrong_ones_told():
    text = "```sh\n$ hashwarden agent --chek  # --comment\nhashwarden polcy x\n```\n\n    hashwarden guard -- l --a\n"
    found = commands(text)
    assert [words[0] for words in found] == ["agent", "polcy", "guard"]
    assert [unknown(words) for words in found] == [["--chek"], ["polcy"], []]
    assert len(commands(read("docs/operations.md"))) >= 30


@pytest.mark.parametrize("page", EVERY)
def test_what_is_linked_is_there(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", read(page))
    local = [target for target in targets if not target.startswith(("http", "#"))]
    missing = [target for target in local if not (ROOT / page).parent.joinpath(target.partition("#")[0]).exists()]
    assert missing == []


@pytest.mark.parametrize("page", EVERY)
def test_headings_that_are_linked_are_there(page):
    heads = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    assert set(re.findall(r"\]\(#([^)]+)\)", read(page))) - anchors == set()


@pytest.mark.parametrize("page", PAGES)
def test_settings_are_the_configuration_s(page):
    found = set(re.findall(rf"`({'|'.join(SECTIONS)})\.(\w+)", read(page)))
    files = {"toml", "md", "json", "py", "sock", "parquet", "pem", "pub"}
    unknown_ones = [
        f"{section}.{key}"
        for section, key in found
        if key not in files and key not in Config.model_fields[section].annotation.model_fields
    ]
    assert unknown_ones == []


def test_the_table_of_settings_has_the_defaults():
    for key, default in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", read("docs/operations.md"), re.MULTILINE):
        assert Config.model_fields[key].default == float(default)


def metrics() -> dict[str, set[str]]:
    """All names that can be exposed, with their labels."""
    source = "".join(path.read_text() for path in (ROOT / "serve" / "agent").glob("*.py"))
    written = re.findall(r'totals\["(\w+)", \((.*?)\)\]', source)
    counters = {name: re.findall(r'\("(\w+)",', labels) for name, labels in written}
    one = Snapshot(
        model=dict.fromkeys(("name", "version", "schema", "sha256"), "x"), policy={"sha256": "x", "mode": "dry-run"},
        sources={"nvml": Health()}, gpus={"GPU-1": GpuView(0.0, 0.0, {"mining": 0.0})}, states={"clear": 1},
        cases={"suspect": 1}, blind={"stale": 1}, values=dict.fromkeys(_HELP.keys() - counters.keys(), 0.0),
    )  # fmt: skip
    for name, labels in counters.items():
        one.totals[name, tuple((label, "x") for label in labels)] = 1
    found: dict[str, set[str]] = {}
    text = exposition(one).decode()
    for name in re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE):
        lines = re.findall(rf"^{name}(?:_bucket)?\{{(.*?)\}}", text, re.MULTILINE)
        found[name] = set(re.findall(r'(\w+)="', " ".join(lines)))
    return found


def test_every_metric_is_on_the_page_with_its_labels_and_no_other():
    rows = re.findall(r"^\| `(hashwarden_\w+\*?)` \| (.*?) \|", read("docs/operations.md"), re.MULTILINE)
    said = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    exposed = {name: labels for name, labels in metrics().items() if not name.startswith("hashwarden_process_")}
    assert said.pop("hashwarden_process_*") == set()
    assert said == exposed


@pytest.mark.parametrize("page", PAGES)
def test_metrics_that_are_named_exist(page):
    exposed = set(metrics())
    named = set(re.findall(r"\b(hashwarden_[a-z_]+)\b", re.sub(r"/\S*", "", read(page))))
    histogram = {f"hashwarden_tick_duration_seconds_{part}" for part in ("bucket", "count", "sum")}
    assert {name for name in named - exposed - histogram if not name.endswith("_")} == set()


def test_every_alert_of_the_page_is_in_the_runbook_and_the_other_way_round():
    listed = re.findall(r"^\| \**(Hashwarden\w+)\** \|", read("docs/operations.md"), re.MULTILINE)
    explained = re.findall(r"^### (Hashwarden\w+)$", read("docs/runbook.md"), re.MULTILINE)
    assert len(listed) == len(set(listed)) > 10
    assert set(listed) == set(explained)


def test_every_blindness_is_in_the_runbook_and_no_other():
    part = read("docs/runbook.md").split("\n## Blindness\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^### `([\w-]+)`$", part, re.MULTILINE)) == {kind.value for kind in Blindness}


def test_every_kind_of_alert_is_named():
    [row] = re.findall(r"^\| `hashwarden_alerts_total` .*$", read("docs/operations.md"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) - {"hashwarden_alerts_total", "kind"} == {kind.value for kind in AlertKind}


def test_every_start_up_step_is_in_the_runbook_and_no_other():
    source = "".join((ROOT / "serve" / "agent" / name).read_text() for name in ("build.py", "service.py"))
    steps = {step.partition("{")[0].strip() for step in re.findall(r'steps\.run\(\s*f?"(.*?)"', source)}
    part = read("docs/runbook.md").split("\n## Start-up steps\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([\w -]+)` \|", part, re.MULTILINE)) == steps
    assert len(steps) >= 12
