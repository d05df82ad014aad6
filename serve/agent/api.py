"""What can be asked of a running agent: health and metrics by anybody, cases and approvals by those who may."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, Protocol, final

from hashwarden.errors import HashwardenError, UsageError
from hashwarden.serve.agent.web import Answer, Peer, Request, foreign, json_answer
from hashwarden.serve.policy.approvals import ForbiddenError
from hashwarden.serve.scan.text import printable

__all__ = ["Api", "Probes", "View", "name_of", "socket_access"]

_CASE: Final = re.compile(r"/v1/cases/([A-Za-z0-9._-]{1,64})(?:/(approve|reject))?")
_REASON: Final = 500


class View(Protocol):
    """What an agent shows; calls come from other threads than its own."""

    def alive(self) -> bool: ...  # noqa: D102
    def ready(self) -> Mapping[str, Any]: ...  # noqa: D102
    def metrics(self) -> bytes: ...  # noqa: D102
    def status(self) -> Mapping[str, Any]: ...  # noqa: D102
    def gpus(self) -> Sequence[Mapping[str, Any]]: ...  # noqa: D102
    def jobs(self) -> Sequence[Mapping[str, Any]]: ...  # noqa: D102
    def ended_jobs(self, gpu: str = "", user: str = "") -> Sequence[Mapping[str, Any]]: ...  # noqa: D102
    def job(self, key: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def channels(self, key: str, gpu: str, names: Sequence[str] = ()) -> Mapping[str, Any] | None: ...  # noqa: D102
    def kernels(self, key: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def cases(self) -> Sequence[Mapping[str, Any]]: ...  # noqa: D102
    def case(self, id_: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def decide(self, case: str, word: str, by: str, reason: str) -> Mapping[str, Any]: ...  # noqa: D102


def name_of(uid: int) -> str:
    """The name of a user, or the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def socket_access(approvers: Sequence[str]) -> tuple[int, int]:
    """Mode and group of the socket's file: as few as may approve can hold its threads; -1 for no other group."""
    groups = [name[1:] for name in approvers if name.startswith("@")]
    if set(approvers) <= {"root"}:
        return 0o600, -1
    if len(groups) == 1 and set(approvers) <= {"root", f"@{groups[0]}"}:
        try:
            return 0o660, grp.getgrnam(groups[0]).gr_gid
        except KeyError:
            raise UsageError(f"the group {groups[0]!r}", "a group of this machine", "Correct http.approvers.") from None
    return 0o666, -1


@final
class Probes:
    """GET /metrics, /healthz, /readyz: for anybody who can reach it.

    Parameters
    ----------
    view : View
    """

    def __init__(self, view: View) -> None:
        self._view = view

    def __call__(self, request: Request) -> Answer:
        """Answer."""
        if request.method not in ("GET", "HEAD"):
            return json_answer(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "GET only"})
        match request.path:
            case "/metrics":
                kind = "text/plain; version=0.0.4; charset=utf-8"
                return Answer(HTTPStatus.OK, self._view.metrics(), kind)
            case "/healthz":
                return _health(self._view.alive(), {"alive": self._view.alive()})
            case "/readyz":
                found = self._view.ready()
                return _health(bool(found["ready"]), found)
        return _missing(request.path)


