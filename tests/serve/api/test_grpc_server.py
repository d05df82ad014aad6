"""The real tritonclient over gRPC: its calls, raw and typed contents, a token, bounds, and bad input."""

import queue
import threading
import time
from http import HTTPStatus

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2 as theirs
from tritonclient.utils import InferenceServerException

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.api.asked import Limits
from hashwarden.serve.api.engine import Engine
from hashwarden.serve.api.grpc_messages import messages
from hashwarden.serve.api.grpc_server import GrpcServer
from hashwarden.serve.api.refusal import RefusedError
from hashwarden.serve.job_scorer import JobScorer

C = len(CHANNELS)
TOKEN = "a-token-of-the-tests"


def authorise(token):
    if token != TOKEN:
        raise RefusedError("a token that is not known", "one of the service", "Ask the operator.",
                           status=HTTPStatus.UNAUTHORIZED)  # fmt: skip


@pytest.fixture(scope="module")
def engine(served_models):
    return Engine(served_models, Limits(rows=5000, body_bytes=8 << 20))


@pytest.fixture(scope="module")
def client(engine):
    server = GrpcServer(engine, "127.0.0.1:0")
    server.start()
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as made:
        yield made
    server.stop()


def tensor(name, values, kind="FP32"):
    return triton.InferInput(name, list(values.shape), kind).set_data_from_numpy(values)


def samples(rows):
    values = np.random.default_rng(0).random((rows, C), np.float32)
    values[:, ::5] = np.nan
    return values


def step(rows):
    return [tensor("sample", samples(rows)), tensor("dt", np.zeros((rows, 1), np.float32))]


def direct(rows):
    values, scorer = samples(rows), JobScorer()
    return scorer.step(values, ~np.isnan(values), np.zeros(rows, np.float32), scorer.initial(rows))


def test_our_fields_are_those_of_the_client():
    """Numbers, types and labels of every field, against what the client was generated from; maps and ours aside."""
    ours = {"Contents": "InferTensorContents", "Parameter": "InferParameter", "Duration": "StatisticDuration"}
    nested = {
        "TensorMetadata": theirs.ModelMetadataResponse.TensorMetadata.DESCRIPTOR,
        "Tensor": theirs.ModelInferRequest.InferInputTensor.DESCRIPTOR,
        "Wanted": theirs.ModelInferRequest.InferRequestedOutputTensor.DESCRIPTOR,
        "ModelIndex": theirs.RepositoryIndexResponse.ModelIndex.DESCRIPTOR,
    }
    extra = {("ModelMetadataResponse", "parameters"), ("TensorMetadata", "parameters")}
    checked = 0
    for name, message in messages().items():
        known = nested.get(name) or theirs.DESCRIPTOR.message_types_by_name.get(ours.get(name, name))
        if known is None:
            assert name in {"ModelConfig", "ModelInput", "ModelOutput", "Reshape"}
            continue
        for field in message.DESCRIPTOR.fields:
            if (name, field.name) in extra:
                assert field.number not in known.fields_by_number
                continue
            other = known.fields_by_name[field.name]
            assert (field.number, field.type, field.is_repeated) == (other.number, other.type, other.is_repeated)
            checked += 1
    assert checked > 70


