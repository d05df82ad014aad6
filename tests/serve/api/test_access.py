"""Who is let in: users of a Unix socket, tokens, certificates; and pages of other sites."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import pwd
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hashwarden.errors import UsageError
from hashwarden.serve.api.access import Keeper
from hashwarden.serve.api.config import AccessSection
from hashwarden.serve.api.peers import Peer, Users
from hashwarden.serve.api.roles import Role
from hashwarden.serve.api.tokens import TokenFile, new_token, revoke_token

sys.path.insert(0, str(Path(__file__).parent))
from serve_rig import Authority, said, served, until

PATHS = ("/v1/who", "/v1/push", "/metrics", "/openapi.json", "/v2", "/v2/models/job", "/nothing", "/", "/v1/",
         "//healthz", "/healthz/", "/v2/healthy")  # fmt: skip


@pytest.fixture
def tokens(tmp_path):
    return tmp_path / "tokens.json"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_nothing_but_health_is_told_to_strangers(tmp_path, tokens):
    new_token(tokens, "a", [Role.ADMIN])
    with served(http={"socket": "", "listen": ["127.0.0.1:0"]}, access={"tokens": tokens}) as rig:
        for path in ("/healthz", "/readyz"):
            assert said(rig.tcp(), path)[0] == 200
        for path in PATHS:
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
                link = rig.tcp()
                link.request(method, path)
                answer = link.getresponse()
                assert (path, method, answer.status) == (path, method, 401)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
                link.close()


def test_the_kernel_says_who_asks_on_a_unix_socket(tmp_path):
    me = pwd.getpwuid(os.getuid()).pw_name
    with served(http={"socket": str(tmp_path / "s")}) as rig:
        assert rig.ask("/v1/who") == (200, {"name": me, "roles": sorted(Role)})
        assert rig.ask("/v1/who", **bearer("hw1_00000000_" + 43 * "x"))[0] == 401, "a token that is sent decides alone"


ASK_AS = """
import os, socket, sys

os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
for path in sys.argv[4:]:
    s.sendall(f"{'POST' if 'p' in path.split('/')[2][0:2] else 'GET'} {path} HTTP/1.1\\r\\nHost: localhost\\r\\n"
              "Content-Length: 0\\r\\n\\r\\n".encode())
    head = b""
    while b"\\r\\n\\r\\n" not in head: head += s.recv(1)
    length = int(head.lower().split(b"content-length:")[1].split()[0])
    while length: length -= len(s.recv(length))
    print(head.split()[1].decode())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becomes other users; needs root")
@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ({}, ["401", "401", "401"]),
        ({"nobody": ["read"]}, ["200", "403", "403"]),
        ({"*": ["push"]}, ["403", "200", "403"]),
        ({"@nogroup": ["approve"]}, ["200", "403", "403"]),
        ({"nobody": [], "daemon": ["admin"]}, ["403", "403", "403"]),
    ],
)
def test_users_and_groups_have_the_roles_that_they_were_given(tmp_path, users, expected):
    for folder in (tmp_path, *tmp_path.parents):  # under xdist there is one more
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    with served(http={"socket": str(tmp_path / "s")}, access={"users": users}) as rig:
        (tmp_path / "s").chmod(0o666)
        words = [rig.places[0], str(nobody.pw_uid), str(nobody.pw_gid), "/v1/who", "/v1/push", "/v1/admin"]
        done = subprocess.run([sys.executable, "-c", ASK_AS, *words], capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected


def test_tokens_have_their_roles_until_they_end(tmp_path, tokens, monkeypatch):
    read, push = new_token(tokens, "reader", [Role.READ]), new_token(tokens, "pusher", [Role.PUSH])
    short = new_token(tokens, "short", [Role.READ], 3600.0)
    with served(http={"socket": str(tmp_path / "s")}, access={"tokens": tokens}) as rig:
        assert rig.ask("/v1/who", **bearer(read)) == (200, {"name": "token:reader", "roles": ["read"]})
        assert rig.ask("/v1/push", "POST", b"{}", **bearer(push)) == (200, {"bytes": 2})
        status, answer = rig.ask("/v1/push", "POST", b"{}", **bearer(read))
        assert (status, answer["error"]) == (403, "token:reader may not: this takes the role 'push'")
        for path in ("/v1/who", "/metrics", "/openapi.json", "/v2"):
            assert rig.ask(path, **bearer(push))[0] == 403
        basic = base64.b64encode(f"anybody:{read}".encode()).decode()
        assert rig.ask("/v1/who", Authorization=f"Basic {basic}")[0] == 200
        for wrong in (read[:-1], read + "x", read.upper(), "", "x" * 5000, "hw1_", read.replace("_", "-", 1), "ä"):
            assert rig.ask("/v1/who", **bearer(wrong))[0] == 401
        for header in (read, f"Token {read}", f"Basic {read}", "Bearer", f"Bearer  {read} x"):
            assert rig.ask("/v1/who", Authorization=header)[0] == 401
        assert rig.ask("/v1/who", **bearer(short))[0] == 200
        monkeypatch.setattr("hashwarden.serve.api.access.time.time", lambda: 4e9)
        assert rig.ask("/v1/who", **bearer(short))[0] == 401


def test_a_token_is_shown_once_and_kept_as_a_hash(tokens):
    token = new_token(tokens, "a", [Role.READ])
    assert token.split("_", 2)[2] not in tokens.read_text()
    assert tokens.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="which there is"):
        new_token(tokens, "a", [Role.READ])
    with pytest.raises(UsageError, match="the name"):
        new_token(tokens, "a b", [Role.READ])
    revoke_token(tokens, "a")
    assert TokenFile(tokens).tokens == []
    with pytest.raises(UsageError, match="no token called"):
        revoke_token(tokens, "a")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tokens": [{}]}', '{"tokens": [{"roles": ["root"]}]}', "\xff"])
