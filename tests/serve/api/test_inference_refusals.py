"""Bad input over HTTP: a clear answer with the right status each time, and the next request is answered."""

import gzip
import http.client
import json
from http import HTTPStatus
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi import FastAPI

from hashwarden.errors import CheckError
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.api.engine import Engine
from hashwarden.serve.api.inference import inference_router
from hashwarden.serve.api.models import JobModel
from hashwarden.serve.job_scorer import JobScorer

C = len(CHANNELS)
ZEROS = [0.0] * C


def ask(port, body=b"", path="/v2/models/job/infer", method="POST", **headers):
    """Status and answer."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = link.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        link.close()


def tensor(name, shape, data=None, kind="FP32", **parameters):
    made = {"name": name, "shape": shape, "datatype": kind}
    made |= {} if data is None else {"data": data}
    return made | ({"parameters": parameters} if parameters else {})


SAMPLE, DT = tensor("sample", [1, C], ZEROS), tensor("dt", [1, 1], [0])


def request(*inputs, **more):
    return json.dumps({"inputs": list(inputs), **more}).encode()


def test_the_good_request_that_the_bad_ones_are_made_from(protocol_port):
    status, answer = ask(protocol_port, request(SAMPLE, DT))
    assert status == 200
    assert answer["outputs"][0]["shape"] == [1, 6]
    nested = tensor("sample", [1, C], [[None, *ZEROS[1:]]])
    assert ask(protocol_port, request(nested, tensor("dt", [1], [0])))[0] == 200


BODIES = {
    "nothing": (b"", "no JSON"),
    "half": (b'{"inputs": [', "no JSON"),
    "a list": (b"[]", "expected an object"),
    "deep": (b"[" * 100_000, "no JSON"),
    "deep with NaN": (b"[" * 100_000 + b"NaN", "no JSON"),
    "not UTF-8": (b'{"id": "\xff"}', "no JSON"),
    "infinity": (request(tensor("sample", [1, C], [float("inf")] * C), DT), "no JSON"),
    "no inputs": (b"{}", "inputs"),
    "inputs no list": (b'{"inputs": {}}', "inputs"),
    "an input that is no object": (b'{"inputs": [1]}', "an input"),
    "an id that is no text": (request(SAMPLE, DT, id=7), "id"),
    "parameters that are no object": (request(SAMPLE, DT, parameters=[]), "parameters"),
    "a flag that is none": (request(SAMPLE, DT, parameters={"binary_data_output": 1}), "binary_data_output"),
    "a sequence": (request(SAMPLE, DT, parameters={"sequence_id": 5}), "stand alone"),
    "an unknown input": (request(SAMPLE, DT, tensor("samples", [1], [0])), "an input named 'samples'"),
    "an input twice": (request(SAMPLE, SAMPLE, DT), "twice"),
    "a missing input": (request(DT), "no input sample"),
    "an unknown output": (request(SAMPLE, DT, outputs=[{"name": "logits"}]), "an output named 'logits'"),
    "an output without a name": (request(SAMPLE, DT, outputs=[{}]), "the name of an output"),
    "classification": (request(SAMPLE, DT, outputs=[{"name": "state", "parameters": {"classification": 2}}]),
                       "classification"),
    "shared memory": (request(tensor("sample", [1, C], shared_memory_region="a"), DT), "shared_memory_region"),
    "integers": (request(tensor("sample", [1, C], [0] * C, "INT64"), DT), "FP32 or FP64"),
    "a datatype that is no text": (request(tensor("sample", [1, C], ZEROS, ["FP32"]), DT), "FP32 or FP64"),
    "a wrong width": (request(tensor("sample", [1, 5], [0] * 5), DT), f"[-1, {C}]"),
    "too many axes": (request(tensor("sample", [1, 1, C], ZEROS), DT), f"[-1, {C}]"),
    "no axes": (request(tensor("sample", [], []), DT), f"[-1, {C}]"),
    "a length below 0": (request(tensor("sample", [-1, C], ZEROS), DT), "lengths, 0 or more"),
    "a length that is none": (request(tensor("sample", [True, C], ZEROS), DT), "lengths, 0 or more"),
    "too few values": (request(tensor("sample", [1, C], ZEROS[1:]), DT), "data of shape"),
    "other nesting": (request(tensor("sample", [1, C], [[each] for each in ZEROS]), DT), "data of shape"),
    "lists of several lengths": (request(tensor("sample", [1, C], [[0], [0, 0]]), DT), "not all numbers"),
    "text": (request(tensor("sample", [1, C], ["0"] * C), DT), "not all numbers"),
    "text beside null": (request(tensor("sample", [1, C], [None, *["0"] * (C - 1)]), DT), "not all numbers"),
    "truths": (request(tensor("sample", [1, C], [True] * C), DT), "not all numbers"),
    "objects": (request(tensor("sample", [1, C], [{}] * C), DT), "not all numbers"),
    "no data": (request(tensor("sample", [1, C]), DT), "data of input sample"),
    "a mask of numbers": (request(SAMPLE, DT, tensor("mask", [1, C], [1] * C, "BOOL")), "true or false"),
    "a mask beyond a byte": (request(SAMPLE, DT, tensor("mask", [1, C], [256] * C, "UINT8")), "not all numbers"),
    "rows that differ": (request(SAMPLE, tensor("dt", [2, 1], [0, 0])), "as many rows"),
    "a value below 0": (request(tensor("sample", [1, C], [-1, *ZEROS[1:]]), DT), CHANNELS[0].name),
    "a value too large": (request(tensor("sample", [1, C], [1e300, *ZEROS[1:]]), DT), CHANNELS[0].name),
    "NaN that the mask shows": (
        request(tensor("sample", [1, C], [None] * C), DT, tensor("mask", [1, C], [1] * C)), CHANNELS[0].name),
    "time that runs backwards": (request(SAMPLE, tensor("dt", [1], [-1])), "since the sample before"),
    "a state that is not finite": (request(SAMPLE, DT, tensor("state", [1, 108], [None] * 108)), "not finite"),
    "a state of another model": (request(SAMPLE, DT, tensor("state", [1, 7], [0] * 7)), "[-1, 108]"),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_request_is_refused(protocol_port, name):
    body, words = BODIES[name]
    status, answer = ask(protocol_port, body)
    assert status == 400
    assert words in answer["error"]
    assert len(answer["error"]) < 1000


def binary(size=4 * C, told=None, sample=None, dt=b"\0\0\0\0"):
    """A request with bytes behind it: what its JSON tells of them, and what there is."""
    head = request(tensor("sample", [1, C], binary_data_size=size), tensor("dt", [1], binary_data_size=4))
    body = head + (bytes(4 * C) if sample is None else sample) + dt
    return body, {"Inference_Header_Content_Length": str(len(head) if told is None else told)}


def test_a_good_binary_request(protocol_port):
    body, headers = binary()
    assert ask(protocol_port, body, **headers)[0] == 200


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (binary(dt=b""), "0 bytes"),
        (binary(dt=b"\0\0\0"), "3 bytes"),
        (binary(dt=b"\0" * 5), "bytes behind the JSON"),
        (binary(size=4 * C + 4), f"{4 * C + 4} bytes"),
        (binary(size=0), "0 bytes"),
        (binary(size=10**18), "bytes"),
        (binary(size=-4), "binary_data_size"),
        (binary(size=True), "binary_data_size"),
        (binary(size="4"), "binary_data_size"),
        (binary(told=10**9), "at most the"),
        (binary(told=10), "no JSON"),
        (binary(told="-1"), "no length"),
        (binary(told="1e3"), "no length"),
        (binary(told=""), "no length"),
        (binary(told="9" * 300), "no length"),
        (binary(sample=np.full(C, np.inf, "<f4").tobytes()), CHANNELS[0].name),
    ],
)
def test_bytes_that_do_not_fit_are_refused(protocol_port, made, words):
    body, headers = made
    status, answer = ask(protocol_port, body, **headers)
    assert status == 400
    assert words in answer["error"]


def test_a_header_without_bytes_behind_is_told_of(protocol_port):
    body, _ = binary()
    status, answer = ask(protocol_port, body)
    assert status == 400
    assert "Inference-Header-Content-Length" in answer["error"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v2/models/jobs/infer", "job or kernel"),
        ("/v2/models/job/versions/9/infer", "0.1.0"),
        ("/v2/models/%1b%5b31m/infer", r"'\x1b[31m'"),
    ],
)
def test_unknown_models_and_versions_are_not_found(protocol_port, path, words):
    status, answer = ask(protocol_port, request(SAMPLE, DT), path)
    assert status == 404
    assert words in answer["error"]
    assert ask(protocol_port, None, path.replace("/infer", ""), "GET")[0] == 404
    assert ask(protocol_port, None, path.replace("/infer", "/ready"), "GET")[0] == 404


def test_a_million_rows_are_too_many_before_any_is_read(protocol_port):
    head = request(tensor("sample", [10**6, C], binary_data_size=4 * C * 10**6), DT)
    status, answer = ask(protocol_port, head, Inference_Header_Content_Length=str(len(head)))
    assert status == 413
    assert "1000000 rows" in answer["error"]


def test_a_body_that_is_too_large_is_refused_before_it_comes(protocol_port):
    link = http.client.HTTPConnection("127.0.0.1", protocol_port, timeout=30)
    link.putrequest("POST", "/v2/models/job/infer")
    link.putheader("Content-Length", str(1 << 40))
    link.endheaders()
    assert link.getresponse().status == 413
    link.close()


def test_json_that_is_too_large_is_refused(protocol_port):
    status, answer = ask(protocol_port, request(SAMPLE, DT) + b" " * (8 << 20))
    assert status == 413
    assert "binary tensor data" in answer["error"]


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        (b"no gzip", "gzip", 400),
        (gzip.compress(request(SAMPLE, DT), mtime=0)[:-9], "gzip", 400),
        (gzip.compress(request(SAMPLE, DT), mtime=0) + b"more", "gzip", 400),
        (gzip.compress(bytes(40 << 20), 1, mtime=0), "gzip", 413),
        (request(SAMPLE, DT), "br", 415),
        (request(SAMPLE, DT), "gzip, gzip", 415),
    ],
    ids=["none", "cut off", "and more", "a bomb", "another", "twice"],
)
def test_content_codings_that_do_not_hold_are_refused(protocol_port, body, coding, status):
    assert ask(protocol_port, body, Content_Encoding=coding)[0] == status


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"ready": 1}'])
def test_a_bad_request_for_the_index_is_refused(protocol_port, body):
    assert ask(protocol_port, body, "/v2/repository/index")[0] == 400


def test_a_method_that_is_not_served_is_refused(protocol_port):
    assert ask(protocol_port, None, "/v2/models/job/infer", "GET")[0] == HTTPStatus.METHOD_NOT_ALLOWED


def test_a_model_that_fails_its_check_judges_nobody(run_app, monkeypatch):
    def fails():
        raise CheckError("answers that differ", "the known ones", "Install again.")

    model = JobModel(JobScorer())
    monkeypatch.setattr(model, "scorer", SimpleNamespace(self_test=fails))
    assert "answers that differ" in model.check()
    app = FastAPI()
    app.include_router(inference_router(Engine([model])))
    with run_app(app, host="127.0.0.1", port=0) as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        assert ask(port, None, "/v2/health/live", "GET")[0] == 200
        assert ask(port, None, "/v2/health/ready", "GET") == (503, {"ready": False})
        assert ask(port, None, "/v2/models/job/ready", "GET") == (503, {"name": "job", "ready": False})
        status, answer = ask(port, request(SAMPLE, DT))
        assert status == 503
        assert "answers that differ" in answer["error"]
        ((entry,),) = ask(port, b"", "/v2/repository/index")[1:]
        assert entry["state"] == "UNAVAILABLE"
        assert ask(port, b'{"ready": true}', "/v2/repository/index") == (200, [])