@final
class Api:
    """What the Unix socket answers.

    Parameters
    ----------
    view : View
    approvers : sequence of str
        Names of users, or ``@group``, that may approve and reject. Root may always.
    own_uid : int, optional
        Whom the agent runs as, this process by default: may see everything, for it is theirs, but decide nothing.
    """

    def __init__(self, view: View, approvers: Sequence[str], own_uid: int | None = None) -> None:
        self._view, self._approvers = view, approvers
        self._own_uid = os.geteuid() if own_uid is None else own_uid
        self._probes = Probes(view)

    def __call__(self, request: Request) -> Answer:
        """Answer; only those who may approve, and the agent's own user, see cases and jobs: they name people."""
        if not request.path.startswith("/v1/"):
            return self._probes(request)
        if refusal := foreign(request):
            return json_answer(HTTPStatus.FORBIDDEN, {"error": refusal, "expected": "the agent's own pages"})
        own = request.peer.uid == self._own_uid and request.method == "GET"
        if not (own or self._may(request.peer)):
            expected = "root, " + ", ".join(self._approvers)
            who = name_of(request.peer.uid)
            return json_answer(HTTPStatus.FORBIDDEN, {"error": f"{who} may not", "expected": expected})
        if request.method == "POST":
            return self._decide(request)
        if request.method != "GET":
            return json_answer(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "GET or POST"})
        return self._show(request)

    def _show(self, request: Request) -> Answer:
        view, query = self._view, request.query
        pages: dict[str, Callable[[], Any]] = {
            "/v1/status": view.status,
            "/v1/gpus": lambda: {"gpus": list(view.gpus())},
            "/v1/jobs": lambda: {"jobs": list(view.jobs())},
            "/v1/ended": lambda: {"jobs": list(view.ended_jobs(query.get("gpu", ""), query.get("user", "")))},
            "/v1/job": lambda: view.job(query.get("key", "")),
            "/v1/job/channels": lambda: view.channels(query.get("key", ""), query.get("gpu", ""), _names(query)),
            "/v1/job/kernels": lambda: view.kernels(query.get("key", "")),
            "/v1/cases": lambda: {"cases": list(view.cases())},
        }
        match = _CASE.fullmatch(request.path)
        if match is not None and match[2] is None:
            return _found(view.case(match[1]), f"no case is called {match[1]}")
        if request.path not in pages:
            return _missing(request.path)
        try:
            page = pages[request.path]()
        except UsageError as error:
            return json_answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        return _found(page, f"no job is called {printable(query.get('key', '')[:100])!r}")

    def _decide(self, request: Request) -> Answer:
        match = _CASE.fullmatch(request.path)
        if match is None or match[2] is None:
            return _missing(request.path)
        if self._view.case(match[1]) is None:
            return json_answer(HTTPStatus.NOT_FOUND, {"error": f"no case is called {match[1]}"})
        try:
            case = self._view.decide(match[1], match[2], name_of(request.peer.uid), _reason(request.body))
        except ForbiddenError as error:
            return json_answer(HTTPStatus.FORBIDDEN, {"error": str(error)})
        except UsageError as error:
            return json_answer(HTTPStatus.CONFLICT, {"error": str(error)})
        except HashwardenError as error:
            return json_answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})
        return json_answer(HTTPStatus.OK, case)

    def _may(self, peer: Peer) -> bool:
        if peer.uid == 0:
            return True
        groups = {name[1:] for name in self._approvers if name.startswith("@")}
        return peer.uid >= 0 and (name_of(peer.uid) in self._approvers or bool(groups & _groups_of(peer)))


def _groups_of(peer: Peer) -> set[str]:
    """Also those that the system would not list, as it does not those of a directory service."""
    found = set()
    for number in {peer.gid, *os.getgrouplist(name_of(peer.uid), peer.gid)}:
        with suppress(KeyError):
            found.add(grp.getgrgid(number).gr_name)
    return found


def _reason(body: bytes) -> str:
    try:
        reason = json.loads(body)["reason"]
    except (ValueError, KeyError, TypeError):
        reason = None
    if not isinstance(reason, str) or not reason.strip():
        raise UsageError("no reason", 'a JSON object {"reason": "…"}', "Say why: it goes into the audit log.")
    return printable(reason.strip()[:_REASON])


def _health(well: bool, found: Mapping[str, Any]) -> Answer:
    return json_answer(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, found)


def _names(query: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in query.get("names", "").split(",") if name)


def _found(page: object, otherwise: str) -> Answer:
    return json_answer(HTTPStatus.NOT_FOUND, {"error": otherwise}) if page is None else json_answer(HTTPStatus.OK, page)


def _missing(path: str) -> Answer:
    return json_answer(HTTPStatus.NOT_FOUND, {"error": f"there is no {printable(path[:100])}"})