def test_a_file_of_tokens_that_is_none_is_refused_and_not_shown(tokens, text):
    tokens.write_text(text + "hidden", encoding="latin-1")
    tokens.chmod(0o600)
    with pytest.raises(UsageError) as caught:
        TokenFile(tokens)
    assert "hidden" not in str(caught.value)


def test_a_file_of_tokens_that_others_can_read_is_refused(tokens):
    new_token(tokens, "a", [Role.READ])
    tokens.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        Keeper(AccessSection(tokens=tokens))
    tokens.unlink()
    with pytest.raises(UsageError, match="token new"):
        Keeper(AccessSection(tokens=tokens))


def test_users_that_the_kernel_does_not_name_are_nobody():
    import asyncio

    users = Users({"*": ["admin"]})
    assert asyncio.run(users.identity(Peer(True, -1, -1))) is None
    known = asyncio.run(users.identity(Peer(True, 4_000_000, 4_000_000)))
    assert known is not None
    assert known.name == "4000000"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def secure(authority, tokens=None, **more):
    mine = authority.issue("service", "DNS:localhost", file="service.pem")
    return {"http": {"socket": "", "listen": ["127.0.0.1:0"]}, "tls": {"certificate": mine, **more},
            "access": {"tokens": tokens}}  # fmt: skip


def test_tls_with_tokens(tmp_path, tokens, authority):
    token = new_token(tokens, "a", [Role.READ])
    with served(**secure(authority, tokens)) as rig:
        assert rig.places[0].startswith("https://")
        assert said(rig.tcp(authority.client()), "/v1/who", **bearer(token))[1]["name"] == "token:a"
        assert said(rig.tcp(authority.client()), "/v1/who")[0] == 401
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(authority.file)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            said(rig.tcp(old), "/healthz")
        with pytest.raises((http.client.HTTPException, OSError)):
            said(rig.tcp(), "/healthz")


