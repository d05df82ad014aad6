"""An API server for tests, over HTTPS: what the dozen calls of the agent meet, as kube-apiserver answers them.

Every body is held against Kubernetes' published schema. The same tests run against a real kube-apiserver where there
is one (``kubernetes_server.py``): what this does, that does.
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import kubernetes_validate.utils

TOKEN = "a.token"
# It reads its file of schemas anew for every object.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)

KINDS = {"pods": "Pod", "nodes": "Node", "namespaces": "Namespace", "events": "Event",
         "poddisruptionbudgets": "PodDisruptionBudget"}  # fmt: skip
LIMIT = 500


class Refused(Exception):  # noqa: N818  an answer
    def __init__(self, code: int, message: str) -> None:
        self.status = {"kind": "Status", "status": "Failure", "code": code, "message": message}


def merge(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key) or {}, value) if isinstance(value, dict) else value
    return merged


def chosen(selector: str, labels: dict[str, str]) -> bool:
    """A label selector as a query has it."""
    for part in re.findall(r"(?:[^,(]|\([^)]*\))+", selector):
        if match := re.fullmatch(r"(\S+) (in|notin) \((.*)\)", part):
            if (labels.get(match[1]) in match[3].split(",")) is (match[2] == "notin"):
                return False
        elif (part.lstrip("!") in labels) is part.startswith("!"):
            return False
    return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one piece: two would wait for each other's acknowledgement
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.calls.append((self.command, self.path, json.loads(body) if body else None))
        try:
            with self.server.lock:
                status, found = self.server.handle(self.command, self.path, dict(self.headers), body)
        except Refused as no:
            status, found = no.status["code"], no.status
        data = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815  the names of http.server


class Server(ThreadingHTTPServer):
    """The store, by path; `refuse` gives answers by method and part of the path, `tokens` who may ask."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 1
        self.refuse: dict[tuple[str, str], int] = {}
        self.tokens = {TOKEN}
        self.calls: list[tuple[str, str, Any]] = []
        self.before_write = lambda _path: None

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that do not trust the certificate hang up; that is what is tested."""

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        if headers.get("Authorization") not in {f"Bearer {token}" for token in self.tokens}:
            raise Refused(401, "Unauthorized")
        for (refused, part), code in self.refuse.items():
            if refused == method and part in path:
                raise Refused(code, f"cannot {method.lower()} {part}")
        if method == "GET":
            return 200, self._found(path)
        self.before_write(path)
        document = json.loads(body)
        if method == "POST" and path.endswith("/eviction"):
            return self._evict(path.removesuffix("/eviction"), document)
        return {"POST": self._create, "PATCH": self._patch, "DELETE": self._delete}[method](path, document, headers)

    def _found(self, path: str) -> dict[str, Any]:
        where = urlsplit(path)
        if where.path.rsplit("/", 1)[-1] in KINDS:
            return self._listed(where.path, {key: value[0] for key, value in parse_qs(where.query).items()})
        if path not in self.objects:
            raise Refused(404, f'"{path.rsplit("/", 1)[-1]}" not found')
        return self.objects[path]

    def _listed(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        inside = [one for where, one in self.objects.items() if where.rsplit("/", 1)[0] == path]
        selector = query.get("labelSelector", "")
        items = [one for one in inside if chosen(selector, one["metadata"].get("labels", {}))]
        limit = int(query.get("limit", LIMIT))
        return {"kind": "List", "metadata": {"continue": "x"} if len(items) > limit else {}, "items": items[:limit]}

    def _keep(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        kubernetes_validate.validate(document, "1.37", strict=True)
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = document
        return document

    def _create(self, path: str, document: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        assert headers["Content-Type"] == "application/json"
        group = path.split("/")[2:4] if path.startswith("/apis") else ["v1"]
        kind = KINDS[path.rsplit("/", 1)[-1]]
        document = {"apiVersion": "/".join(group), "kind": kind} | document
        where = f"{path}/{document['metadata']['name']}"
        if where in self.objects:
            raise Refused(409, "already exists")
        document["metadata"]["uid"] = str(uuid.uuid4())
        return 201, self._keep(where, document)

    def _patch(self, path: str, document: dict[str, Any], headers: dict[str, str]) -> tuple[int, Any]:
        assert headers["Content-Type"] == "application/merge-patch+json"
        old = self._found(path)
        self._check(old, document["metadata"], 422)
        return 200, self._keep(path, merge(old, document))

    def _check(self, old: dict[str, Any], wanted: dict[str, Any], other: int) -> None:
        if wanted.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise Refused(other, "the UID in the precondition does not match the UID in record")
        if wanted.get("resourceVersion", old["metadata"]["resourceVersion"]) != old["metadata"]["resourceVersion"]:
            raise Refused(409, "the object has been modified")

    def _delete(self, path: str, document: dict[str, Any], _headers: dict[str, str]) -> tuple[int, Any]:
        assert document["kind"] == "DeleteOptions"
        pod = self._found(path)
        self._check(pod, document["preconditions"], 409)
        grace_s = document.get("gracePeriodSeconds", pod["spec"].get("terminationGracePeriodSeconds", 0))
        if grace_s:
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            pod["metadata"]["deletionGracePeriodSeconds"] = grace_s
        else:
            del self.objects[path]
        return 200, {"kind": "Status", "status": "Success"}

    def _evict(self, path: str, document: dict[str, Any]) -> tuple[int, Any]:
        kubernetes_validate.validate(document, "1.37", strict=True)
        assert (document["apiVersion"], document["kind"]) == ("policy/v1", "Eviction")
        pod = self._found(path)
        budgets = path.replace("/api/v1/", "/apis/policy/v1/").rsplit("/", 2)[0] + "/poddisruptionbudgets"
        selectors = [one["spec"]["selector"]["matchLabels"] for one in self._listed(budgets, {})["items"]]
        mine = [one for one in selectors if one.items() <= pod["metadata"].get("labels", {}).items()]
        if len(mine) > 1:
            raise Refused(500, "This pod has more than one PodDisruptionBudget, which is not supported.")
        if mine:  # none of them allows anything
            raise Refused(429, "Cannot evict pod as it would violate the pod's disruption budget.")
        options = {"kind": "DeleteOptions", **document["deleteOptions"]}
        return 201, self._delete(path, options, {})[1]


def certificate(folder: Path, name: str = "server") -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1 and its key."""
    made, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    return made, key


@contextmanager
def stand_in(folder: Path) -> Iterator[tuple[Server, Path]]:
    """The server, and the file of its authority."""
    made, key = certificate(folder)
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    server.context = context
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server, made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
