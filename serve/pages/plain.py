"""Pages without scripts: jobs, one job, cases, and a decision by an ordinary form, in two steps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, final
from urllib.parse import parse_qsl, quote

from hashwarden.errors import HashwardenError
from hashwarden.serve.pages import plain_views as views
from hashwarden.serve.pages.deeds import consequence
from hashwarden.serve.pages.markup import document, mapped, text
from hashwarden.serve.pages.pages import Ask, Reply
from hashwarden.serve.pages.signed import COOKIE, cookie_of, is_signed, new_cookie, signature

__all__ = ["Plain"]

_CASE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_FORM: Final = 16 * 1024
_HTML: Final = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}


class _RefusalError(Exception):
    """An answer of the API other than 200."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@final
class Plain:
    """See the module.

    Parameters
    ----------
    ask : Ask
    key : bytes
        Secret that forms are signed with.
    """

    def __init__(self, ask: Ask, key: bytes) -> None:
        self._ask, self._key = ask, key

    def answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """Answer; what the API refuses is said in its own words, with its status."""
        node = query.get("node", "")
        try:
            if path == "/plain/deed":
                return self._deed(query)
            if path == "/plain/case":
                return self._case(method, query, headers, body)
            if method not in ("GET", "HEAD"):
                raise _RefusalError(HTTPStatus.METHOD_NOT_ALLOWED, "this page takes no forms")
            return self._page(path, query)
        except _RefusalError as error:
            status, words = error.status, error.words
        except (HashwardenError, OSError) as error:
            status, words = int(HTTPStatus.BAD_GATEWAY), f"Connection lost: nothing is known now. {error}"
        told = f'<p class="alarm" role="alert">{text(words, 1000)}</p>'
        return _reply(status, document(_TITLES.get(status, "That did not work"), told, node))

    def _get(self, page: str) -> Mapping[str, Any]:
        status, found = self._ask("GET", page, None)
        return _good(status, found)

    def _page(self, path: str, query: Mapping[str, str]) -> Reply:
        node = query.get("node", "")
        made: dict[str, tuple[str, Callable[[], str]]] = {
            "/plain": ("Jobs", lambda: views.jobs(self._get("/v1/jobs"), self._get("/v1/status"), node)),
            "/plain/cases": ("Cases", lambda: views.cases(self._get("/v1/cases"), node)),
            "/plain/blind": ("Blindness", lambda: views.blindness(self._get("/v1/status"))),
            "/plain/job": ("One job", lambda: views.job(self._get(_of_job(query)), node)),
        }
        if path.rstrip("/") not in made:
            raise _RefusalError(HTTPStatus.NOT_FOUND, "there is no such page")
        title, body = made[path.rstrip("/")]
        return _reply(HTTPStatus.OK, document(title, body(), node))

    def _found(self, query: Mapping[str, str]) -> tuple[Mapping[str, Any], str]:
        """A case, and the mode of the policy."""
        name = query.get("id", "")
        if not _CASE.fullmatch(name):
            raise _RefusalError(HTTPStatus.NOT_FOUND, "that is no name of a case")
        case = self._get(f"/v1/cases/{name}")
        return case, str(mapped(self._get("/v1/status").get("policy")).get("mode", ""))

    def _deed(self, query: Mapping[str, str]) -> Reply:
        """What a decision would do, for the page with scripts."""
        try:
            case, mode = self._found(query)
            status, body = int(HTTPStatus.OK), {"words": consequence(case, query.get("word", ""), mode)}
        except _RefusalError as error:
            status, body = error.status, {"error": error.words}
        head = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return Reply(status, head, json.dumps(body).encode() + b"\n")

    def _case(self, method: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Reply:
        case, mode = self._found(query)
        name, node = str(case.get("id")), query.get("node", "")
        cookie = cookie_of(headers) or new_cookie()
        if method == "POST":
            form = _form(body)
            word = form.get("word", "")
            if word not in ("approve", "reject") or not is_signed(
                self._key, cookie_of(headers), form.get("token", ""), name, node
            ):
                raise _RefusalError(HTTPStatus.FORBIDDEN, "this form was not made by this page for this browser; "
                                                          "open the case anew, with cookies allowed")  # fmt: skip
            if len(form.get("reason", "").strip()) < 3:
                raise _RefusalError(HTTPStatus.BAD_REQUEST, "no reason: say why, in a few words; it goes into the "
                                                            "audit log. Go back, and nothing is lost")  # fmt: skip
            if form.get("sure") == "yes":
                return self._decided(name, word, form["reason"], node)
            form |= {"token": signature(self._key, cookie, name, node)}
            return _reply(HTTPStatus.OK, document(f"{word.capitalize()} {name}?",
                                                  views.confirm(case, form, consequence(case, word, mode), node),
                                                  node))  # fmt: skip
        token = signature(self._key, cookie, name, node)
        page = document(f"Case {name}", views.case(case, token, node, mode), node)
        return _reply(HTTPStatus.OK, page, {"Set-Cookie": f"{COOKIE}={cookie}; Path=/plain; HttpOnly; SameSite=Strict"})

    def _decided(self, name: str, word: str, reason: str, node: str) -> Reply:
        _good(*self._ask("POST", f"/v1/cases/{name}/{word}", {"reason": reason}))
        where = f"/plain/case?id={quote(name)}" + (f"&node={quote(node, safe='')}" if node else "")
        return Reply(HTTPStatus.SEE_OTHER, {**_HTML, "Location": where}, b"")


_TITLES: Final = {
    404: "Not here", 403: "Not allowed", 401: "Who are you?", 409: "That cannot be", 502: "Connection lost",
    503: "Not now", 400: "Something is missing",
}  # fmt: skip


def _good(status: int, found: Mapping[str, Any]) -> Mapping[str, Any]:
    if status == HTTPStatus.OK:
        return found
    words = str(found.get("error", "no reason given"))
    expected = found.get("expected")
    raise _RefusalError(
        status, f"{words}; who may: {expected}" if expected and status == HTTPStatus.FORBIDDEN else words
    )


def _of_job(query: Mapping[str, str]) -> str:
    return f"/v1/job?key={quote(query.get('key', '')[:500], safe='')}"


def _form(body: bytes) -> dict[str, str]:
    if len(body) > _LONGEST_FORM:
        raise _RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too large")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        raise _RefusalError(HTTPStatus.BAD_REQUEST, "that is no form") from None


def _reply(status: int, body: bytes, more: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, {**_HTML, **(more or {})}, body)
