"""The real tritonclient over HTTP: its pages, its tensors, and the numbers that the scorers give themselves."""

import threading
import zlib

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from hashwarden.model.channels import CHANNELS
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.scorer import KernelScorer

C = len(CHANNELS)


@pytest.fixture(scope="module")
def client(protocol_port):
    with triton.InferenceServerClient(f"127.0.0.1:{protocol_port}") as made:
        yield made


@pytest.fixture(scope="module")
def scorer():
    return JobScorer()


def tensor(name, values, binary=True, kind="FP32"):
    made = triton.InferInput(name, list(values.shape), kind)
    return made.set_data_from_numpy(values, binary_data=binary)


def samples(rows, seed=0):
    made = np.random.default_rng(seed)
    values = made.random((rows, C), np.float32)
    values[made.random((rows, C)) < 0.3] = np.nan
    return values


def step(rows, binary=True):
    return [tensor("sample", samples(rows), binary), tensor("dt", np.zeros((rows, 1), np.float32), binary)]


def direct(scorer, rows):
    values = samples(rows)
    return scorer.step(values, ~np.isnan(values), np.zeros(rows, np.float32), scorer.initial(rows))


def test_health_metadata_and_index(client, scorer):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("job")
    assert client.is_model_ready("kernel", "0.1.0")
    assert client.get_server_metadata()["name"] == "hashwarden"
    index = {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}
    assert index == {"job": "READY", "kernel": "READY"}
    told = client.get_model_metadata("job")
    assert told["versions"] == [scorer.identity["version"], scorer.identity["sha256"][:12]]
    assert told["parameters"]["sha256"] == scorer.identity["sha256"]
    assert [(port["name"], port["shape"]) for port in told["inputs"]] == [
        ("sample", [-1, C]), ("mask", [-1, C]), ("dt", [-1, 1]), ("state", [-1, scorer.metadata.state_size]),
    ]  # fmt: skip


def test_a_client_can_order_its_columns(client):
    told = client.get_model_metadata("job")
    columns = {port["name"]: port["parameters"]["columns"] for port in [*told["inputs"], *told["outputs"]]}
    assert columns["sample"] == columns["mask"] == [channel.name for channel in CHANNELS]
    assert columns["probabilities"] == list(CLASSES)
    kernel = client.get_model_metadata("kernel", client.get_model_metadata("kernel")["versions"][1])
    assert kernel["inputs"][0]["parameters"]["columns"] == list(FEATURE_NAMES)
    assert kernel["outputs"][0]["parameters"]["columns"][2] == "hash: mining-like"


@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_a_step_gives_what_the_scorer_gives(client, scorer, binary, packed):
    found = client.infer("job", step(3, binary), request_id="r1", request_compression_algorithm=packed)
    wanted = direct(scorer, 3)
    assert found.get_response()["id"] == "r1"
    for name in ("probabilities", "families", "novelty", "state"):
        np.testing.assert_allclose(found.as_numpy(name), getattr(wanted, name), rtol=1e-6)


def test_the_state_is_carried_by_the_client(client, scorer):
    state, mine = None, scorer.initial(2)
    for seed in range(4):
        values, dt = samples(2, seed), np.full((2, 1), float(seed > 0), np.float32)
        inputs = [tensor("sample", values), tensor("dt", dt)]
        inputs += [tensor("mask", ~np.isnan(values), kind="BOOL")]
        inputs += [] if state is None else [tensor("state", state)]
        found = client.infer("job", inputs)
        state = found.as_numpy("state")
        wanted = scorer.step(values, ~np.isnan(values), dt, mine)
        mine = wanted.state
    np.testing.assert_allclose(found.as_numpy("probabilities"), wanted.probabilities, rtol=1e-5)


def test_a_large_batch_and_doubles(client, scorer):
    rows = 4000
    inputs = [tensor("sample", samples(rows).astype(np.float64), kind="FP64"),
              tensor("dt", np.zeros(rows), kind="FP64")]  # fmt: skip
    found = client.infer("job", inputs, outputs=[triton.InferRequestedOutput("probabilities")])
    np.testing.assert_allclose(found.as_numpy("probabilities"), direct(scorer, rows).probabilities, rtol=1e-5)
    assert found.as_numpy("novelty") is None


def test_kernels(client):
    model = KernelScorer()
    rows = np.abs(np.random.default_rng(1).normal(size=(2100, len(FEATURE_NAMES)))).astype(np.float32) / 10
    asked = [triton.InferRequestedOutput("p_mining", binary_data=False), triton.InferRequestedOutput("families")]
    found = client.infer("kernel", [tensor("features", rows)], outputs=asked)
    groups, families, _ = model.run(rows)
    np.testing.assert_allclose(found.as_numpy("families"), families, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.as_numpy("p_mining"), model.probabilities(groups)[1], rtol=1e-4, atol=1e-7)
    assert [each["name"] for each in found.get_response()["outputs"]] == ["p_mining", "families"]


def test_no_rows_have_no_scores(client):
    found = client.infer("job", step(0, binary=False))
    assert found.as_numpy("probabilities").shape == (0, len(CLASSES))
    assert client.infer("kernel", [tensor("features", np.zeros((0, 981), np.float32))]).as_numpy("groups").shape == (
        0,
        3,
    )


def test_requests_at_once(protocol_port, scorer):
    wanted, same = direct(scorer, 1000).probabilities, []

    def ask():
        with triton.InferenceServerClient(f"127.0.0.1:{protocol_port}") as own:
            for _ in range(4):
                found = own.infer("job", step(1000)).as_numpy("probabilities")
                same.append(np.allclose(found, wanted, rtol=1e-5))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 16


def test_statistics_count(client):
    def counted():
        (told,) = client.get_inference_statistics("job")["model_stats"]
        return told

    before = counted()
    client.infer("job", step(7))
    with pytest.raises(InferenceServerException):
        client.infer("job", step(7)[:1])
    after = counted()
    assert after["inference_count"] - before["inference_count"] == 7
    assert after["execution_count"] - before["execution_count"] == 1
    assert after["inference_stats"]["fail"]["count"] - before["inference_stats"]["fail"]["count"] == 1
    assert after["inference_stats"]["compute_infer"]["ns"] > before["inference_stats"]["compute_infer"]["ns"]
    assert len(client.get_inference_statistics()["model_stats"]) == 2


def test_the_configuration_names_the_tensors(client):
    config = client.get_model_config("kernel")
    assert [(port["name"], port["dims"]) for port in config["input"]] == [("features", [len(FEATURE_NAMES)])]


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get_system_shared_memory_status(),
        lambda client: client.register_cuda_shared_memory("a", b"", 0, 1),
        lambda client: client.load_model("job"),
        lambda client: client.unload_model("job"),
        lambda client: client.get_trace_settings("job"),
        lambda client: client.update_log_settings({"log_info": True}),
    ],
)
def test_what_is_not_served_says_so(client, ask):
    with pytest.raises(InferenceServerException, match=r"\[501\] an extension that is not served"):
        ask(client)


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
def test_a_bomb_is_not_unpacked(kind):
    from hashwarden.serve.api.bodies import CODINGS, unpacked
    from hashwarden.serve.api.refusal import RefusedError

    packer = zlib.compressobj(1, zlib.DEFLATED, CODINGS[kind])
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    assert len(bomb) < 1 << 20
    with pytest.raises(RefusedError, match="too large") as refused:
        unpacked(bomb, kind, 1 << 20)
    assert refused.value.status == 413
