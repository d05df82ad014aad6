"""A real service in a thread of its own, and clients that can be as bad as they like."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi import APIRouter, Request

from hashwarden.serve.api.access import Keeper
from hashwarden.serve.api.app import create_app
from hashwarden.serve.api.config import ServeConfig
from hashwarden.serve.api.limits import only_waits
from hashwarden.serve.api.meters import Meters
from hashwarden.serve.api.roles import Role, identity_of, needs
from hashwarden.serve.api.server import ApiServer

WAIT_S = 30.0


class Link(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=WAIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(WAIT_S)
        self.sock.connect(self._path)


class Rig:
    """One service with routes of the test's own."""

    def __init__(self, config: ServeConfig, router: APIRouter | None = None) -> None:
        self.config, self.meters, self.keeper = config, Meters(), Keeper(config.access)
        self.app = create_app(config, None, router, meters=self.meters, keeper=self.keeper)
        self.server = ApiServer(config, self.app, self.keeper, self.meters)
        self.places = [place.words for place in self.server.places]
        self._started = threading.Event()
        self.thread = threading.Thread(target=self.server.run, args=(self._started.set,), daemon=True)
        self.thread.start()
        assert self._started.wait(WAIT_S)

    def raw(self) -> socket.socket:
        """A connection to the first place that is a Unix socket."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(WAIT_S)
        link.connect(next(place for place in self.places if place.startswith("/")))
        return link

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[int, Any]:
        """Over the Unix socket."""
        return said(self.link(), path, method, body, **headers)

    def link(self) -> Link:
        return Link(next(place for place in self.places if place.startswith("/")))

    def tcp(self, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
        """Over TCP."""
        port = int(next(place for place in self.places if place.startswith("http")).rpartition(":")[2])
        if tls is None:
            return http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        return http.client.HTTPSConnection("localhost", port, timeout=WAIT_S, context=tls)

    def loop(self) -> asyncio.AbstractEventLoop:
        """That of its thread."""
        assert self.server.loop is not None
        return self.server.loop

    def count(self, name: str, **labels: str) -> float:
        return self.meters.registry.get_sample_value(name, labels or None) or 0.0

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until it holds."""
        until(condition)

    def close(self) -> None:
        self.server.stop()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def said(
    link: http.client.HTTPConnection, path: str, method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, Any]:
    """Status and JSON, or text."""
    with contextlib.closing(link):
        link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = link.getresponse()
        raw = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(raw) if is_json else raw.decode()


def everything(link: socket.socket) -> bytes:
    """What comes until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while part := link.recv(65536):
            found += part
    return found


def routes(hold: threading.Event | None = None) -> APIRouter:
    """Stand-ins for the job API: a route for each role, one that takes time, one that answers much, one that fails."""
    router = APIRouter()

    @router.get("/v1/who", dependencies=[needs(Role.READ)])
    async def who(request: Request) -> dict[str, Any]:
        found = identity_of(request)
        return {"name": found.name, "roles": sorted(found.roles)}

    @router.post("/v1/push", dependencies=[needs(Role.PUSH)])
    async def push(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @router.post("/v1/approve", dependencies=[needs(Role.APPROVE)])
    async def approve() -> dict[str, str]:
        return {"standing": "approved"}

    @router.get("/v1/admin", dependencies=[needs(Role.ADMIN)])
    async def admin() -> dict[str, bool]:
        return {"fine": True}

    _add_bad(router, hold)
    return router


def _add_bad(router: APIRouter, hold: threading.Event | None) -> None:
    @router.post("/v1/slow", dependencies=[needs(Role.PUSH)])
    def slow() -> dict[str, bool]:
        assert hold is not None
        return {"held": hold.wait(WAIT_S)}

    @router.post("/v1/wait", dependencies=[needs(Role.PUSH)])
    async def wait(request: Request) -> dict[str, bool]:
        only_waits(request.scope)
        assert hold is not None
        while not hold.is_set():
            await asyncio.sleep(0.01)
        return {"waited": True}

    @router.get("/v1/much", dependencies=[needs(Role.READ)])
    async def much() -> dict[str, str]:
        return {"much": "x" * (32 << 20)}

    @router.get("/v1/broken", dependencies=[needs(Role.READ)])
    async def broken(secret: str = "") -> dict[str, str]:
        raise RuntimeError(f"the secret is {secret}")


class Authority:
    """Makes certificates that last an hour."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(self._subject, self._key).add_extension(x509.BasicConstraints(True, None), critical=True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self._certificate = made.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        hour = datetime.timedelta(hours=1)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._subject)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False).add_extension(authority, critical=False)
        return builder.not_valid_before(now - hour).not_valid_after(now + hour)

    def issue(self, common: str, *names: str, file: str = "") -> Path:
        """A PEM file with a certificate and its key; `names` are ``DNS:…`` or ``URI:…``."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]), key)
        if names:
            kinds = {"DNS": x509.DNSName, "URI": x509.UniformResourceIdentifier}
            others = [kinds[name[:3]](name[4:]) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        path = self._folder / (file or f"{self._name}-{common}.pem")
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))  # fmt: skip
        return path

    def client(self, mine: Path | None = None) -> ssl.SSLContext:
        """What a client who trusts this authority speaks."""
        context = ssl.create_default_context(cafile=str(self.file))
        if mine is not None:
            context.load_cert_chain(mine)
        return context


@contextlib.contextmanager
def served(router: APIRouter | None = None, **sections: Any) -> Iterator[Rig]:
    """A service with these sections of its configuration."""
    rig = Rig(ServeConfig(**sections), router or routes())
    try:
        yield rig
    finally:
        rig.close()
