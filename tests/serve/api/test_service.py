"""The whole service: both models, the desk and the pages behind one door; what one identity may do in each."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import logging
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from hashwarden.errors import UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.serve.agent.logs import LOGGER
from hashwarden.serve.api.config import ServeConfig
from hashwarden.serve.api.roles import Role
from hashwarden.serve.api.service import ScoringService, engine_limits
from hashwarden.serve.api.tokens import new_token

sys.path.insert(0, str(Path(__file__).parent))
from serve_rig import WAIT_S, Authority, Link, said, until


@contextlib.contextmanager
def whole(folder, **sections):
    handlers = LOGGER.handlers[:]
    http_, desk = sections.pop("http", {}), sections.pop("desk", {})
    made = ScoringService(ServeConfig(
        http={"socket": str(folder / "s"), **http_}, log={"level": "error", "format": "text"},
        desk={"state_dir": folder / "state", "period_s": 0.2, **desk}, **sections,
    ))  # fmt: skip
    started = threading.Event()
    thread = threading.Thread(target=made.run, args=(started.set,), daemon=True)
    thread.start()
    assert started.wait(WAIT_S)
    try:
        yield made
    finally:
        made.server.stop()
        thread.join(WAIT_S)
        LOGGER.handlers[:] = handlers
        LOGGER.setLevel(logging.NOTSET)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokens.json"
    made = {role: new_token(path, role, [Role(role)]) for role in ("read", "push", "approve")}
    return path, {role: {"Authorization": f"Bearer {token}"} for role, token in made.items()}


@pytest.fixture(scope="module")
def service(tmp_path_factory, tokens):
    with whole(tmp_path_factory.mktemp("whole"), access={"tokens": tokens[0]},
               http={"grpc": "127.0.0.1:0", "listen": ["127.0.0.1:0"]}) as made:  # fmt: skip
        yield made


def ask(service, path, method="GET", body=None, **headers):
    return said(
        Link(service.server.places[0].words), path, method, None if body is None else json.dumps(body), **headers
    )


def test_each_role_can_do_its_part_and_no_other(service, tokens):
    read, push, approve = (tokens[1][role] for role in ("read", "push", "approve"))
    until(lambda: ask(service, "/readyz")[0] == 200)
    for who, path, method, allowed in (
        (read, "/v1/jobs", "GET", True), (push, "/v1/jobs", "GET", False), (approve, "/v1/jobs", "GET", True),
        (read, "/v1/samples", "POST", False), (push, "/v1/samples", "POST", True),
        (approve, "/v1/samples", "POST", False), (read, "/v1/cases/HW-1/approve", "POST", False),
        (push, "/v1/cases/HW-1/approve", "POST", False), (approve, "/v1/cases/HW-1/approve", "POST", True),
        (read, "/v2/models/job/infer", "POST", True), (push, "/v2/models/job/infer", "POST", False),
        (read, "/metrics", "GET", True), (push, "/metrics", "GET", False),
    ):  # fmt: skip
        status, _ = ask(service, path, method, {}, **who, Content_Type="application/json")
        assert (path, who, status == 403) == (path, who, not allowed)
        assert status not in (401, 500)


def test_pages_show_what_their_reader_may_see_and_decide_nothing_else(service, tokens):
    assert said(Link(service.server.places[0].words), "/", Authorization="Basic eDp4")[0] == 401
    status, page = ask(service, "/", **tokens[1]["read"])
    assert (status, "<!doctype html>" in page) == (200, True)
    status, page = ask(service, "/plain", **tokens[1]["read"])
    assert (status, "<h1>Jobs</h1>" in page) == (200, True)
    status, page = ask(service, "/plain", **tokens[1]["push"])
    assert "takes the role" in page
    basic = base64.b64encode(tokens[1]["read"]["Authorization"].replace("Bearer ", "anybody:").encode()).decode()
    assert ask(service, "/app.js", Authorization=f"Basic {basic}")[0] == 200
    assert ask(service, "/plain/cases/HW-1/approve", "POST", {}, **tokens[1]["read"])[0] >= 400


def test_scored_samples_are_counted_for_prometheus(service, tokens):
    def scored():
        text = ask(service, "/metrics", **tokens[1]["read"])[1]
        return float(text.split('hashwarden_serve_samples_scored_total{model="job"} ')[1].split()[0])

    before = scored()
    inputs = [{"name": "sample", "shape": [3, len(CHANNELS)], "datatype": "FP32", "data": [1.0] * 3 * len(CHANNELS)},
              {"name": "dt", "shape": [3, 1], "datatype": "FP32", "data": [0.0] * 3}]  # fmt: skip
    assert ask(service, "/v2/models/job/infer", "POST", {"inputs": inputs}, **tokens[1]["read"])[0] == 200
    assert scored() == before + 3


def test_a_million_rows_are_refused_whatever_they_are(service, tokens):
    rows = 1_000_000
    for body in ({"inputs": [{"name": "sample", "shape": [rows, len(CHANNELS)], "datatype": "FP32", "data": []}]},
                 {"inputs": [{"name": "dt", "shape": [rows, 1], "datatype": "FP32", "data": [0] * rows}]}):  # fmt: skip
        assert ask(service, "/v2/models/job/infer", "POST", body, **tokens[1]["read"])[0] == 413
    link = Link(service.server.places[0].words)
    with contextlib.closing(link):
        link.request("POST", "/v2/models/job/infer", np.zeros(rows * 20, np.float32).tobytes(), tokens[1]["read"])
        assert link.getresponse().status == 413


def test_grpc_takes_the_same_tokens(service, tokens):
    client = triton.InferenceServerClient(service.grpc.words.removeprefix("grpc://"))
    with contextlib.closing(client):
        assert client.is_server_live()
        headers = {role: {"authorization": words["Authorization"]} for role, words in tokens[1].items()}
        assert client.get_model_metadata("job", headers=headers["read"]).name == "job"
        for refused, code in (({}, "UNAUTHENTICATED"), (headers["push"], "PERMISSION_DENIED"),
                              ({"authorization": "Bearer hw1_x"}, "UNAUTHENTICATED")):  # fmt: skip
            with pytest.raises(InferenceServerException, match=code):
                client.get_model_metadata("job", headers=refused)


def test_grpc_with_certificates_that_change(tmp_path, tokens):
    authority = Authority(tmp_path)
    mine = authority.issue("service", "DNS:localhost", file="service.pem")
    with whole(tmp_path, access={"tokens": tokens[0]}, http={"socket": "", "listen": ["127.0.0.1:0"],
               "grpc": "localhost:0"}, tls={"certificate": mine}, desk={"enabled": False}) as service:  # fmt: skip
        where = service.grpc.words.removeprefix("grpcs://")
        for _ in range(2):
            with contextlib.closing(
                triton.InferenceServerClient(where, ssl=True, root_certificates=str(authority.file))
            ) as client:
                assert client.get_model_metadata("job", headers={"authorization": tokens[1]["read"]["Authorization"]})
            authority = Authority(tmp_path, "another")
            authority.issue("service", "DNS:localhost", file="service.pem")
            service._reloaded()


def test_a_batch_that_was_taken_is_there_after_a_restart(tmp_path, tokens):
    push, read = tokens[1]["push"], tokens[1]["read"]
    channel = CHANNELS[0].name
    for turn in range(2):
        with whole(tmp_path, access={"tokens": tokens[0]}) as service:
            until(lambda one=service: ask(one, "/readyz")[0] == 200)
            now = time.time() + turn
            rows = [{"unix_s": now, "gpu": "GPU-0", "channels": {channel: 0.5}}]
            body = {"jobs": [{"id": "7", "samples": rows}]}
            status, answer = ask(service, "/v1/samples", "POST", body, **push, Content_Type="application/json")
            assert (status in (200, 202), answer.get("taken")) == (True, 1), answer
            jobs = ask(service, "/v1/jobs", **read)[1]["jobs"]
            assert [job["id"] for job in jobs] == ["7"]


def test_limits_that_contradict_each_other_are_refused():
    with pytest.raises(UsageError, match="json_mib"):
        engine_limits(ServeConfig(limits={"json_mib": 9, "body_mib": 8}).limits)


def test_a_handshake_that_does_not_come_is_not_waited_for(tmp_path):
    authority = Authority(tmp_path)
    sections = {"tls": {"certificate": authority.issue("service", "DNS:localhost")}, "limits": {"header_s": 0.2}}
    with whole(
        tmp_path, http={"socket": "", "listen": ["127.0.0.1:0"]}, desk={"enabled": False}, **sections
    ) as service:
        link = http.client.HTTPConnection(service.server.places[0].words.removeprefix("https://"), timeout=WAIT_S)
        with contextlib.closing(link):
            link.connect()
            with contextlib.suppress(ConnectionResetError):
                assert link.sock.recv(100) == b""
