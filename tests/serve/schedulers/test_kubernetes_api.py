"""The calls themselves: certificates, tokens that are exchanged, servers that are down, slow, silent or that lie."""

import base64
import importlib.util
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.schedulers import kubernetes_api
from hashwarden.serve.schedulers.kubernetes_access import Access, find_access, from_kubeconfig, in_cluster
from hashwarden.serve.schedulers.kubernetes_access import look_for_access as look
from hashwarden.serve.schedulers.kubernetes_api import ApiAway, KubernetesApi, path_of

_SPEC = importlib.util.spec_from_file_location("kubernetes_stand_in", Path(__file__).parent / "kubernetes_stand_in.py")
fake = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fake)

NODE = "/api/v1/nodes/n1"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[object, Path]]:
    with fake.stand_in(tmp_path_factory.mktemp("api")) as (server, authority):
        server.objects[NODE] = {"metadata": {"name": "n1"}}
        yield server, authority


@pytest.fixture
def account(served, tmp_path) -> tuple[Path, dict[str, str]]:
    """The folder of a service account as a pod has it, and its environment."""
    server, authority = served
    server.tokens = {"first"}
    (tmp_path / "ca.crt").write_bytes(authority.read_bytes())
    (tmp_path / "token").write_text("first\n")
    port = str(server.server_port)
    return tmp_path, {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}


def test_the_service_account_of_the_pod(account):
    folder, environment = account
    api = KubernetesApi(look(None, environment, folder))
    assert api.call("GET", NODE).body["metadata"]["name"] == "n1"
    api.close()


def test_a_token_that_is_exchanged_is_read_anew(account, served):
    folder, environment = account
    api = KubernetesApi(in_cluster(environment, folder))
    assert api.call("GET", NODE).fine
    served[0].tokens = {"second"}
    with pytest.raises(ApiAway, match="401"):
        api.call("GET", NODE)
    (folder / "token").write_text("second")
    assert api.call("GET", NODE).fine
    api.close()


def test_an_authority_that_is_exchanged_is_read_anew(account, served, tmp_path_factory):
    folder, environment = account
    other, _ = fake.certificate(tmp_path_factory.mktemp("other"), "other")
    right = (folder / "ca.crt").read_bytes()
    (folder / "ca.crt").write_bytes(other.read_bytes())
    api = KubernetesApi(in_cluster(environment, folder))
    for _ in range(2):
        with pytest.raises(ApiAway, match="CERTIFICATE_VERIFY_FAILED"):
            api.call("GET", NODE)
    (folder / "ca.crt").unlink()
    with pytest.raises(ApiAway, match="FileNotFoundError"):
        api.call("GET", NODE)
    (folder / "ca.crt").write_bytes(right)
    assert api.call("GET", NODE).fine
    api.close()


def test_a_token_is_in_no_message(account):
    folder, environment = account
    (folder / "token").write_text("secret\r\nX-Other: secret")
    api = KubernetesApi(in_cluster(environment, folder))
    with pytest.raises(ApiAway) as caught:
        api.call("GET", NODE)
    assert "secret" not in str(caught.value) + str(caught.value.__cause__)
    assert "secret" not in repr(in_cluster(environment, folder))


def test_nobody_there(account):
    folder, environment = account
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        environment["KUBERNETES_SERVICE_PORT"] = str(closed.getsockname()[1])
        with pytest.raises(ApiAway, match="refused"):
            KubernetesApi(in_cluster(environment, folder)).call("GET", NODE)


@pytest.mark.parametrize(("status", "away"), [(403, False), (404, False), (409, False), (422, False)])
def test_a_no_for_good_is_an_answer(status, away, account, served):
    folder, environment = account
    served[0].refuse = {("GET", "/nodes/"): status}
    try:
        answer = KubernetesApi(in_cluster(environment, folder)).call("GET", NODE)
    finally:
        served[0].refuse = {}
    assert (answer.status, answer.fine, answer.words) == (status, False, f"{status}: cannot get /nodes/")


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_no_for_now_is_away(status, account, served):
    folder, environment = account
    served[0].refuse = {("GET", "/nodes/"): status}
    try:
        with pytest.raises(ApiAway, match=str(status)):
            KubernetesApi(in_cluster(environment, folder)).call("GET", NODE)
    finally:
        served[0].refuse = {}


