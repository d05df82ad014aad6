"""What becomes of results and recordings of a GPU: kept with their provenance, asked, and told on one page."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, INDEX
from hashwarden.model.trace import Run, RunInfo
from hashwarden.model.trace_write import write_runs

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks" / "gpu"
MACHINE = {"gpu": "NVIDIA H100 80GB HBM3", "driver": "580.1", "date": "2026-12-01T10:00:00+00:00"}
INFO = RunInfo(origin="recorded", gpu="NVIDIA H100 80GB HBM3", driver="580.1", period_s=0.1, labelled_by="construction")


def loaded(path):
    spec = importlib.util.spec_from_file_location(f"gpu_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def keep():
    return loaded(FOLDER / "keep.py")


@pytest.fixture(scope="module")
def findings():
    return loaded(FOLDER / "findings.py")


def made(name, label, family, strategy="plain", workload="", samples=120, info=INFO, **shown):
    """A run of constants with a little noise, by channel."""
    rng, values = np.random.default_rng(len(name)), np.full((samples, len(CHANNELS)), np.nan, np.float32)
    for channel, value in shown.items():
        values[:, INDEX[channel]] = np.clip(value * (1 + 0.01 * rng.standard_normal(samples)), 0, None)
    info = info.model_copy(update={"parameters": {"workload": workload or name}})
    return Run(name, 0.1 * np.arange(samples), values, label, family, strategy, info)


def miner(name, active, integer, **more):
    return made(name, "mining", "ethash", sm_active_ratio=active, integer_active_ratio=integer * active, **more)


def written(folder, *runs, name="recordings-counters.parquet"):
    folder.mkdir(parents=True, exist_ok=True)
    write_runs(folder / name, list(runs))
    return folder


def test_the_committed_page_and_list_are_what_the_results_say(findings, keep):
    assert findings.PAGE.read_text() == findings.page(), "run benchmarks/gpu/findings.py"
    recorded = ROOT / "data" / "job" / "recorded"
    assert (recorded / "README.md").read_text() == keep.listing(recorded), "run benchmarks/gpu/keep.py"


def test_every_question_is_open_until_there_is_a_result(findings, tmp_path):
    page = findings.page(tmp_path)
    assert page.count("**Open.**") == len(findings.QUESTIONS) == page.count("\n## ")


def test_answers_and_what_they_leave_open_stand_under_their_question(findings, tmp_path):
    folder = tmp_path / "2026-12-01-h100"
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps({"machine": MACHINE}))
    (folder / "telemetry.json").write_text(json.dumps({
        "answers": ["privilege: GPM answers for nobody.", "cost: 1.2 ms."], "open": ["metrics: refused"], "results": {},
    }))  # fmt: skip
    (folder / "mix.json").write_text(
        json.dumps({"engines": {"cupy": {"megabytes_per_s": 1234.5, "share_of_copy": 0.25}}})
    )
    (folder / "job.json").write_text(json.dumps({"open": "no onnxruntime-gpu", "batches": []}))
    page = findings.page(tmp_path)
    sections = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    root = sections["Does GPM answer without root?"]
    assert "**NVIDIA H100 80GB HBM3, driver 580.1, 2026-12-01**" in root
    assert "- privilege: GPM answers for nobody." in root
    assert "1.2 ms" not in root
    assert "- cost: 1.2 ms." in sections["What does sampling cost at 1, 5 and 10 Hz?"]
    metrics = next(text for title, text in sections.items() if title.startswith("Which metrics of GPM"))
    assert "- *Open:* metrics: refused" in metrics
    assert "`cupy`: 1,234 MB/s, 25.0% of a copy." in sections["How fast is the kernel mix on a GPU?"]
    assert "- *Open:* no onnxruntime-gpu" in sections["Is scoring through the CUDA provider worth it?"]
    assert page.count("**Open.**") == len(findings.QUESTIONS) - 5


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "results"
    written(folder, miner("ethash-native", 0.9, 0.5), made("t", "training", "mlp", sm_active_ratio=0.8))
    pq.write_table(pa.table({"unix_s": [1.0, 2.0]}), folder / "raw-gpm-counters.parquet")
    (folder / "report.json").write_text(json.dumps({"machine": MACHINE}))
    (folder / "sanitized").mkdir()
    (folder / "sanitized" / "workloads.json").write_text("{}")
    return folder


def keeping(root, *words):
    command = [sys.executable, FOLDER / "keep.py", "--root", root, *words]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def test_what_a_run_wrote_is_kept_once_with_its_provenance(run_folder, tmp_path):
    root = tmp_path / "root"
    done = keeping(root, run_folder)
    assert done.returncode == 0, done.stderr
    place = root / "data" / "job" / "recorded"
    name = "2026-12-01-h100-80gb-hbm3"
    assert (place / name / "recordings-counters.parquet").read_bytes() == (
        run_folder / "recordings-counters.parquet"
    ).read_bytes()
    listed = (place / "README.md").read_text()
    assert f"| `{name}/recordings-counters.parquet` | NVIDIA H100 80GB HBM3, driver 580.1 | 2 | 240 | 2 |" in listed
    assert f"| `{name}/raw-gpm-counters.parquet` | as above | | 2 |" in listed
    assert (root / "benchmarks" / "results" / "gpu" / name / "report.json").exists()
    assert "No GPU was at hand" in (root / "docs" / "gpu-findings.md").read_text()
    assert keeping(root, run_folder).returncode == 0
    assert len(list((place / name).iterdir())) == 2, "the same file again is not kept twice"
    written(run_folder, miner("kawpow-native", 0.9, 0.5))
    assert keeping(root, run_folder).returncode == 0
    names = {path.name for path in (place / name).iterdir()}
    assert names == {"recordings-counters.parquet", "recordings-counters-2.parquet", "raw-gpm-counters.parquet"}


@pytest.mark.parametrize("broken", ["recordings-counters.parquet", "raw-gpm-counters.parquet", "report.json"])
def test_a_broken_file_is_named_and_nothing_of_its_folder_kept(run_folder, tmp_path, broken):
    whole = (run_folder / broken).read_bytes()
    (run_folder / broken).write_bytes(whole[: len(whole) // 2])
    done = keeping(tmp_path / "root", run_folder)
    assert done.returncode == 1
    assert str(run_folder) in done.stderr
    assert not (tmp_path / "root" / "data").exists()


def test_too_much_for_a_repository_is_refused(keep, tmp_path, monkeypatch):
    written(tmp_path, miner("a", 0.9, 0.5))
    monkeypatch.setattr(keep, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="release file"):
        keep.listing(tmp_path)


def asked(name, recorded, out):
    script = FOLDER / "questions" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, script, "--out", out, "--recorded", recorded], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((out / f"{name}.json").read_text())


def test_a_mix_that_stays_put_is_told_from_one_that_moves(tmp_path):
    runs = [
        miner("ethash-native", 0.9, 0.5),
        miner("ethash-native+duty-cycle@usual", 0.4, 0.5, strategy="duty-cycle", workload="ethash-native"),
        miner("kawpow-native", 0.9, 0.5),
        miner("kawpow-native+throttle@half", 0.5, 0.2, strategy="throttle", workload="kawpow-native"),
        miner("alone+throttle@half", 0.5, 0.2, strategy="throttle", workload="alone"),
    ]
    found = asked("duty", written(tmp_path / "r", *runs), tmp_path / "out")
    still, moving = found["results"]["pairs"]
    assert abs(still["moved"]["integer_active_ratio"]) < 0.01
    assert moving["moved"]["integer_active_ratio"] == pytest.approx(-0.3, abs=0.01)
    assert moving["active"] == pytest.approx([0.9, 0.5], abs=0.02)
    said = found["answers"]
    assert said[0].startswith("2 recordings of miners that idle on purpose")
    assert "0.299 at most (kawpow-native+throttle@half)" in said[1]
    assert "by less than 0.05 in 1 of 2" in said[1]


def test_what_separates_matrix_products_is_judged_by_runs(tmp_path):
    def product(number, label, family, imma, power):
        shown = {"sm_active_ratio": 0.9, "tensor_imma_active_ratio": imma, "power_watts": power}
        return made(f"{label}-{family}-{number}", label, family, **shown)

    runs = [product(n, "mining", "matmul-pow", 0.6 + 0.01 * n, 500 + n) for n in range(4)]
    runs += [product(n, "inference", "w8a8", 0.3 + 0.01 * n, 500 + n) for n in range(4)]
    runs += [product(n, "training", "mlp", 0.0, 500 - n) for n in range(2)]
    found = asked("separation", written(tmp_path / "r", *runs), tmp_path / "out")
    (only,) = found["results"]["comparisons"]
    assert (only["against"], only["runs"]) == ("w8a8", [4, 4]), "two of training are too few"
    by_name = {row["what"]: row["auroc"] for row in only["channels"]}
    assert by_name["tensor_imma_active_ratio"] == 1.0
    assert by_name["tensor_imma_active_ratio, while active"] == 1.0
    assert by_name["power_watts"] < 0.9, "the same numbers, but for the noise"
    assert "(counters): tensor_imma_active_ratio, while active 1.00 (0.683 against " in found["answers"][0]


@pytest.mark.parametrize("name", ["duty", "separation"])
def test_what_was_synthesised_or_nobody_stands_for_answers_nothing(tmp_path, name):
    runs = [
        miner("ethash-native", 0.9, 0.5),
        miner("ethash-native+throttle@half", 0.5, 0.5, strategy="throttle", workload="ethash-native"),
        *(made(f"m{n}", "mining", "matmul-pow", sm_active_ratio=0.9) for n in range(4)),
        *(made(f"w{n}", "inference", "w8a8", sm_active_ratio=0.9) for n in range(4)),
    ]
    synthesised = [replace(run, info=run.info.model_copy(update={"origin": "synthesised"})) for run in runs]
    unlabelled = [replace(run, info=run.info.model_copy(update={"labelled_by": ""})) for run in runs]
    written(tmp_path / "r" / "a", *synthesised)
    written(tmp_path / "r" / "b", *unlabelled)
    found = asked(name, tmp_path / "r", tmp_path / "out")
    assert found["answers"] == []
    assert found["open"]
