"""The examples that call the service: against a real ``hashwarden serve``, in its own process, with tokens."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from hashwarden.model.channels import CHANNELS
from hashwarden.model.job.taxonomy import MINING
from hashwarden.model.trace_read import read_runs
from hashwarden.serve.job_scorer import JobScorer

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
PROGRAM = [sys.executable, "-c", "from hashwarden.cli import main; main()"]


def new_token(tokens, role="read"):
    command = [*PROGRAM, "serve", "token", "new", role, "--role", role, "--tokens", str(tokens)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Service(NamedTuple):
    """Where a service answers, and a token that it knows."""

    socket: Path
    token: str
    http: str
    grpc: str


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    token, where = new_token(folder / "tokens.json"), folder / "s"
    places = ["--socket", str(where), "--listen", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
    flags = ["--no-jobs", "--log-format", "text", "--tokens", str(folder / "tokens.json")]
    command = [*PROGRAM, "serve", *flags, *places]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until = time.monotonic() + 60
            while "stop: Ctrl-C" not in (said := (folder / "log").read_text()):
                assert process.poll() is None, said
                assert time.monotonic() < until, said
                time.sleep(0.05)
            found = dict(re.findall(r"answers on (http|grpc)://(\S+)", said))
            yield Service(where, token, found["http"], found["grpc"])
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    built = tmp_path_factory.mktemp("c") / "score_socket"
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    subprocess.run(["cc", *flags, "-o", str(built), str(EXAMPLES / "score_socket.c")], check=True)
    return built


def score(program, where, lines, token=None):
    environment = {key: value for key, value in os.environ.items() if key != "HASHWARDEN_TOKEN"}
    environment |= {} if token is None else {"HASHWARDEN_TOKEN": token}
    return subprocess.run([str(program), str(where)], input=lines, env=environment, capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip


def written(values):
    return "".join(",".join("" if np.isnan(each) else repr(float(each)) for each in row) + "\n" for row in values)


def test_the_c_program_scores_what_the_scorer_scores(program, service):
    where, token = service.socket, service.token
    values = np.concatenate([run.values[40:60] for run in read_runs(ROOT / "data" / "job" / "demo.parquet")])
    scorer = JobScorer()
    wanted = scorer.step(values, ~np.isnan(values), np.zeros(len(values), np.float32), scorer.initial(len(values)))
    for own in (None, token):  # as the user whom the kernel names, and by the token
        done = score(program, where, written(values), own)
        assert (done.returncode, done.stderr) == (0, "")
        np.testing.assert_allclose([float(line) for line in done.stdout.split()], wanted.probabilities[:, MINING],
                                   atol=2e-6)  # fmt: skip


ZEROS = ",".join(["0"] * len(CHANNELS)) + "\n"


@pytest.mark.parametrize(
    ("lines", "token", "words"),
    [
        ("1,2\n", None, "each of the 76 channels"),
        (ZEROS.strip() + ",0\n", None, "each of the 76 channels"),
        (ZEROS.replace("0", "x", 1), None, "each of the 76 channels"),
        (ZEROS * 1025, None, "more samples"),
        (ZEROS.replace("0", "-1", 1), None, f"refused: .*{CHANNELS[0].name}"),
        (ZEROS.replace("0", "inf", 1), None, f"refused: .*{CHANNELS[0].name}"),
        (ZEROS, "wrong", "refused: .*token"),
        (ZEROS * 1024, "wrong", "refused: .*token"),  # refused before all of it is sent
        (ZEROS, "two words", "not a token"),
        (ZEROS, "x" * 5000, "too long"),
    ],
    ids=lambda value: None if value is None or len(value) < 40 else f"{value[:8]!r} and so on, {len(value)}",
)
def test_the_c_program_says_what_is_wrong(program, service, lines, token, words):
    done = score(program, service.socket, lines, token)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(words, done.stderr)


def test_the_c_program_without_a_service_and_without_samples(program, service, tmp_path):
    assert "No such file" in score(program, tmp_path / "none", ZEROS).stderr
    assert score(program, "x" * 200, ZEROS).returncode == 1
    assert (score(program, service.socket, "").returncode, score(program, service.socket, "").stdout) == (0, "")


def blocks(language, words):
    """Blocks of code of the page on serving that hold these words."""
    page = (ROOT / "docs" / "serving.md").read_text()
    return [block for block in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL) if words in block]


def test_curl_as_the_page_shows_it(service):
    for block, key in zip(blocks("sh", "curl"), ["inputs", "outputs"], strict=True):
        script = block.replace("/run/hashwarden/serve.sock", str(service.socket))
        done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)[key]


@pytest.mark.parametrize(
    ("words", "shown"),
    [("tritonclient.http", "(100, 6)"), ("tritonclient.grpc", "[0.00"), ("import Scorer", "confirmed mining")],
)
def test_python_as_the_page_shows_it(service, words, shown):
    (block,) = blocks("python", words)
    script = block.replace("127.0.0.1:8000", service.http).replace("127.0.0.1:8001", service.grpc)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT,
                          env=os.environ | {"HASHWARDEN_TOKEN": service.token})  # fmt: skip
    assert shown in done.stdout


def test_ray_as_the_page_shows_it_is_the_example():
    (block,) = blocks("python", "serve.ingress")
    example = (EXAMPLES / "ray_serve.py").read_text()
    assert all(line.strip() in example for line in block.splitlines())


def test_the_batch_example():
    command = [sys.executable, str(EXAMPLES / "score_batch.py"), str(ROOT / "data" / "job" / "demo.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    lines = dict(line.split(": ") for line in done.stdout.splitlines())
    assert len(lines) == 6
    assert all(words.startswith("confirmed") == ("mining" in name) for name, words in lines.items())