def test_certificates_of_clients_have_the_roles_of_their_names(tmp_path, authority):
    sections = secure(authority, client_ca=authority.file)
    names = {"DNS:sched.example.org": "push", "CN:plain": "read", "URI:spiffe://example.org/ops": "approve",
             "CN:both": "admin"}  # fmt: skip
    sections["access"] = {"certificates": {name: [role] for name, role in names.items()}}
    other = Authority(tmp_path, "other")
    with served(**sections) as rig:

        def ask(mine, path="/v1/who", method="GET"):
            return said(rig.tcp(authority.client(mine)), path, method)

        assert ask(authority.issue("x", "DNS:sched.example.org"), "/v1/push", "POST")[0] == 200
        assert ask(authority.issue("x", "DNS:sched.example.org"))[0] == 403
        assert ask(authority.issue("plain"))[1]["name"] == "CN:plain"
        assert ask(authority.issue("y", "URI:spiffe://example.org/ops"))[1]["roles"] == ["approve", "read"]
        assert ask(authority.issue("both", "DNS:elsewhere"))[0] == 401, "a CN beside other names says nothing"
        assert ask(authority.issue("unknown"))[0] == 401
        assert ask(None)[0] == 401
        assert ask(None, "/healthz")[0] == 200
        with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError, http.client.HTTPException)):
            ask(other.issue("plain"))


def test_clients_without_a_certificate_can_be_refused_altogether(authority):
    with served(**secure(authority, client_ca=authority.file, client_required=True)) as rig:
        with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError, http.client.HTTPException)):
            said(rig.tcp(authority.client()), "/healthz")
        assert said(rig.tcp(authority.client(authority.issue("any"))), "/healthz")[0] == 200


def test_tokens_and_certificates_are_read_again_while_connections_go_on(tmp_path, tokens, authority):
    first = new_token(tokens, "first", [Role.READ])
    with served(**secure(authority, tokens)) as rig:
        link = rig.tcp(authority.client())
        link.request("GET", "/v1/who", headers=bearer(first))
        assert link.getresponse().read()
        serial = served_by(rig, authority)
        revoke_token(tokens, "first")
        second = new_token(tokens, "second", [Role.READ])
        authority.issue("service", "DNS:localhost", file="service.pem")
        assert said(rig.tcp(authority.client()), "/v1/who", **bearer(first))[0] == 200, "not before it is told"
        reload(rig)
        assert served_by(rig, authority) != serial
        assert said(rig.tcp(authority.client()), "/v1/who", **bearer(second))[0] == 200
        link.request("GET", "/v1/who", headers=bearer(first))
        assert link.getresponse().status == 401, "on the connection that was open"
        link.close()
        (tmp_path / "service.pem").write_text("nothing")
        reload(rig, result="failed")
        assert said(rig.tcp(authority.client()), "/v1/who", **bearer(second))[0] == 200


def reload(rig, result="done"):
    import asyncio

    before = rig.count("hashwarden_serve_reloads_total", result=result)
    loop = rig.loop()
    asyncio.run_coroutine_threadsafe(rig.server.reload(), loop).result(30)
    until(lambda: rig.count("hashwarden_serve_reloads_total", result=result) == before + 1)


def served_by(rig, authority):
    link = rig.tcp(authority.client())
    with contextlib.closing(link):
        link.connect()
        return link.sock.getpeercert()["serialNumber"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:99"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": "[::1"}, 421),
        ({"Host": "LOCALHOST:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "hw.example:80"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "unix"}, 200),
        ({"Host": "hashwarden:80"}, 200),
        ({"Host": "%2Frun%2Fhashwarden-serve%2Fserve.sock"}, 200),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "192.0.2.1:8000"}, 421),
        ({"Host": "[2001:db8::1]:8000"}, 421),
    ],
)
def test_pages_of_other_sites_can_do_nothing(one, headers, status):
    assert one.ask("/v1/approve", "POST", b"{}", **headers)[0] == status


@pytest.mark.parametrize("host", ["unix", "hashwarden", "%2Frun%2Fserve.sock", "evil.example"])
def test_on_loopback_a_name_has_to_be_known_for_others_may_lead_here(host):
    with served(http={"socket": "", "listen": ["127.0.0.1:0"]}) as rig, contextlib.closing(rig.tcp()) as link:
        link.request("GET", "/healthz", headers={"Host": host})
        assert link.getresponse().status == 421


def test_pages_of_other_sites_may_ask_but_not_read(one):
    assert one.ask("/healthz", Origin="https://evil.example")[0] == 200
    link = one.link()
    link.request("GET", "/v1/who", headers={"Origin": "https://evil.example"})
    assert link.getresponse().headers["Access-Control-Allow-Origin"] is None
    link.close()


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with served(http={"socket": str(tmp_path_factory.mktemp("one") / "s"), "hosts": ["hw.example"]}) as rig:
        yield rig
