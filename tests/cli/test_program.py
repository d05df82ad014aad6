"""The program as a process: version, help, endings."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from hashwarden.errors import HashwardenError
from hashwarden.kernels.sass.limits import FLAGS, Limits
from hashwarden.version import __version__

PROGRAM = [sys.executable, "-c", "from hashwarden.cli import main; main()"]


def _run(*arguments: str, **more) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, env=environment, timeout=60, check=False, **more
    )


def test_version():
    assert _run("--version").stdout == f"hashwarden {__version__}\n"


def test_it_runs_as_a_module_too():
    done = subprocess.run(
        [sys.executable, "-m", "hashwarden", "scan"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.startswith("hashwarden: neither a TARGET")) == (2, True)


@pytest.mark.parametrize(
    "command",
    [[], ["scan"], ["train"], ["train", "kernel"], ["evaluate", "kernel"], ["workloads"], ["workloads", "run"]],
)
def test_help_exists(command):
    done = _run(*command, "--help")
    assert done.returncode == 0
    assert "Usage: hashwarden" in done.stdout


def test_every_flag_of_scan_has_an_example_in_the_help():
    text = _run("scan", "--help").stdout
    flags = [line.split()[1] for line in text.splitlines() if line.startswith("│ --")]
    assert len(flags) > 15
    assert text.count("Example:") == len(flags)  # the targets have one, --help has none


def _all(kind: type[HashwardenError]) -> list[type[HashwardenError]]:
    return [kind, *(found for sub in kind.__subclasses__() for found in _all(sub))]


def test_the_help_names_every_exit_code():
    words = _run("scan", "--help").stdout.replace("\n", " ").replace(";", " ").replace(",", " ").split()
    missing = [kind.__name__ for kind in _all(HashwardenError) if str(kind.exit_code) not in words]
    assert missing == []


def test_the_page_on_exit_codes_has_a_row_for_each():
    rows = (Path(__file__).parents[2] / "docs" / "exit-codes.md").read_text().splitlines()
    told = {row.split()[1] for row in rows if row.startswith("| ") and row.split()[1].isdigit()}
    # 1 is the base class's code and that of a finding.
    assert {str(kind.exit_code) for kind in _all(HashwardenError)} <= told
    assert {"0", "70", "130", "141"} <= told


def test_every_limit_has_its_flag():
    words = _run("scan", "--help").stdout.split()
    assert set(FLAGS) == {field.name for field in fields(Limits)}
    assert [flag for flag in FLAGS.values() if flag not in words] == []


def test_help_of_the_program_imports_nothing_heavy():
    code = "import sys; sys.argv = ['hashwarden', '--version']\n"
    code += "from hashwarden.cli import main\ntry:\n main()\nexcept SystemExit:\n pass\n"
    code += "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "numba", "onnxruntime", "pyarrow", "torch", "cupy", "zstandard", "lz4"}
    found = {name for name in heavy if f"'{name}'" in done.stdout}
    assert found == set()


def test_a_reader_that_goes_away_is_silent_and_no_finding():
    read, write = os.pipe()
    os.close(read)
    writing = "import hashwarden.cli.run_scan as r, sys\n"
    writing += "def run(request):\n with r._output(request) as out: out.write('x' * 100_000)\n return 1\n"
    writing += "r.run = run; sys.argv = ['hashwarden', 'scan', 'x']\nfrom hashwarden.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", writing], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_extra_that_is_not_installed_is_named(tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')\n")
    code = "from hashwarden.cli.extras import needs_extra\nfrom hashwarden.errors import MissingExtraError\n"
    code += "try:\n with needs_extra('train'):\n  import torch\nexcept MissingExtraError as error: print(error)"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "pip install 'hashwarden[train]'" in done.stdout


def test_control_c_ends_with_130_and_says_nothing():
    # Where the tests themselves run in the background, the shell has them ignore the signal, and children inherit that.
    waiting = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    waiting += "import hashwarden.cli.run_scan as r, time\n"
    waiting += "r.run = lambda request: (print('ready', flush=True), time.sleep(60))\n"
    waiting += "import sys; sys.argv = ['hashwarden', 'scan', 'x']\nfrom hashwarden.cli import main\nmain()"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", waiting], **pipes) as child:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (130, "")


@pytest.mark.parametrize("words", [["agent", "--list"], ["policy", "schema"], ["--help"], ["workloads", "list"]])
def test_an_output_that_takes_nothing_is_one_line(words):
    code = "from hashwarden.cli import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "hashwarden: the output cannot be written (No space left on device)\n"
