"""The one bounded request: tokens, certificates, and a deadline for the whole."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ports import free_port

from hashwarden.errors import HashwardenError, NoDeviceError, UsageError
from hashwarden.serve.sources import dcgm_http
from hashwarden.serve.sources.dcgm_http import CA_FILE, TOKEN_FILE, Address, fetch

SPEC = importlib.util.spec_from_file_location("dcgm_http_server", Path(__file__).with_name("dcgm_server.py"))
server = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(server)


@pytest.fixture
def exporter():
    with server.serving() as found:
        yield found


def asked(url, environment=None, seconds=5.0, **more):
    return fetch(
        Address.of(url), deadline=time.monotonic() + seconds, most=10_000, environment=environment or {}, **more
    )


def test_it_asks_plainly(exporter):
    exporter.body = "x"
    assert asked(exporter.url + "?a=b") == b"x"
    assert asked(exporter.url, path="/api", form=b"query=up") == b"x"
    (path, headers, _), (posted, more, form) = exporter.asked
    assert (path, posted, form) == ("/metrics?a=b", "/api", b"query=up")
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Host"] == f"127.0.0.1:{exporter.port}"
    assert "Authorization" not in headers
    assert more["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_token_comes_from_a_file_and_is_read_each_time(exporter, tmp_path):
    file = tmp_path / "token"
    for token in ("one", "two"):
        file.write_text(f"{token}\n")
        asked(exporter.url, {TOKEN_FILE: str(file)})
    assert [headers["Authorization"] for _, headers, _ in exporter.asked] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("content", [b"", b"a b", b"a\r\nX: y", b"\xff"])
def test_a_token_that_is_none_is_refused_and_not_repeated(exporter, tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(UsageError, match="token") as caught:
        asked(exporter.url, {TOKEN_FILE: str(tmp_path / "token")})
    assert exporter.asked == []
    assert "X: y" not in str(caught.value)


def test_a_token_is_sent_to_nobody_in_the_clear(tmp_path):
    (tmp_path / "token").write_text("secret")
    with pytest.raises(UsageError, match="that anybody can read") as caught:
        asked("http://192.0.2.1/metrics", {TOKEN_FILE: str(tmp_path / "token")})
    assert "secret" not in str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate of 127.0.0.1, signed by itself."""
    folder, key = tmp_path_factory.mktemp("certificate"), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    pem = made.add_extension(addresses, critical=False).sign(key, hashes.SHA256())
    (folder / "pem").write_bytes(pem.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key").write_bytes(private)
    return folder


def test_https_with_a_certificate_of_ones_own(certificate, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "pem", certificate / "key")
    (tmp_path / "token").write_text("secret")
    with server.serving(context) as exporter:
        exporter.body = "x"
        url = exporter.url.replace("http:", "https:")
        found = asked(url, {CA_FILE: str(certificate / "pem"), TOKEN_FILE: str(tmp_path / "token")})
        assert (found, exporter.asked[0][1]["Authorization"]) == (b"x", "Bearer secret")
        with pytest.raises(NoDeviceError, match="CERTIFICATE_VERIFY_FAILED"):
            asked(url)
        with pytest.raises(UsageError, match=CA_FILE):
            asked(url, {CA_FILE: str(tmp_path / "none")})
    assert len(exporter.asked) == 1


def test_the_deadline_holds_for_headers_too(exporter):
    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not exporter.over.wait(0.02):
            handler.wfile.write(b"A: b\r\n")

    exporter.act = drip
    start = time.monotonic()
    with pytest.raises(HashwardenError):
        asked(exporter.url, seconds=0.2)
    assert time.monotonic() - start < 5, "it would drip for ever"


def test_a_body_whose_length_nobody_told_is_taken_to_its_end(exporter):
    exporter.act = lambda handler: handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nabc")
    assert asked(exporter.url) == b"abc"


def _addresses(monkeypatch, *ports):
    """Let a name have these ports of this machine as its addresses."""

    def found(_host, _port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(dcgm_http.socket, "getaddrinfo", found)


@pytest.fixture
def deaf():
    """A port whose queue is full: it neither takes nor refuses."""
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_many_addresses_share_one_deadline(monkeypatch, deaf):
    waits = []
    real = socket.socket.settimeout
    _addresses(monkeypatch, *[deaf] * 6)

    def told(sock, left):
        waits.append(left)
        real(sock, left)

    monkeypatch.setattr(socket.socket, "settimeout", told)
    with pytest.raises(NoDeviceError, match="no connection"):
        asked("http://many.example/", seconds=0.6)
    assert 2 <= len(waits) <= 6
    assert sum(waits) <= 0.7, "each had the whole time once"


def test_an_address_that_does_not_answer_is_passed_over(monkeypatch, exporter, deaf):
    exporter.body = "x"
    _addresses(monkeypatch, deaf, free_port(), exporter.port)
    assert asked("http://many.example/metrics", seconds=6.0) == b"x"
