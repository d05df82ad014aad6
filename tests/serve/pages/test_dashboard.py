"""The dashboard's own server, over real sockets: who gets in, what is handed on, policies that are tried."""

from __future__ import annotations

import http.client
import json
import math
import re
import time
from http import HTTPStatus
from pathlib import Path

import pytest

from hashwarden.errors import DataError, UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.trace_read import read_runs
from hashwarden.serve.agent.web import Request, Server, json_answer
from hashwarden.serve.agent_client import Peer, url_peer
from hashwarden.serve.pages.dashboard import Dashboard
from hashwarden.serve.pages.drill import Drill
from hashwarden.serve.pages.mount import mounted
from hashwarden.serve.pages.policies import EXAMPLE
from hashwarden.serve.pages.trial import tried
from hashwarden.serve.pages.trials import Trials

DEMO = Path(__file__).parents[3] / "data" / "job" / "demo.parquet"
MINER = "mining-progpow-plain-90000002"


class Agent:
    """Answers on a Unix socket."""

    def __init__(self):
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        if request.path == "/v1/status":
            return json_answer(HTTPStatus(200), {"node": "gpu-node-7", "policy": {"mode": "enforce"}})
        if request.path == "/v1/jobs":
            return json_answer(HTTPStatus(200), {"jobs": []})
        if request.path.endswith("/approve"):
            return json_answer(HTTPStatus(409), {"error": "the case is closed"})
        return json_answer(HTTPStatus(404), {"error": "no such page of the agent"})


class Client:
    """A browser's part: keeps the cookie."""

    def __init__(self, port):
        self.port, self.cookie = port, ""

    def ask(self, path, method="GET", body=None, **headers):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        head = {"Cookie": self.cookie, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body is not None:
            head = {"Content-Type": "application/json", **head}
        link.request(method, path, json.dumps(body) if isinstance(body, dict) else body, head)
        answer = link.getresponse()
        text = answer.read()
        if answer.getheader("Set-Cookie"):
            self.cookie = answer.getheader("Set-Cookie").partition(";")[0]
        link.close()
        kind = answer.getheader("Content-Type", "")
        return answer.status, json.loads(text) if kind == "application/json" else text, answer

    def wait(self, path, done):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            found = self.ask(path)[1]
            if done(found):
                return found
            time.sleep(0.1)
        raise AssertionError(found)


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """A dashboard of an agent and of one that is away; gives it with its keys, its server and the agent."""
    folder, agent, keys = tmp_path_factory.mktemp("node"), Agent(), []
    node = Server(folder / "agent.sock", agent)
    dashboard = Dashboard([Peer(folder / "agent.sock"), Peer(folder / "away.sock")], [DEMO], keys.append)
    server = Server("127.0.0.1:0", dashboard)
    yield server, keys, agent
    for each in (server, dashboard, node):
        each.close()


@pytest.fixture
def client(rig):
    found = Client(rig[0].port)
    assert found.ask(f"/?key={rig[1][-1]}")[0] == 200
    return found


def test_without_its_link_nothing_is_answered(rig):
    stranger = Client(rig[0].port)
    for path in (
        "/",
        "/app.js",
        "/v1/jobs",
        "/plain",
        "/?key=",
        "/?key=guess",
        "/v1/policy/replay",
        "/plain/deed?id=HW-A",
    ):
        status, text, answer = stranger.ask(path)
        assert (status, stranger.cookie) == (401, ""), path
        assert b"The link is missing" in text
        assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
    stranger.cookie = "hashwarden=" + "A" * 43
    assert stranger.ask("/")[0] == 401


def test_a_link_is_good_once_and_gives_a_strict_cookie(rig):
    key, first, second = rig[1][-1], Client(rig[0].port), Client(rig[0].port)
    _, text, answer = first.ask(f"/?key={key}")
    assert re.fullmatch(r"hashwarden=\S+; Path=/; HttpOnly; SameSite=Strict", answer.getheader("Set-Cookie"))
    assert b'content="0;url=/"' in text
    assert key not in first.cookie
    assert first.ask("/")[0] == first.ask("/app.js")[0] == 200
    assert second.ask(f"/?key={key}")[0] == 401
    assert rig[1][-1] != key
    assert second.ask(f"/?key={rig[1][-1]}")[0] == 200
    assert second.ask("/v1/jobs")[:2] == (200, {"jobs": []})


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example.org"}, {"Origin": "http://evil.example.org"}, {"Origin": "http://127.0.0.1:1"},
     {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}],
)  # fmt: skip
def test_pages_of_others_decide_nothing(client, rig, headers):
    before = len(rig[2].asked)
    assert client.ask("/v1/cases/HW-A/approve", "POST", {"reason": "hehe"}, **headers)[0] == 403
    assert len(rig[2].asked) == before


