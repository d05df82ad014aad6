"""A real Ray cluster of two nodes on this machine: the same result as without, though a worker is killed."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashwarden.errors import DataError, ModelError, UsageError
from hashwarden.model.cluster import connected
from hashwarden.model.trace_write import write_runs
from hashwarden.training.job.calibrate import ScoredRun, calibrate
from hashwarden.training.job.dataset import Dataset, featurise
from hashwarden.training.job.fit import fit
from hashwarden.training.job.predict import predict
from hashwarden.training.job.recipe import Recipe
from hashwarden.training.job.storage import room

pytest.importorskip("ray", reason="needs the extra ray")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves its own processes' pipes open
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Ray's own modules
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:ray"),
]

RECIPE = Recipe(steps=60, batch=8, length=40, check=20, held_out=0.25, rate=1e-2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


def _kill_a_worker(work: Path, killed: list[int]) -> None:
    deadline = time.monotonic() + 120
    while not (work / "job.checkpoint").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    began = [json.loads(line) for line in (work / "workers.jsonl").read_text().splitlines()]
    killed.append(next(worker["pid"] for worker in began if worker["rank"] == 1))
    os.kill(killed[0], signal.SIGKILL)


def test_two_nodes_and_a_killed_worker_give_the_result_of_one_machine(cluster, folder, tmp_path):
    from hashwarden.training.job.cluster import WORKERS, fit_on_ray

    data, killed = Dataset(folder), []
    rows = np.arange(len(data))
    killer = threading.Thread(target=_kill_a_worker, args=(tmp_path, killed))
    killer.start()
    with connected(cluster) as cpus:
        assert cpus == 2
        found = fit_on_ray(data, rows, RECIPE, tmp_path, workers=2, every=2)
    killer.join()
    began = [json.loads(line) for line in (tmp_path / WORKERS).read_text().splitlines()]
    assert len(began) == 4, "two workers, and two more after the kill"
    assert killed[0] in {worker["pid"] for worker in began[:2]}

    alone = fit(data, rows, RECIPE)
    assert found.held.tolist() == alone.held.tolist()
    assert [step for step, _, _ in found.history] == [20, 40, 60]
    np.testing.assert_allclose(found.history, alone.history, rtol=1e-3)
    for one, other in zip(predict(found.network, data, rows), predict(alone.network, data, rows), strict=True):
        np.testing.assert_allclose(np.exp(one.classes), np.exp(other.classes), atol=2e-3)


def test_ray_data_judges_as_one_machine_does(cluster, some_runs, make, tmp_path):
    from hashwarden.training.job.cluster import featurise_on_ray

    sources = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, source in enumerate(sources):
        write_runs(source, some_runs[number::3])
    featurise(sources, tmp_path / "alone")
    with connected(cluster):
        featurise_on_ray(sources, tmp_path / "ray")
        alone, found = Dataset(tmp_path / "alone"), Dataset(tmp_path / "ray")
        assert found.digests == alone.digests
        write_runs(sources[1], [make("mining", 0, labelled_by="model")])
        with pytest.raises(DataError, match=r"1\.parquet.*no label"):
            featurise_on_ray(sources, tmp_path / "refused")


def test_what_cannot_be_shared_or_reached_is_told(folder, tmp_path, cluster):
    from hashwarden.training.job.cluster import fit_on_ray

    data = Dataset(folder)
    with pytest.raises(UsageError, match="3 workers for batches of 8"):
        fit_on_ray(data, np.arange(len(data)), RECIPE, tmp_path, workers=3)


def _honest(number: int) -> ScoredRun:
    return ScoredRun(f"run {number}", np.arange(0.0, 300.0), np.full(300, 0.1), "training")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    from hashwarden.training.job.export import export
    from hashwarden.training.job.trials import random_runs
    from hashwarden.training.job.untrained import untrained, untrained_record

    evidence = calibrate({"nvml": [_honest(n) for n in range(3)]}, 200.0).model_dump(mode="json")
    network = untrained()
    record = untrained_record(network).model_copy(update={"evidence": evidence})
    return export(network, record, random_runs(8, 24, 0), tmp_path_factory.mktemp("model")).step


@pytest.fixture
def traces(some_runs, tmp_path) -> list[Path]:
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, path in enumerate(paths):
        write_runs(path, some_runs[number::12])
    return paths


def test_an_archive_is_scored_on_the_cluster_as_alone(cluster, some_runs, model, traces, tmp_path):
    from hashwarden.serve.archive import score_file
    from hashwarden.serve.archive_ray import score_on_ray
    from hashwarden.serve.job_scorer import JobScorer

    assert score_on_ray(traces, tmp_path / "scores", model, cluster) == sum(
        len(run) for number in range(3) for run in some_runs[number::12]
    )
    alone = pa.Table.from_batches([batch for trace in traces for batch in score_file(trace, JobScorer(model))])
    found = pa.concat_tables(pq.read_table(path) for path in sorted((tmp_path / "scores").iterdir()))
    for name in ("run", "time_s", "p_mining", "state", "reason"):
        assert found[name].to_pylist() == alone[name].to_pylist()
    with pytest.raises(UsageError, match="holds something"):
        score_on_ray(traces, tmp_path / "scores", model, cluster)


@pytest.mark.parametrize("left", [0, 40_000])
def test_scores_that_do_not_fit_are_the_error_of_one_process(cluster, model, traces, disk, left):
    from hashwarden.serve.archive import score_file, write_scores
    from hashwarden.serve.archive_ray import score_on_ray
    from hashwarden.serve.job_scorer import JobScorer

    output = disk.place / "scores"
    disk.fill(left)
    with pytest.raises(UsageError, match="No space left on device") as alone:
        write_scores(output, (batch for trace in traces for batch in score_file(trace, JobScorer(model))), {})
    with pytest.raises(UsageError) as caught:
        score_on_ray(traces, output, model, cluster)
    assert str(caught.value) == str(alone.value)
    assert disk.names() == []
    disk.free()
    assert score_on_ray(traces, output, model, cluster)
    assert disk.names() == [f"scores/part-00000{number}.parquet" for number in range(3)]


def test_what_a_worker_cannot_open_is_the_error_of_one_process(cluster, model, traces, tmp_path):
    from hashwarden.serve.archive_ray import score_on_ray

    with pytest.raises(ModelError, match="cannot be read"):
        score_on_ray(traces, tmp_path / "scores", tmp_path / "job.onnx", cluster)
    traces[1].write_bytes(b"no trace")
    with pytest.raises(DataError, match=r"1\.parquet"):
        score_on_ray(traces, tmp_path / "scores", model, cluster)
    assert list((tmp_path / "scores").iterdir()) == []


def test_a_disk_that_is_full_for_a_worker_of_training_is_told(cluster, folder, traces, disk, monkeypatch):
    from hashwarden.training.job import cluster as training

    monkeypatch.setattr(training, "_RESTARTS", 0)
    data = Dataset(folder)
    disk.fill()
    with pytest.raises(UsageError, match="No space left on device"), room(disk.place, remedy=""):
        training.featurise_on_ray(traces, disk.place / "data")
    assert disk.names() == []
    disk.free()
    disk.fill(100_000)
    with pytest.raises(UsageError, match="No space left on device"), room(disk.place, remedy=""):
        training.fit_on_ray(data, np.arange(len(data)), RECIPE, disk.place / "work", workers=2, every=2)
    assert disk.names() == [f"work/{training.WORKERS}"]
