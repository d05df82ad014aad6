"""Clients that are slow, large, many, rude or gone: each gets its answer, and none takes anything from the others."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hashwarden.serve.agent.logs import LOGGER
from hashwarden.serve.api.roles import Role
from hashwarden.serve.api.tokens import new_token

sys.path.insert(0, str(Path(__file__).parent))
from serve_rig import everything, routes, served, until

SHORT = {"header_s": 0.2, "body_s": 0.2, "answer_s": 0.2, "idle_s": 60.0}
HEAD = b"Host: localhost\r\n"


def request(line: bytes, *head: bytes, body: bytes = b"") -> bytes:
    return line + b" HTTP/1.1\r\n" + HEAD + b"".join(each + b"\r\n" for each in head) + b"\r\n" + body


def answer(link: socket.socket) -> tuple[int, dict[str, str], bytes]:
    found = http.client.HTTPResponse(link)
    found.begin()
    return found.status, {name.lower(): value for name, value in found.getheaders()}, found.read()


@pytest.fixture
def where(tmp_path):
    return {"socket": str(tmp_path / "s")}


def quiet(rig):
    """Nothing of what clients did is left."""
    until(lambda: rig.count("hashwarden_serve_in_flight") == 0 and rig.count("hashwarden_serve_connections") == 0)
    assert rig.count("hashwarden_serve_waiting") == 0
    assert rig.ask("/v1/push", "POST", b"{}") == (200, {"bytes": 2})


def test_a_body_that_is_too_large_is_refused_and_the_connection_goes_on(where):
    with served(http=where, limits={"body_mib": 1}) as rig, contextlib.closing(rig.link()) as link:
        for body in (b"x" * (1 << 20) + b"x", iter([b"x" * 65536] * 40)):
            link.request("POST", "/v1/push", body, encode_chunked=not isinstance(body, bytes))
            found = link.getresponse()
            assert (found.status, json.loads(found.read())) == (
                413, {"error": "a body of more than 1 MiB; expected several requests"})  # fmt: skip
        link.request("POST", "/v1/push", b"x" * (1 << 20))
        found = link.getresponse()
        assert (found.status, json.loads(found.read())) == (200, {"bytes": 1 << 20})
        link.close()
        quiet(rig)


def test_a_body_that_never_comes_is_not_waited_for_where_its_length_tells(where):
    with served(http=where, limits={"body_mib": 1}) as rig, rig.raw() as link:
        link.sendall(request(b"POST /v1/push", b"Content-Length: 999999999999"))
        assert answer(link)[0] == 413


def test_a_client_that_asks_first_is_told_before_it_sends(where):
    with served(http=where, limits={"body_mib": 1}) as rig, rig.raw() as link:
        link.sendall(request(b"POST /v1/push", b"Content-Length: 9999999", b"Expect: 100-continue"))
        assert link.recv(12) == b"HTTP/1.1 413"


def test_all_bodies_together_have_a_bound(where):
    with served(http=where, limits={"body_mib": 1, "memory_mib": 1}) as rig, rig.raw() as first, rig.raw() as second:
        first.sendall(request(b"POST /v1/push", b"Content-Length: 900000", body=b"x" * 700_000))
        until(lambda: rig.count("hashwarden_serve_in_flight") == 1)
        second.sendall(request(b"POST /v1/push", b"Content-Length: 900000", body=b"x" * 900_000))
        status, head, _ = answer(second)
        assert (status, head["retry-after"]) == (503, "1")
        first.sendall(b"x" * 200_000)
        assert answer(first)[0] == 200
        assert rig.count("hashwarden_serve_shed_total", reason="memory") == 1


def test_a_body_that_trickles_gets_408(where):
    with served(http=where, limits=SHORT) as rig, rig.raw() as link:
        link.sendall(request(b"POST /v1/push", b"Content-Length: 5", body=b"x"))
        status, head, body = answer(link)
        assert (status, head["connection"]) == (408, "close")
        assert "expected all of it by then" in json.loads(body)["error"]
        assert everything(link) == b""
        link.close()
        quiet(rig)


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nA: b\r\n"])
def test_lines_that_never_end_lose_their_connection(where, sent):
    with served(http=where, limits={**SHORT, "idle_s": 0.2}) as rig:
        with rig.raw() as link, rig.raw() as other:
            link.sendall(sent)
            other.sendall(request(b"GET /healthz"))
            assert answer(other)[0] == 200
            assert everything(link) == b""
            assert everything(other) == b"", "idle for too long"
        assert sum(rig.count("hashwarden_serve_connections_cut_total", reason=why) for why in ("idle", "header")) >= 1
        quiet(rig)


def test_lines_that_trickle_lose_their_connection_though_something_comes_all_the_time(where):
    with served(http=where, limits=SHORT) as rig, rig.raw() as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(10_000):
                link.sendall(b"A: b\r\n")
                threading.Event().wait(0.01)
            pytest.fail("it went on")
        assert rig.count("hashwarden_serve_connections_cut_total", reason="header") == 1


@pytest.mark.parametrize("head", [b"A: " + b"x" * 40_000, b"\r\n".join([b"A: b"] * 9_000), b"Cookie: " + b"y" * 20_000])
def test_lines_that_are_too_long_get_431(where, head):
    with served(http=where) as rig, rig.raw() as link:
        link.sendall(request(b"GET /healthz", head))
        assert everything(link).startswith(b"HTTP/1.1 431 ")


def test_an_endless_line_gets_431(where):
    with served(http=where) as rig, rig.raw() as link:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            link.sendall(b"GET /" + b"x" * 10_000_000)
        assert everything(link).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_no_http_gets_400(where, sent):
    with served(http=where) as rig, rig.raw() as link:
        link.sendall(sent)
        found = everything(link)
        assert found.startswith(b"HTTP/1.1 400 ")
        assert json.loads(found.partition(b"\r\n\r\n")[2]) == {"error": "this is no HTTP request"}


def test_two_lengths_are_no_request(where):
    with served(http=where) as rig:
        for second in (b"Content-Length: 6", b"Transfer-Encoding: chunked"):
            with rig.raw() as link:
                link.sendall(request(b"POST /v1/push", b"Content-Length: 5", second, body=b"0\r\n\r\n"))
                assert everything(link).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_does_not_read_loses_its_connection_and_holds_nobody_up(where):
    with served(http=where, limits={**SHORT, "in_flight": 1, "waiting": 8}) as rig:
        with rig.raw() as first, rig.raw() as second:
            for link in (first, second):
                link.sendall(request(b"GET /v1/much"))
            assert rig.ask("/v1/push", "POST", b"{}")[0] == 200
            until(lambda: rig.count("hashwarden_serve_connections_cut_total", reason="answer") == 2)
        quiet(rig)


def test_a_client_that_says_goodbye_and_does_not_read_loses_its_connection(where):
    with served(http=where, limits=SHORT) as rig:
        with rig.raw() as link:
            link.sendall(request(b"GET /v1/much", b"Connection: close"))
            until(lambda: rig.count("hashwarden_serve_connections_cut_total", reason="answer") == 1)
        quiet(rig)


@pytest.mark.parametrize("path", ["/v1/push", "/v1/slow"])
def test_connections_that_drop_leave_nothing(where, path):
    hold = threading.Event()
    with served(routes(hold), http=where, limits={"in_flight": 40}) as rig:
        for _ in range(20):
            with rig.raw() as link:
                length = 500_000 if path == "/v1/push" else 5
                link.sendall(request(f"POST {path}".encode(), b"Content-Length: %d" % length, body=b"x" * 5))
        hold.set()
        quiet(rig)


def test_what_is_too_much_is_refused_at_once_and_what_was_accepted_is_answered(where):
    hold = threading.Event()
    with served(routes(hold), http=where, limits={"in_flight": 2, "waiting": 3, "wait_s": 30.0}) as rig:
        with ThreadPoolExecutor(5) as pool:
            accepted = [pool.submit(rig.ask, "/v1/slow", "POST", b"{}") for _ in range(5)]
            until(lambda: rig.count("hashwarden_serve_waiting") == 3)
            for _ in range(20):
                with contextlib.closing(rig.link()) as link:
                    link.request("POST", "/v1/push", b"{}")
                    found = link.getresponse()
                    assert (found.status, found.headers["Retry-After"]) == (503, "1")
            assert rig.ask("/healthz")[0] == 200, "health is told even then"
            hold.set()
            assert [each.result() for each in accepted] == [(200, {"held": True})] * 5
        assert rig.count("hashwarden_serve_shed_total", reason="busy") == 20
        assert rig.count("hashwarden_serve_requests_total", route="/v1/slow", status="200") == 5
        quiet(rig)


def test_who_only_waits_for_a_verdict_takes_no_place(where):
    hold = threading.Event()
    with served(routes(hold), http=where, limits={"in_flight": 1, "waiting": 1}) as rig, ThreadPoolExecutor(8) as pool:
        accepted = [pool.submit(rig.ask, "/v1/wait", "POST", b"{}")]
        for count in range(2, 9):
            until(lambda n=count: rig.count("hashwarden_serve_in_flight") == n - 1)
            accepted.append(pool.submit(rig.ask, "/v1/wait", "POST", b"{}"))
        assert rig.ask("/v1/push", "POST", b"{}")[0] == 200
        hold.set()
        assert [each.result() for each in accepted] == [(200, {"waited": True})] * 8


def test_nobody_waits_for_ever(where):
    hold = threading.Event()
    with served(routes(hold), http=where, limits={"in_flight": 1, "waiting": 5, "wait_s": 0.1}) as rig:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(rig.ask, "/v1/slow", "POST", b"{}")
            until(lambda: rig.count("hashwarden_serve_in_flight") == 1)
            assert rig.ask("/v1/push", "POST", b"{}")[0] == 503
            hold.set()
            assert first.result()[0] == 200
        quiet(rig)


def test_each_identity_has_its_own_rate(where, tmp_path):
    tokens = tmp_path / "tokens.json"
    one, two = ({"Authorization": f"Bearer {new_token(tokens, name, [Role.PUSH])}"} for name in ("one", "two"))
    with served(http=where, access={"tokens": tokens}, limits={"rate_per_s": 0.001, "burst": 3}) as rig:
        assert [rig.ask("/v1/push", "POST", b"", **one)[0] for _ in range(5)] == [200, 200, 200, 429, 429]
        with contextlib.closing(rig.link()) as link:
            link.request("POST", "/v1/push", headers=one)
            assert 900 < int(link.getresponse().headers["Retry-After"]) <= 1001
        assert rig.ask("/v1/push", "POST", b"", **two)[0] == 200
        assert rig.ask("/healthz")[0] == 200


def test_connections_have_a_bound(where):
    with served(http=where, limits={"connections": 2}) as rig:
        with rig.raw() as first, rig.raw(), rig.raw() as third:
            found = everything(third)
            assert found.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in found
            first.sendall(request(b"GET /healthz"))
            assert answer(first)[0] == 200
        until(lambda: rig.count("hashwarden_serve_connections") == 0)
        assert rig.ask("/healthz")[0] == 200


def test_requests_that_come_before_their_turn_are_answered_in_turn_and_not_by_the_thousand(where):
    with served(http=where) as rig:
        with rig.raw() as link:
            link.sendall(
                b"".join(request(b"POST /v1/push", b"Content-Length: %d" % n, body=b"x" * n) for n in range(9))
            )
            found = b""
            while found.count(b"}") < 9:
                found += link.recv(65536)
            assert [int(n) for n in re.findall(rb'"bytes":(\d+)', found)] == list(range(9))
        with rig.raw() as link:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                link.sendall(request(b"GET /v1/who") * 1_000)
            everything(link)
        assert rig.count("hashwarden_serve_connections_cut_total", reason="pipeline") == 1
        quiet(rig)


def test_a_whole_request_is_answered_though_nonsense_comes_after_it(where):
    with served(http=where) as rig, rig.raw() as link:
        link.sendall(request(b"POST /v1/push", b"Content-Length: 3", body=b"abc") * 3 + b"\x00nonsense\r\n\r\n")
        assert everything(link).count(b'{"bytes":3}') == 3


def test_a_body_that_turns_into_nonsense_is_answered_once(where):
    with served(http=where) as rig, rig.raw() as link:
        link.sendall(request(b"POST /v1/push", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"))
        until(lambda: rig.count("hashwarden_serve_in_flight") == 1)
        link.sendall(b"nonsense\r\n")
        found = everything(link)
        assert found.startswith(b"HTTP/1.1 400 ")
        assert found.count(b"HTTP/1.1") == 1
        link.close()
        quiet(rig)


def test_clients_that_go_in_the_middle_are_no_fault_of_ours(where):
    told = []

    class Ear(logging.Handler):
        def emit(self, record):
            told.append(record)

    ear, hold = Ear(logging.WARNING), threading.Event()
    LOGGER.addHandler(ear)
    try:
        with served(routes(hold), http=where) as rig:
            for _ in range(20):
                with rig.raw() as link:
                    link.sendall(request(b"POST /v1/slow", b"Content-Length: 0") + request(b"GET /v1/who") * 3)
            until(lambda: rig.count("hashwarden_serve_connections") == 0)
            hold.set()
            quiet(rig)
    finally:
        LOGGER.removeHandler(ear)
    assert told == []


def test_an_accepted_request_is_answered_though_the_service_is_stopped(where):
    hold = threading.Event()
    with served(routes(hold), http=where, limits={"drain_s": 30.0}) as rig, ThreadPoolExecutor(4) as pool:
        accepted = [pool.submit(rig.ask, "/v1/slow", "POST", b"{}") for _ in range(4)]
        until(lambda: rig.count("hashwarden_serve_in_flight") == 4)
        rig.server.stop()
        until(lambda: refused(rig))
        assert rig.thread.is_alive()
        hold.set()
        assert [each.result() for each in accepted] == [(200, {"held": True})] * 4


def refused(rig):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        return link.connect_ex(rig.places[0]) != 0


def test_a_client_that_never_ends_does_not_keep_it_from_ending(where):
    with served(http=where, limits={"drain_s": 0.2}) as rig, rig.raw() as link:
        link.sendall(request(b"POST /v1/push", b"Content-Length: 5"))
        until(lambda: rig.count("hashwarden_serve_in_flight") == 1)
        rig.server.stop()
        rig.thread.join(30)
        assert not rig.thread.is_alive()


def test_a_fault_of_ours_is_told_without_details(where, caplog):
    with served(http=where) as rig:
        assert rig.ask("/v1/broken?secret=hunter2") == (500, {"error": "a fault of the service; see its log"})
        assert rig.ask("/v1/who")[0] == 200
    assert rig.count("hashwarden_serve_requests_total", route="/v1/broken", status="500") == 1


def test_routes_are_the_labels_whatever_is_asked_for(where):
    with served(http=where) as rig:
        for n in range(30):
            assert rig.ask(f"/v1/nothing/{n}")[0] == 404
        text = rig.ask("/metrics")[1]
        assert 'hashwarden_serve_requests_total{route="other",status="404"} 30.0' in text
        assert "nothing" not in text