def test_what_pages_need_is_handed_on_and_nothing_else(client, rig):
    assert client.ask("/v1/jobs")[:2] == (200, {"jobs": []})
    assert client.ask("/v1/job?key=a%26b%3Dc")[0] == 404
    assert rig[2].asked[-1].query == {"key": "a&b=c"}
    assert client.ask("/v1/cases/HW-A/approve", "POST", {"reason": "x"})[:2] == (409, {"error": "the case is closed"})
    before = len(rig[2].asked)
    for path, method in (
        ("/v1/secret", "GET"),
        ("/v1/jobs", "POST"),
        ("/v1/cases/a%2f..%2fb", "GET"),
        ("/v1/cases/HW-A", "PUT"),
    ):
        assert client.ask(path, method, {} if method != "GET" else None)[0] == 404
    assert client.ask("/v1/cases/HW-A/approve", "POST", "reason=x", Content_Type="text/plain")[0] == 415
    assert client.ask("/v1/cases/HW-A/approve", "POST", "{")[0] == 400
    assert len(rig[2].asked) == before


def test_several_nodes_are_named_and_one_that_is_away_is_no_calm_one(client):
    nodes = client.ask("/hosted.json")[1]["nodes"]
    assert nodes[0]["name"] == "gpu-node-7"
    assert nodes[1]["where"].endswith("away.sock")
    assert client.ask("/nodes/0/v1/jobs")[:2] == (200, {"jobs": []})
    for path in ("/nodes/1/v1/jobs", "/nodes/2/v1/jobs", "/nodes/999/healthz"):
        status, found, _ = client.ask(path)
        assert (status, found["lost"]) == (502, True)
    assert client.ask("/plain?node=1")[0] == 502
    assert client.ask("/plain?node=x")[0] == 502
    assert client.ask("/plain?node=0")[0] == 200


def test_a_policy_is_read_as_it_is_typed(client):
    good = client.ask("/v1/policy/check", "POST", {"policy": EXAMPLE})[1]
    assert good["good"] is True
    assert any("dry-run" in words for words in good["remarks"])
    bad = client.ask("/v1/policy/check", "POST", {"policy": 'mode = "dry-run"\n\n[[rules]]\nnam = "x"\n'})[1]
    assert (bad["good"], bad["line"]) == (False, 4)
    assert "'name'" in bad["error"]
    broken = client.ask("/v1/policy/check", "POST", {"policy": 'mode = "enforce"\n[[rules\n'})[1]
    assert (broken["good"], broken["line"]) == (False, 2)
    assert client.ask("/v1/policy/check", "POST", {"policy": 7})[0] == 400
    assert client.ask("/v1/policy/check", "POST", "[]")[0] == 400


@pytest.mark.parametrize(
    "change", [{"speed": "fast"}, {"speed": 0}, {"speed": 1e9}, {"speed": True}, {"run": 3}, {"policy": "x" * 60_001},
               {"job": "slurm:404"}],
)  # fmt: skip
def test_a_trial_that_cannot_be_meant_is_refused(client, change):
    status, found, _ = client.ask("/v1/policy/replay", "POST", {"policy": EXAMPLE, "run": "", **change})
    assert status == 400
    assert found["error"]


