"""docs/faults.md names tests: they are there, and the page has every fault that the agent is to survive."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "faults.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
FAULTS = ("NVML call errors", "GPU lost", "driver reload", "exporter down, hanging and lying", "kubelet's socket",
          "Slurm's controller down for minutes", "clock jumps", "disk full", "log directory read-only",
          "kill -9 at any point", "10,000 short processes a minute", "hostile process names and binaries",
          "a job that watches for the agent")  # fmt: skip


def functions(file: str) -> dict[str, ast.FunctionDef]:
    tree = ast.parse((TESTS / file).read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_is_named_exists(file):
    assert (TESTS / file).is_file()
    assert {name for named, name in NAMED if named == file} - functions(file).keys() == set()


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_a_part_with_tests(fault):
    parts = [part for part in PAGE.split("\n## ")[1:] if fault.lower() in part.splitlines()[0].lower()]
    assert parts
    assert all(re.search(r"\.py::test_", part) for part in parts)


@pytest.mark.parametrize(
    ("file", "constant", "said"),
    [
        ("serve/agent/test_agent_process.py", r"^KILLS = (\d+)", "{} kills"),
        ("serve/audit/test_survival.py", r"^KILLS = (\d+)", "{} kills"),
        ("serve/schedulers/test_queue_killed.py", r"kills = random\.Random\(7\), (\d+)", "{} kills"),
        ("serve/sources/test_nvml_faults.py", r"== (\d+)\n    assert len\(\{\*\*LOST", "{} errors"),
        ("serve/sources/test_nvml_faults.py", r"GONE\}\) \* 2 == (\d+)", "{} losses"),
        ("serve/policy/test_properties.py", r"^MANY = settings\(max_examples=(\d+)", "{} sequences"),
        ("serve/jobs/test_table_processes.py", r"assert made == (\d+)", "{} processes"),
        ("serve/sources/test_duty.py", r"looks=(\d+)", "{} looks"),
    ],
)
def test_the_counts_are_those_of_the_tests(file, constant, said):
    counts = re.findall(constant, (TESTS / file).read_text(), re.MULTILINE)
    assert len(counts) == 1
    lines = [line for line in PAGE.splitlines() if f"`{file}::" in line]
    assert any(said.format(counts[0]) in line for line in lines)
