"""The agent's HTTP, over real sockets: who may ask what, and clients that are slow, large, many or wrong."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.agent.api import Api, Probes, socket_access
from hashwarden.serve.agent.web import BODY_BYTES, Server
from hashwarden.serve.journal import StorageError
from hashwarden.serve.policy.approvals import ForbiddenError

ASK = """
import http.client, json, os, socket, sys
os.setgroups([int(g) for g in sys.argv[5].split(",") if g]); os.setresgid(*[int(sys.argv[4])] * 3)
os.setresuid(*[int(sys.argv[3])] * 3)
link = http.client.HTTPConnection("x"); link.sock = socket.socket(socket.AF_UNIX); link.sock.connect(sys.argv[1])
method, path = sys.argv[2].split()
link.request(method, path, json.dumps({"reason": "it is a drill"}))
answer = link.getresponse(); print(answer.status, answer.read().decode())
"""


class View:
    """What an agent shows, of fixed content."""

    def __init__(self) -> None:
        self.live, self.well, self.decided = True, True, []

    def alive(self) -> bool:
        return self.live

    def ready(self) -> Mapping[str, Any]:
        return {"ready": self.well, "blind": []}

    def metrics(self) -> bytes:
        return b"hashwarden_jobs 1.0\n"

    def status(self) -> Mapping[str, Any]:
        return {"node": "n"}

    def jobs(self) -> list[Mapping[str, Any]]:
        return [{"job": "slurm:1"}]

    def cases(self) -> list[Mapping[str, Any]]:
        return [{"id": "HW-ABC"}]

    def case(self, id_: str) -> Mapping[str, Any] | None:
        return {"id": id_} if id_ in ("HW-ABC", "HW-DISK", "HW-OWN") else None

    def gpus(self) -> list[Mapping[str, Any]]:
        return [{"gpu": "GPU-1"}]

    def ended_jobs(self, gpu: str = "", user: str = "") -> list[Mapping[str, Any]]:
        return [{"job": "slurm:0", "asked": [gpu, user]}]

    def job(self, key: str) -> Mapping[str, Any] | None:
        return {"job": key} if key == "pod:1/ü" else None

    def channels(self, key: str, gpu: str, names: tuple[str, ...] = ()) -> Mapping[str, Any] | None:
        if "no_such" in names:
            raise UsageError("the channel 'no_such'", "a channel", "Correct it.")
        return {"gpu": gpu, "names": list(names)} if self.job(key) else None

    def kernels(self, key: str) -> Mapping[str, Any] | None:
        return {"kernels": []} if self.job(key) else None

    def decide(self, case: str, word: str, by: str, reason: str) -> Mapping[str, Any]:
        if case == "HW-DISK":
            raise StorageError("no room", "room", "Make room.")
        if case == "HW-OWN":
            raise ForbiddenError("the user of the job", "somebody else (four_eyes)", "Ask a second person.")
        if case != "HW-ABC":
            raise UsageError(f"the case {case}", "an open case", "See hashwarden cases.")
        self.decided.append((case, word, by, reason))
        return {"id": case, "word": word}


@pytest.fixture
def view() -> View:
    return View()


@pytest.fixture
def tcp(view: View) -> Iterator[int]:
    server = Server("127.0.0.1:0", Probes(view))
    yield server.port
    server.close()


@pytest.fixture
def path(view: View, tmp_path: Path) -> Iterator[Path]:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o711)  # other users are to reach the socket, also where each worker has a folder of its own
    server = Server(tmp_path / "agent.sock", Api(view, ("daemon", "@staff")), *socket_access(("daemon", "@staff")))
    yield tmp_path / "agent.sock"
    server.close()
    assert not (tmp_path / "agent.sock").exists()


def get(port: int, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    link.request(method, path, body)
    answer = link.getresponse()
    found = answer.status, answer.read()
    link.close()
    return found


def ask(path: Path, words: str, uid: int = 0, gid: int = 0, groups: str = "") -> tuple[int, dict[str, Any]]:
    """As another user, from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(path), words, str(uid), str(gid), groups], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    status, _, body = done.stdout.partition(" ")
    return int(status), json.loads(body)


def test_health_and_metrics_are_for_anybody(tcp, view):
    assert get(tcp, "/metrics") == (200, b"hashwarden_jobs 1.0\n")
    assert get(tcp, "/healthz")[0] == 200
    assert get(tcp, "/readyz")[0] == 200
    view.live = view.well = False
    assert get(tcp, "/healthz")[0] == 503
    assert get(tcp, "/readyz") == (503, b'{"ready": false, "blind": []}\n')
    assert get(tcp, "/metrics", "HEAD") == (200, b"")


