"""The pages that a browser gets, whoever serves it: the agent, the service, or the user's own dashboard.

`Pages` knows no server. It is handed a request in plain values and a way to ask for the JSON pages, and gives status,
headers and body. Nothing of it is fetched from elsewhere, no script runs but the package's own, and what needs no
script has a plain page.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple, final

__all__ = ["CSP", "HEADERS", "Ask", "Pages", "Reply"]

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""The whole of what a page may do."""

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY", "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}  # fmt: skip
"""With every answer. The referrer stays within the site: the forms of the plain pages are known by it."""

Ask = Callable[[str, str, Mapping[str, Any] | None], tuple[int, Mapping[str, Any]]]
"""From method, path with query, and a body or None, to the status and the JSON of an API's answer; raises
`HashwardenError` or OSError if nobody answers."""


class Reply(NamedTuple):
    """What is answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@final
class Pages:
    """See the module.

    Parameters
    ----------
    ask : Ask, optional
        How the plain pages learn what they show; without one only files are served, unless `answer` is handed one.
    key : bytes, optional
        Secret that forms are signed with; a new one for each process if None. Several processes behind one address
        have to share one.
    """

    def __init__(self, ask: Ask | None = None, key: bytes | None = None) -> None:
        self._ask, self._key = ask, key or secrets.token_bytes(32)

    def answer(  # noqa: PLR0913, PLR0917
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes,
        ask: Ask | None = None,
    ) -> Reply:  # fmt: skip
        """Answer a request.

        Parameters
        ----------
        method, path : str
            The path is decoded, without its query.
        query, headers : mapping of str to str
            Headers by lower-case name.
        body : bytes
        ask : Ask, optional
            In place of the one given before: as whom this request asks.

        Returns
        -------
        Reply
            404 where there is no such page.
        """
        if path == "/plain" or path.startswith("/plain/"):
            from hashwarden.serve.pages.plain import Plain

            asked = ask or self._ask
            if asked is not None:
                return _safe(Plain(asked, self._key).answer(method, path, query, headers, body))
        if method not in ("GET", "HEAD"):
            return _safe(Reply(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD", **_TEXT}, b"GET only\n"))
        from hashwarden.serve.pages.files import file_reply

        return _safe(file_reply(path, headers.get("if-none-match", "")))


_TEXT: Final = {"Content-Type": "text/plain; charset=utf-8"}


def _safe(reply: Reply) -> Reply:
    return reply._replace(headers={**HEADERS, **reply.headers})