@contextmanager
def _raw(*pieces: bytes, gap_s: float = 0.0) -> Iterator[KubernetesApi]:
    """A server that says these bytes to everybody, with time between."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                try:
                    for piece in pieces:
                        client.sendall(piece)
                        time.sleep(gap_s)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    api = KubernetesApi(Access(f"http://127.0.0.1:{listener.getsockname()[1]}"), timeout_s=0.5)
    try:
        yield api
    finally:
        api.close()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([b""], "ProtocolError"),
        ([b"SSH-2.0-OpenSSH\r\n"], "ProtocolError"),
        ([HEAD + b"Content-Length: 9999\r\n\r\n{}"], "IncompleteRead"),
        ([HEAD + b"Content-Length: 9\r\n\r\nnot JSON!"], "no message"),
        ([HEAD + b"Content-Length: 2\r\n\r\n[]"], "no message"),
        ([HEAD + b"Content-Length: 200000\r\n\r\n" + b"[" * 200000], "no message"),
    ],
)
def test_what_is_no_answer(pieces, words):
    with _raw(*pieces) as api, pytest.raises(ApiAway, match=words):
        api.call("GET", NODE)


def test_one_that_says_a_byte_now_and_then_is_given_up():
    drip = [HEAD + b"Content-Length: 100\r\n\r\n", *[b" "] * 12]
    with _raw(*drip, gap_s=0.1) as api, pytest.raises(ApiAway, match="not whole after"):
        api.call("GET", NODE)


def test_an_answer_in_chunks():
    chunks = [b'8\r\n{"a": "b\r\n', b'3\r\nc"}\r\n', b"0\r\n\r\n"]
    with _raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, gap_s=0.01) as api:
        assert api.call("GET", NODE).body == {"a": "bc"}


def test_one_that_says_nothing_is_given_up():
    with _raw(b"", gap_s=1.0) as api, pytest.raises(ApiAway, match="timed out"):
        api.call("GET", NODE)


def test_an_answer_beyond_all_measure_is_cut_off(monkeypatch):
    monkeypatch.setattr(kubernetes_api, "LONGEST_ANSWER", 100_000)
    body = b'{"a": "' + b"x" * 300_000 + b'"}'
    with (
        _raw(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body) as api,
        pytest.raises(ApiAway, match="more than 100000 bytes"),
    ):
        api.call("GET", NODE)


def test_nobody_is_followed_elsewhere():
    with _raw(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n") as api:
        answer = api.call("GET", NODE)
    assert (answer.status, answer.fine) == (302, False)


def test_a_name_stays_in_its_place():
    assert path_of("api", "../x", "a/b?c#d") == "/api/..%2Fx/a%2Fb%3Fc%23d"


def _kubeconfig(folder: Path, user: dict | None = None, **cluster) -> Path:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"} | cluster}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
    }
    file = folder / "config"
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize(
    ("user", "cluster", "words"),
    [
        ({"exec": {"command": "aws"}}, {}, "exec"),
        ({"username": "a", "password": "b"}, {}, "username"),
        ({"auth-provider": {"name": "gcp"}}, {}, "auth-provider"),
        (None, {"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
        (None, {"server": "http://10.0.0.1:8080"}, "http://10.0.0.1"),
        (None, {"server": "file:///etc/passwd"}, "file:"),
        (None, {"certificate-authority": "none.crt"}, "FileNotFoundError"),
        (None, {"certificate-authority-data": "!!!"}, "certificate-authority"),
        (None, {"certificate-authority-data": base64.b64encode(b"no PEM").decode()}, "certificates"),
    ],
)
def test_a_kubeconfig_that_asks_for_too_much(user, cluster, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        from_kubeconfig(_kubeconfig(tmp_path, user, **cluster))


@pytest.mark.parametrize("text", ["", "[]", "a: [", "&a [*a]", "current-context: x", "!!python/object:os.system {}"])
def test_a_file_that_is_no_kubeconfig(text, tmp_path):
    (tmp_path / "config").write_text(text)
    with pytest.raises(UsageError):
        from_kubeconfig(tmp_path / "config")


def test_a_kubeconfig_with_a_token_in_a_file_and_a_client_certificate(served, tmp_path):
    server, authority = served
    server.tokens = {"from-file"}
    (tmp_path / "token").write_text("from-file\n")
    made, key = fake.certificate(tmp_path, "client")
    data = {"certificate-authority-data": base64.b64encode(authority.read_bytes()).decode()}
    user = {"tokenFile": "token", "client-certificate": made.name, "client-key": key.name}
    address = f"https://127.0.0.1:{server.server_port}"
    api = KubernetesApi(from_kubeconfig(_kubeconfig(tmp_path, user, server=address, **data)))
    assert api.call("GET", NODE).fine
    api.close()


def test_where_the_api_server_is_looked_for(tmp_path, account):
    folder, inside = account
    file = _kubeconfig(tmp_path)
    port = inside["KUBERNETES_SERVICE_PORT"]
    assert look(None, {}, tmp_path / "none") is None or Path("/root/.kube/config").exists()
    assert look(None, inside | {"KUBECONFIG": str(file)}, folder).server == f"https://127.0.0.1:{port}"
    assert look(None, {"KUBECONFIG": f"{file}:/other"}, tmp_path / "none").server == "https://127.0.0.1:1"
    assert look(file, inside, folder).server == "https://127.0.0.1:1"
    assert in_cluster(inside | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, folder).server == f"https://[fd00::1]:{port}"
    with pytest.raises(UsageError, match="no API server"):
        find_access(None, {"HOME": str(tmp_path)}, tmp_path / "none")