def test_nothing_else_is_there_on_tcp(tcp, view):
    assert get(tcp, "/v1/cases")[0] == 404
    assert get(tcp, "/v1/cases/HW-ABC/approve", "POST", b'{"reason": "x"}')[0] == 405
    assert get(tcp, "/../../etc/passwd")[0] in (400, 404)
    assert view.decided == []


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")
def test_the_kernel_says_who_approves(path, view):
    assert ask(path, "POST /v1/cases/HW-ABC/approve") == (200, {"id": "HW-ABC", "word": "approve"})
    assert ask(path, "POST /v1/cases/HW-ABC/reject", 1, 1)[0] == 200  # daemon
    assert ask(path, "POST /v1/cases/HW-ABC/approve", 65534, 65534)[0] == 403
    assert ask(path, "GET /v1/cases", 65534, 65534)[0] == 403
    assert ask(path, "GET /healthz", 65534, 65534)[0] == 200
    assert ask(path, "GET /v1/cases", 65534, 50)[0] == 200  # staff by the group of the process
    reason = "it is a drill"
    assert view.decided == [("HW-ABC", "approve", "root", reason), ("HW-ABC", "reject", "daemon", reason)]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")
def test_the_user_an_agent_runs_as_sees_its_pages_and_decides_nothing(view, path):
    own = path.with_name("own.sock")
    server = Server(own, Api(view, ("root",), own_uid=65534), 0o666)
    try:
        assert ask(own, "GET /v1/cases", 65534, 65534) == (200, {"cases": [{"id": "HW-ABC"}]})
        assert ask(own, "POST /v1/cases/HW-ABC/approve", 65534, 65534)[0] == 403
        assert ask(own, "GET /v1/cases", 1, 1)[0] == 403
        assert ask(own, "POST /v1/cases/HW-ABC/approve")[0] == 200
    finally:
        server.close()
    assert [by for _, _, by, _ in view.decided] == ["root"]


def test_what_is_shown_to_those_who_may(path):
    assert ask(path, "GET /v1/status")[1] == {"node": "n"}
    assert ask(path, "GET /v1/jobs")[1] == {"jobs": [{"job": "slurm:1"}]}
    assert ask(path, "GET /v1/cases")[1] == {"cases": [{"id": "HW-ABC"}]}
    assert ask(path, "GET /v1/cases/HW-ABC")[1] == {"id": "HW-ABC"}
    assert ask(path, "GET /v1/cases/HW-NO")[0] == 404
    assert ask(path, "POST /v1/cases/HW-NO/approve")[0] == 404
    assert ask(path, "POST /v1/cases/HW-DISK/approve")[0] == 503
    assert ask(path, "POST /v1/cases/HW-OWN/approve")[0] == 403
    assert ask(path, "POST /v1/cases/HW-ABC")[0] == 404
    assert ask(path, "DELETE /v1/cases/HW-ABC")[0] == 405


def test_pages_of_one_job_are_asked_for_by_its_key_whatever_stands_in_it(path):
    key = "pod%3A1%2F%C3%BC"
    assert ask(path, f"GET /v1/job?key={key}")[1] == {"job": "pod:1/ü"}
    assert ask(path, f"GET /v1/job/kernels?key={key}")[1] == {"kernels": []}
    found = ask(path, f"GET /v1/job/channels?key={key}&gpu=GPU-1&names=power_watts,,sm_clock_mhz&gpu=GPU-2")[1]
    assert found == {"gpu": "GPU-1", "names": ["power_watts", "sm_clock_mhz"]}
    assert ask(path, "GET /v1/gpus")[1] == {"gpus": [{"gpu": "GPU-1"}]}
    assert ask(path, "GET /v1/ended?gpu=GPU-1&user=jane")[1] == {
        "jobs": [{"job": "slurm:0", "asked": ["GPU-1", "jane"]}]
    }
    assert ask(path, f"GET /v1/job/channels?key={key}&names=no_such")[0] == 400
    for page in ("job", "job/channels", "job/kernels"):
        status, answer = ask(path, f"GET /v1/{page}?key=slurm:9%1b[2J")
        assert (status, "\x1b" in answer["error"], "slurm:9" in answer["error"]) == (404, False, True)
        assert ask(path, f"GET /v1/{page}")[0] == 404