def test_a_policy_is_tried_on_a_run_of_a_trace_in_another_process(client):
    page = client.wait("/v1/policy/replay", lambda found: not found["lists"])
    assert (page["example"], page["error"]) == (EXAMPLE, "")
    assert MINER in [run["run"] for run in page["runs"]]
    status, begun, _ = client.ask(
        "/v1/policy/replay", "POST", {"policy": EXAMPLE, "run": MINER, "speed": 10, "approve": True}
    )
    assert status == 202
    found = client.wait(f"/v1/policy/replay/{begun['id']}", lambda found: found["state"] != "running")
    assert found["state"] == "done", found
    [run] = found["runs"]
    kinds = [one["kind"] for one in run["decisions"] if one["change"] == "asked"]
    assert kinds == ["warn", "warn", "requeuehold"]
    assert 0 < run["ended_s"] < run["end_s"]
    assert client.ask("/v1/policy/replay/0123456789abcdef")[0] == 404
    assert client.ask("/v1/policy/replay/../x")[0] == 404


def test_the_samples_of_a_job_that_runs_are_a_run_too():
    run = next(run for run in read_runs(DEMO) if run.name == MINER)
    few = slice(0, 300)
    columns = {c.name: [None if math.isnan(value) else float(value) for value in run.values[few, place]]
               for place, c in enumerate(CHANNELS)}  # fmt: skip
    window = {"job": "slurm:7", "unix_s": (1.7e9 + run.times[few]).tolist(), "channels": columns}
    question = {"policy": EXAMPLE, "run": "", "speed": 10.0, "approve": False, "window": window, "traces": [],
                "attributes": {"kind": "slurm", "user": "ada"}}  # fmt: skip
    [found] = tried(question)["runs"]
    assert (found["run"], found["user"], found["worst"]) == ("slurm:7", "ada", "confirmed")
    assert any(one["kind"] == "warn" for one in found["decisions"])
    assert found["ended_s"] is None
    with pytest.raises(UsageError, match="no samples"):
        tried({**question, "window": {"job": "x", "unix_s": [], "channels": {}}})


def test_a_trial_is_ended_when_its_time_is_up_or_another_begins():
    trials = Trials([DEMO], patience_s=0.05)
    name = trials.begin({"what": "try", "policy": EXAMPLE, "run": "", "speed": 10.0, "approve": False})
    end = time.monotonic() + 30
    while trials.result(name)["state"] == "running" and time.monotonic() < end:
        time.sleep(0.02)
    assert trials.result(name)["state"] == "failed"
    assert trials.result(name)["error"] == "not done within 0 s"
    assert trials.result("unknown") is None
    trials.close()


def test_what_is_no_trace_is_said_in_words(tmp_path):
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"PAR1 not at all")
    with pytest.raises(UsageError, match="no such file"):
        Drill(tmp_path / "none.parquet", 60)
    with pytest.raises(DataError, match=r"did not begin|nothing to watch"):
        Drill(bad, 60)


def test_a_service_is_asked_with_its_token_which_the_browser_never_sees(tmp_path):
    token, keys, agent = tmp_path / "token", [], Agent()
    token.write_text("s3cret-token\n")
    service = Server("127.0.0.1:0", agent)
    dashboard = Dashboard([url_peer(f"http://127.0.0.1:{service.port}", token)], [], keys.append)
    server = Server("127.0.0.1:0", dashboard)
    try:
        client = Client(server.port)
        client.ask(f"/?key={keys[-1]}")
        status, found, answer = client.ask("/v1/status")
        assert (status, found["node"]) == (200, "gpu-node-7")
        assert agent.asked[-1].headers["authorization"] == "Bearer s3cret-token"
        assert "s3cret" not in str(answer.getheaders()) + str(client.ask("/hosted.json")[1])
        assert "cookie" not in agent.asked[-1].headers
    finally:
        for each in (server, dashboard, service):
            each.close()


def test_pages_beside_an_api_answer_as_whoever_asked(tmp_path):
    agent = Agent()
    handler = mounted(agent)
    server = Server(tmp_path / "a.sock", handler)
    try:
        assert handler(Request("GET", "/v1/status")).status == 200
        page = handler(Request("GET", "/plain", headers={"host": "localhost"}))
        assert page.status == 200
        assert b"gpu-node-7" in page.body
        assert handler(Request("GET", "/", headers={"host": "localhost"})).kind.startswith("text/html")
        assert handler(Request("GET", "/", headers={"host": "evil.example.org"})).status == 403
        assert agent.asked[-1].headers == {"host": "localhost"}
    finally:
        server.close()
