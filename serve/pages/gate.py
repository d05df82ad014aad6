"""Who may use a dashboard on the loopback, which other users of the machine can reach too: who has its link.

The link holds a secret that is good once; the browser gets a cookie for it. When it was used, a new one is made, for
another browser.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from http import HTTPStatus
from threading import Lock
from typing import Final, final

from hashwarden.serve.agent.web import Answer, Request
from hashwarden.serve.pages.mount import to_answer
from hashwarden.serve.pages.pages import Reply
from hashwarden.serve.pages.signed import cookie_of

__all__ = ["Gate"]


@final
class Gate:
    """See the module.

    Parameters
    ----------
    told : callable
        Is given each new secret; shown to who started the dashboard, and to nobody else.
    name : str
        Of the cookie: browsers keep one jar for all ports of a machine.
    """

    def __init__(self, told: Callable[[str], None], name: str = "hashwarden") -> None:
        self._told, self.name, self._lock = told, name, Lock()
        self._session = secrets.token_urlsafe(32)
        self._once = ""
        self._renew()

    def refusal(self, request: Request) -> Answer | None:
        """What is answered in place of the pages; None for who may see them."""
        if hmac.compare_digest(cookie_of(request.headers, self.name), self._session):
            return _opened("") if "key" in request.query and request.path == "/" else None
        if request.path == "/" and self._spent(request.query.get("key", "")):
            return _opened(f"{self.name}={self._session}; Path=/; HttpOnly; SameSite=Strict")
        return to_answer(Reply(HTTPStatus.UNAUTHORIZED, _HEAD, _CLOSED))

    def _spent(self, given: str) -> bool:
        with self._lock:
            if not hmac.compare_digest(given.encode(errors="replace"), self._once.encode()):
                return False
            self._renew()
            return True

    def _renew(self) -> None:
        self._once = secrets.token_urlsafe(24)
        self._told(self._once)


def _opened(cookie: str) -> Answer:
    """A page that goes on to the dashboard by itself.

    No redirect: a browser that came from elsewhere, from a file for example, would not send a strict cookie after one.
    """
    head = {**_HEAD, "Set-Cookie": cookie} if cookie else _HEAD
    return to_answer(Reply(HTTPStatus.OK, head, _OPEN))


_HEAD: Final = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
_OPEN: Final = (
    b'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>hashwarden</title>'
    b'<link rel="icon" href="data:,"><meta http-equiv="refresh" content="0;url=/"></head><body><p><a href="/">To the '
    b"dashboard</a></p></body></html>\n"
)
_CLOSED: Final = (
    b'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The link is missing - hashwarden</title>'
    b'<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"></head><body>'
    b"<h1>The link is missing</h1>"
    b"<p>This dashboard opens with the whole link that <code>hashwarden dashboard</code> printed in its terminal. Each "
    b"link is good once: the newest one stands last.</p></body></html>\n"
)