def send(path: Path, method: str, page: str, headers: Mapping[str, str], body: bytes = b'{"reason": "x"}') -> int:
    link = http.client.HTTPConnection("x", timeout=10)
    link.sock = socket.socket(socket.AF_UNIX)
    link.sock.connect(str(path))
    link.request(method, page, body, dict(headers))
    status = link.getresponse().status
    link.close()
    return status


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:8080"},  # a name that was made to lead here
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost:8080", "Origin": "http://evil.example"},
        {"Host": "localhost:8080", "Origin": "null"},
        {"Host": "localhost:8080", "Origin": "http://localhost:9090"},
        {"Host": "localhost:8080", "Sec-Fetch-Site": "cross-site"},
        {"Host": "localhost:8080", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_somebody_else_decides_nothing(path, view, headers):
    assert send(path, "POST", "/v1/cases/HW-ABC/approve", headers) == 403
    assert view.decided == []
    assert send(path, "GET", "/v1/jobs", headers) == (200 if "localhost" in headers["Host"] else 403)


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "agent", "node.localhost:1"])
def test_the_agents_own_pages_decide_through_a_tunnel(path, view, host):
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert send(path, "POST", "/v1/cases/HW-ABC/approve", headers) == 200
    assert len(view.decided) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"reason": ""}', b'{"reason": 3}', b"\xff\xfe", b'{"why": "x"}'])
def test_an_approval_without_a_reason_is_none(path, view, body):
    link = http.client.HTTPConnection("x", timeout=10)
    link.sock = socket.socket(socket.AF_UNIX)
    link.sock.connect(str(path))
    link.request("POST", "/v1/cases/HW-ABC/approve", body)
    answer = link.getresponse()
    assert answer.status == 409
    assert "reason" in json.loads(answer.read())["error"]
    link.close()
    assert view.decided == []


def test_bodies_and_heads_are_bounded(tcp):
    assert get(tcp, "/healthz", "POST", b"x" * (BODY_BYTES + 1))[0] in (400, 405, 413)
    with socket.create_connection(("127.0.0.1", tcp), timeout=10) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"x" * 100_000)
        assert b" 413 " in link.recv(1000)


def test_clients_that_never_finish_do_not_stop_the_others(tcp):
    idle = [socket.create_connection(("127.0.0.1", tcp), timeout=20) for _ in range(20)]
    for link in idle:
        link.sendall(b"GET /healthz HTT")
    deadline, status = time.monotonic() + 60, 0
    while status != 200 and time.monotonic() < deadline:
        try:
            status = get(tcp, "/healthz")[0]
        except OSError:
            time.sleep(0.2)
    assert status == 200
    for link in idle:
        link.close()


def test_many_at_once_are_answered(tcp):
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(get(tcp, "/metrics")[0])) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 25


def test_a_fault_is_told_without_its_details(view):
    def broken() -> bytes:
        raise RuntimeError("secret")

    view.metrics = broken  # type: ignore[method-assign]
    server = Server("127.0.0.1:0", Probes(view))
    status, body = get(server.port, "/metrics")
    server.close()
    assert status == 500
    assert b"secret" not in body


def test_as_few_can_connect_as_may_approve():
    assert socket_access(("root",)) == (0o600, -1)
    assert socket_access(("root", "@staff")) == (0o660, 50)
    assert socket_access(("jane", "@staff")) == (0o666, -1)
    with pytest.raises(UsageError, match="no-such-group"):
        socket_access(("@no-such-group",))


@pytest.mark.parametrize("where", ["9475", "x:y", "127.0.0.1:99999", ":9475", "256.1.1.1:80"])
def test_addresses_that_cannot_be_are_refused(view, where):
    with pytest.raises(UsageError):
        Server(where, Probes(view))


def test_an_address_in_use_is_refused(view, tcp):
    with pytest.raises(UsageError, match=r"http\.listen"):
        Server(f"127.0.0.1:{tcp}", Probes(view))


def test_the_socket_of_an_agent_that_was_killed_is_no_hindrance_but_a_file_is(view, tmp_path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "a.sock"))
    left.close()
    Server(tmp_path / "a.sock", Probes(view)).close()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="no socket"):
        Server(tmp_path / "file", Probes(view))
    assert (tmp_path / "file").read_text() == "mine"


def test_clients_that_trickle_do_not_keep_the_threads(tcp):
    """A byte a second is no silence, and would hold each thread for hours: health checks would fail."""
    slow = [socket.create_connection(("127.0.0.1", tcp), timeout=20) for _ in range(20)]
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.5):
            for link in slow:
                with contextlib.suppress(OSError):
                    link.sendall(b"G")

    thread = threading.Thread(target=trickle)
    thread.start()
    time.sleep(1.0)
    deadline, status = time.monotonic() + 15, 0
    while status != 200 and time.monotonic() < deadline:
        try:
            status = get(tcp, "/healthz")[0]
        except OSError:
            time.sleep(0.2)
    stop.set()
    thread.join()
    for link in slow:
        link.close()
    assert status == 200
