"""Requests that nobody foresaw: whatever comes, it is read or refused, and what is read is what was written."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hashwarden.serve.api.asked import Limits, read_asked
from hashwarden.serve.api.engine import Engine
from hashwarden.serve.api.grpc_asked import read_message
from hashwarden.serve.api.grpc_messages import messages
from hashwarden.serve.api.refusal import RefusedError
from hashwarden.serve.api.tensors import of_bytes, of_json

LIMITS = Limits(rows=64, json_bytes=1 << 16)

words = st.sampled_from(["sample", "mask", "dt", "state", "probabilities", "FP32", "FP64", "BOOL", "UINT8", "id", ""])
numbers = st.one_of(st.integers(-2, 80), st.integers(), st.floats(), st.booleans(), st.none())
values = st.recursive(st.one_of(words, numbers), lambda inner: st.lists(inner, max_size=4), max_leaves=8)
keys = st.sampled_from(["name", "shape", "datatype", "data", "parameters", "binary_data_size", "binary_data", "id"])
entries = st.dictionaries(keys, st.one_of(values, st.dictionaries(keys, values, max_size=2)), max_size=6)
tensors = st.fixed_dictionaries(
    {"name": words, "datatype": words, "shape": st.lists(st.integers(0, 80), max_size=3)},
    optional={"data": st.lists(values, max_size=8), "parameters": entries},
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(st.one_of(tensors, entries), max_size=4)},
    optional={"outputs": st.lists(entries, max_size=2), "id": values, "parameters": entries},
)


@pytest.fixture(scope="module")
def job(served_models):
    return Engine(served_models).find("job")


@settings(max_examples=150, deadline=None)
@given(request=requests, behind=st.binary(max_size=400), told=st.one_of(st.none(), st.integers(0, 5000)))
def test_any_json_is_read_or_refused(job, request, behind, told):
    head = json.dumps(request).encode()
    refused, asked = None, None
    try:
        asked = read_asked(memoryview(head + behind), len(head) if told is None else told, job, LIMITS)
    except RefusedError as error:
        refused = error
    if asked is None:
        assert 400 <= refused.status < 500
        assert len(str(refused)) < 2000
    else:
        assert set(asked.tensors) <= {"sample", "mask", "dt", "state"}
        assert all(len(tensor) <= LIMITS.rows for tensor in asked.tensors.values())


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=300), told=st.one_of(st.none(), st.integers(0, 400)))
def test_any_bytes_are_refused(job, body, told):
    with pytest.raises(RefusedError):
        job.score(read_asked(memoryview(body), told, job, LIMITS).tensors, ("novelty",))


@settings(max_examples=100, deadline=None)
@given(message=st.binary(max_size=300))
def test_any_message_is_read_or_refused(job, message):
    from google.protobuf.message import DecodeError

    try:
        request = messages()["ModelInferRequest"].FromString(message)
    except DecodeError:
        return
    with pytest.raises(RefusedError):
        job.score(read_message(request, job, LIMITS).tensors, ("novelty",))


floats = arrays.arrays(np.float32, arrays.array_shapes(max_dims=2, max_side=5), elements=st.floats(width=32))


@given(tensor=floats, offset=st.integers(0, 3))
def test_bytes_come_back_as_they_were(tensor, offset):
    held = memoryview(b"\0" * offset + tensor.tobytes())[offset:]
    found = of_bytes(held, "FP32", tensor.shape, "x")
    np.testing.assert_array_equal(found, tensor)
    assert found.flags.aligned


@given(tensor=arrays.arrays(np.float64, (3, 2), elements=st.floats(allow_infinity=False)), flat=st.booleans())
def test_numbers_in_json_come_back_as_they_were(tensor, flat):
    listed = tensor.ravel().tolist() if flat else tensor.tolist()
    with_nulls = json.loads(json.dumps(listed).replace("NaN", "null"))
    np.testing.assert_array_equal(of_json(with_nulls, "FP64", (3, 2), "x"), tensor)
