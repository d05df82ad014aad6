"""The OpenAPI document against the running service: whatever it allows is answered as it says, and the rest refused."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from hashwarden.serve.agent.logs import LOGGER
from hashwarden.serve.api.config import ServeConfig
from hashwarden.serve.api.roles import Role
from hashwarden.serve.api.service import ScoringService
from hashwarden.serve.api.tokens import new_token

sys.path.insert(0, str(Path(__file__).parent))
from serve_rig import WAIT_S, said

NOT_SAID = [positive_data_acceptance, negative_data_rejection]
"""A document cannot tell which tensors fit each other; parameters that nobody asks for are left alone."""

QUICK = settings(max_examples=6, deadline=None, derandomize=True, database=None, phases=(Phase.generate,),
                 suppress_health_check=list(HealthCheck))  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The whole service: both models, the desk, the pages; and a token that may do everything."""
    folder = tmp_path_factory.mktemp("openapi")
    token = new_token(folder / "tokens.json", "tester", [Role.ADMIN])
    handlers = LOGGER.handlers[:]
    made = ScoringService(ServeConfig(
        http={"socket": "", "listen": ["127.0.0.1:0"]}, access={"tokens": folder / "tokens.json"},
        desk={"state_dir": folder / "state", "period_s": 0.2}, log={"level": "error", "format": "text"},
    ))  # fmt: skip
    started = threading.Event()
    thread = threading.Thread(target=made.run, args=(started.set,), daemon=True)
    thread.start()
    assert started.wait(WAIT_S)
    yield made.server.places[0].words, {"Authorization": f"Bearer {token}"}
    made.server.stop()
    thread.join(WAIT_S)
    LOGGER.handlers[:] = handlers
    LOGGER.setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def document(service):
    url, headers = service
    return schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)


@schemathesis.serializer("application/vnd.apache.arrow.stream", "application/vnd.apache.parquet")
def _table(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


def body_is_wrong(case):
    part = case.meta.components.get(ParameterLocation.BODY)
    return part is not None and part.mode is GenerationMode.NEGATIVE


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
def test_the_service_answers_as_its_document_says(document, service, mode):
    wrong, asked = {}, 0
    for result in document.get_all_operations():
        operation = result.ok()

        @QUICK
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            nonlocal asked
            asked += 1
            answer = case.call_and_validate(headers=service[1], excluded_checks=NOT_SAID)
            if body_is_wrong(case):
                assert answer.status_code >= 400

        try:
            check()
        except BaseExceptionGroup as error:
            wrong[operation.label] = [str(each) for each in error.exceptions]
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, "it takes nothing that could be wrong"
    assert wrong == {}
    assert asked > 50


def test_the_document_names_every_route_that_is_answered_and_says_who_may_ask(service, document):
    raw = document.raw_schema
    assert {"/healthz", "/metrics", "/v2/models/{model}/infer", "/v1/samples", "/v1/cases/{case}/approve"} <= set(
        raw["paths"]
    )
    for path, item in raw["paths"].items():
        for operation in item.values():
            is_open = path in ("/healthz", "/readyz") or path.startswith("/v2/health/")
            assert operation["security"] == ([] if is_open else [{"token": []}])
            assert "422" not in operation["responses"]


def test_without_a_token_every_route_of_the_document_is_closed(service, document):
    import http.client

    host = service[0].removeprefix("http://")
    for path, item in document.raw_schema["paths"].items():
        for method, operation in item.items():
            if operation["security"]:
                page = path.replace("{", "").replace("}", "")
                status, _ = said(http.client.HTTPConnection(host, timeout=WAIT_S), page, method.upper())
                assert (path, method, status) == (path, method, 401)
