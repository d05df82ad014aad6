"""The whole path with the shipped model: bytes in, verdicts out, in a process of its own."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hashwarden.kernels.workloads.catalogue import find, parse_variant
from hashwarden.kernels.workloads.compiler import compile_cubin

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "data" / "kernel_mix" / "kernel_mix_repositories.parquet"
PROGRAM = [sys.executable, "-c", "from hashwarden.cli import main; main()"]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Run `hashwarden scan` with an empty cache of its own."""
    cache = tmp_path_factory.mktemp("cache")
    cache.chmod(0o700)
    environment = os.environ | {"HASHWARDEN_CACHE": str(cache), "COLUMNS": "120"}

    def run(*arguments):
        command = [*PROGRAM, "scan", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)

    return run


@pytest.fixture(scope="module")
def cubin(tmp_path_factory) -> Path:
    """An Ethash miner, compiled for sm_90."""
    path = tmp_path_factory.mktemp("cubin") / "miner.cubin"
    path.write_bytes(compile_cubin(find("ethash"), parse_variant(""), "sm_90"))
    return path


def test_every_row_of_a_mix_table_is_judged_once_and_in_order(scan):
    document = json.loads(scan("--format", "json", TABLE).stdout)
    rows = pq.read_table(TABLE, columns=["kernel", "arch"]).to_pylist()
    records = document["kernels"]
    assert [record["index"] for record in records] == list(range(len(rows)))
    assert [(record["kernel"], record["arch"]) for record in records] == [(r["kernel"], r["arch"]) for r in rows]
    assert all(0 <= record["p_mining"] <= 1 and 0 <= record["p_hash"] <= 1 for record in records)


def test_a_miner_is_found_in_a_package_and_said_why(scan, cubin, tmp_path):
    package = tmp_path / "a.whl"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(cubin, "lib/kernels.cubin")
        archive.writestr("README.md", "nothing here")
    done = scan("--explain", package)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "✗ hash: mining-like" in done.stdout
    assert "lib/kernels.cubin" in done.stdout


def test_the_second_time_it_comes_from_the_cache_and_says_the_same(scan, cubin):
    first, second = (json.loads(scan("-f", "json", cubin).stdout) for _ in range(2))
    assert [document["targets"][0]["cached"] for document in (first, second)] == [False, True]
    assert second["kernels"] == first["kernels"]


def test_bad_objects_have_their_own_codes_and_the_rest_goes_on(scan, cubin, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text.txt").write_text("no code\n" * 100)
    (tmp_path / "cut.cubin").write_bytes(cubin.read_bytes()[:1500])
    expected = {"missing": 11, "empty": 12, "cut.cubin": 13, "text.txt": 14}
    for name, code in expected.items():
        done = scan(tmp_path / name)
        assert done.returncode == code, (name, done.stdout, done.stderr)
        assert len(done.stderr.splitlines()) == 1
        assert name in done.stderr
    done = scan(*(tmp_path / name for name in expected), cubin, "--fail-on", "never")
    assert done.returncode == 10
    assert len(done.stderr.splitlines()) == len(expected)
    assert "miner.cubin" in done.stdout


def test_the_registry_hook_refuses_the_miner(cubin, tmp_path):
    stand_in = tmp_path / "python" / "bin"
    stand_in.mkdir(parents=True)
    program = stand_in / "hashwarden"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{PROGRAM[2]}" "$@"\n')
    program.chmod(0o755)
    code = f"import runpy, sys; sys.executable = {str(stand_in / 'python')!r}; sys.argv = ['hook', {str(cubin)!r}]\n"
    code += f"runpy.run_path({str(ROOT / 'examples' / 'registry_hook.py')!r}, run_name='__main__')"
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("refuse: mining-like")