def test_health_metadata_index_configuration(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("job")
    assert client.get_server_metadata().name == "hashwarden"
    told = client.get_model_metadata("job")
    assert [(port.name, list(port.shape)) for port in told.inputs][:2] == [("sample", [-1, C]), ("mask", [-1, C])]
    assert {entry.name: entry.state for entry in client.get_model_repository_index().models} == {
        "job": "READY", "kernel": "READY",
    }  # fmt: skip
    config = client.get_model_config("job").config
    assert [(port.name, list(port.dims), port.optional) for port in config.input][2:] == [
        ("dt", [1], False), ("state", [108], True),
    ]  # fmt: skip
    assert triton.model_config_pb2.DataType.Name(config.input[0].data_type) == "TYPE_FP32"


def test_a_step_gives_what_the_scorer_gives(client):
    found, wanted = client.infer("job", step(3), request_id="r1"), direct(3)
    assert found.get_response().id == "r1"
    for name in ("probabilities", "families", "novelty", "state"):
        np.testing.assert_allclose(found.as_numpy(name), getattr(wanted, name), rtol=1e-6)
    one = client.infer(
        "job", step(2000), outputs=[triton.InferRequestedOutput("novelty")], compression_algorithm="gzip"
    )
    np.testing.assert_allclose(one.as_numpy("novelty"), direct(2000).novelty, rtol=1e-5)
    assert one.as_numpy("state") is None


def test_a_stream_of_requests_is_answered_in_order(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    client.async_stream_infer("job", step(2), request_id="a")
    client.async_stream_infer("job", step(2)[:1], request_id="b")
    client.async_stream_infer("job", step(1), request_id="c")
    found = [answers.get(timeout=30) for _ in range(3)]
    client.stop_stream()
    assert found[0][0].get_response().id == "a"
    assert "no input dt" in str(found[1][1])
    assert found[2][0].as_numpy("novelty").shape == (1,)


def test_statistics(client):
    before = client.get_inference_statistics("job").model_stats[0].inference_count
    client.infer("job", step(5))
    assert client.get_inference_statistics("job").model_stats[0].inference_count - before == 5


def raw(client, **changes):
    """A request by the client's own stub, with typed contents."""
    request = theirs.ModelInferRequest(model_name="job")
    request.inputs.add(name="sample", datatype="FP32", shape=[1, C]).contents.fp32_contents.extend([0.0] * C)
    request.inputs.add(name="dt", datatype="FP64", shape=[1]).contents.fp64_contents.append(0)
    request.inputs.add(name="mask", datatype="BOOL", shape=[1, C]).contents.bool_contents.extend([True] * C)
    request.MergeFrom(theirs.ModelInferRequest(**changes))
    return client._client_stub.ModelInfer(request)


def test_typed_contents(client):
    scorer = JobScorer()
    zeros = np.zeros((1, C), np.float32)
    wanted = scorer.step(zeros, zeros == 0, np.zeros(1, np.float32), scorer.initial(1))
    found = np.frombuffer(raw(client).raw_output_contents[0], np.float32)
    np.testing.assert_allclose(found, wanted.probabilities[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_name": "jobs"}, "NOT_FOUND"),
        ({"model_version": "9"}, "NOT_FOUND"),
        ({"raw_input_contents": [b""]}, "raw contents"),
        ({"raw_input_contents": [b"", b"", b""]}, "typed contents beside raw"),
        ({"inputs": [{"name": "state", "datatype": "FP32", "shape": [1, 108]}]}, "0 values"),
        ({"inputs": [{"name": "state", "datatype": "FP32", "shape": [1, -108]}]}, "lengths, 0 or more"),
        ({"inputs": [{"name": "state", "datatype": "BYTES", "shape": [1, 108]}]}, "FP32"),
        ({"inputs": [{"name": "states"}]}, "named 'states'"),
        ({"inputs": [{"name": "dt", "datatype": "FP32", "shape": [1]}]}, "twice"),
        ({"outputs": [{"name": "logits"}]}, "named 'logits'"),
        ({"parameters": {"sequence_id": {"int64_param": 1}}}, "sequence_id"),
        ({"outputs": [{"name": "state", "parameters": {"classification": {"int64_param": 1}}}]}, "classification"),
    ],
)
def test_bad_requests_are_refused(client, changes, words):
    with pytest.raises(Exception, match=words):
        raw(client, **changes)
    assert client.is_server_live()


def test_a_million_rows_and_a_message_that_is_too_large(client):
    many = triton.InferInput("sample", [10**6, C], "FP32")
    many._raw_content = b"\0" * 1024
    with pytest.raises(InferenceServerException, match=r"INVALID_ARGUMENT.*1000000 rows"):
        client.infer("job", [many, step(1)[1]])
    with pytest.raises(InferenceServerException, match="RESOURCE_EXHAUSTED"):
        client.infer("job", [tensor("sample", np.zeros((30_000, C), np.float32)), step(1)[1]])


def test_what_is_not_served_says_so(client):
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        client.load_model("job")


def test_clients_that_only_begin_calls_leave_room_for_others(engine):
    server = GrpcServer(engine, "127.0.0.1:0", threads=8)
    server.start()
    never = threading.Event()

    def silent():
        yield from iter(lambda: never.wait() and None, None)

    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as slow:
        stream = slow.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer", bytes)
        streams = [stream(silent()) for _ in range(3)]
        codes = {each.code() for each in streams if each.done()} if wait_for_one(streams) else set()
        assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        begun = slow.stream_unary("/inference.GRPCInferenceService/ModelInfer", bytes)
        waiting = [begun.future(silent()) for _ in range(4)]
        with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            assert client.infer("job", step(1), client_timeout=30).as_numpy("novelty").shape == (1,)
        for each in [*streams, *waiting]:
            each.cancel()
        never.set()
    server.stop()


def wait_for_one(calls):
    until = time.monotonic() + 30
    while not any(call.done() for call in calls):
        assert time.monotonic() < until
        time.sleep(0.01)
    return True


def test_nothing_but_health_without_the_token_on_a_unix_socket(engine, tmp_path):
    server = GrpcServer(engine, f"unix:{tmp_path}/grpc.sock", authorise)
    server.start()
    with triton.InferenceServerClient(f"unix:{tmp_path}/grpc.sock") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        for headers in (None, {"authorization": "Bearer other"}, {"authorization": TOKEN}):
            for ask in (client.get_server_metadata, lambda headers: client.infer("job", step(1), headers=headers)):
                with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
                    ask(headers=headers)
        mine = {"authorization": f"Bearer {TOKEN}"}
        assert client.infer("job", step(1), headers=mine).as_numpy("novelty").shape == (1,)
    server.stop()


def test_an_address_in_use_is_told(engine):
    first = GrpcServer(engine, "127.0.0.1:0")
    with pytest.raises(UsageError, match="cannot be listened on"):
        GrpcServer(engine, f"127.0.0.1:{first.port}")
    first.stop()
