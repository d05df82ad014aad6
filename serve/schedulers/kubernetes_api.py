"""The API server, over HTTP: a call, with limits on time and size, and its answer.

The documented REST API through urllib3, which the official client is made of too: that client takes four times the
memory, and knows no more about the dozen calls that are made here (docs/kubernetes.md has the numbers).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, final
from urllib.parse import quote, urlencode

from hashwarden.errors import MissingExtraError, UsageError
from hashwarden.serve.scan.text import printable, shorten
from hashwarden.version import __version__

if TYPE_CHECKING:
    import urllib3

    from hashwarden.serve.schedulers.kubernetes_access import Access

__all__ = ["MERGE_PATCH", "Answer", "ApiAway", "KubernetesApi", "path_of"]

MERGE_PATCH: Final = "application/merge-patch+json"

LONGEST_ANSWER: Final = 16 << 20
"""Bytes; a longer one is refused."""

_PIECE: Final = 64 << 10
_AWAY: Final = {401, 408, 429}

Method = Literal["GET", "POST", "PATCH", "DELETE"]


class ApiAway(Exception):  # noqa: N818  a state, not a fault
    """It does not answer now, or says that it cannot now.

    Attributes
    ----------
    status : int
        Of HTTP; 0 if there was no answer.
    """

    def __init__(self, words: str, status: int = 0) -> None:
        super().__init__(words)
        self.status = status


@final
class Answer(NamedTuple):
    """What the API server said.

    Attributes
    ----------
    status : int
        Of HTTP: 2xx, or one that would come again (403, 404, 409, 422).
    body : mapping
        The object, or a Status that says why not; empty if it was no JSON object.
    """

    status: int
    body: Mapping[str, Any]

    @property
    def fine(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300

    @property
    def words(self) -> str:
        """What the server says of itself, fit for a log."""
        return f"{self.status}: " + shorten(printable(str(self.body.get("message") or "no message")), 400)


def path_of(*parts: str) -> str:
    """Path of parts, each quoted: a name cannot climb out of its place."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _urllib3() -> Any:  # noqa: ANN401  a module
    try:
        import urllib3
    except ImportError as error:
        raise MissingExtraError.of("urllib3", "kubernetes") from error
    return urllib3


@final
class KubernetesApi:
    """One API server. Calls may come from several threads.

    Parameters
    ----------
    access : Access
    timeout_s : float
        Longest time for one call, from the first byte sent to the last received.
    clock : callable
        Seconds, monotonic.

    Raises
    ------
    MissingExtraError
        If urllib3 is not installed.
    """

    def __init__(self, access: Access, *, timeout_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._urllib3 = _urllib3()
        self._access, self._timeout_s, self._clock = access, timeout_s, clock
        self._pool: urllib3.PoolManager | None = None

    def call(
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Make one call.

        Returns
        -------
        Answer
            Also one that says no for good.

        Raises
        ------
        ApiAway
            Without an answer in time, with one that is too long or no JSON, and with those that may be others later:
            401 (the token was just exchanged), 408, 429 and 5xx.
        """
        where = path + ("?" + urlencode(query) if query else "")
        try:
            status, data = self._exchange(method, where, None if body is None else json.dumps(body), content_type)
        except (OSError, ValueError, UsageError, self._urllib3.exceptions.HTTPError) as error:
            self.close()  # the authority's certificate may have been exchanged: next time it is read anew
            raise ApiAway(f"{method} {path}: {_why(error)}") from error
        answer = Answer(status, _object(data))
        if status in _AWAY or status >= 500 or (answer.fine and not answer.body):
            raise ApiAway(f"{method} {path}: {answer.words}", status)
        return answer

    def _exchange(self, method: str, where: str, body: str | None, content_type: str) -> tuple[int, bytes]:
        """Status and bytes of an answer, whole and in time."""
        end_s = self._clock() + self._timeout_s
        headers = {"Accept": "application/json", "User-Agent": f"hashwarden/{__version__}"}
        if token := self._access.token():
            headers["Authorization"] = f"Bearer {_one_word(token)}"
        if body is not None:
            headers["Content-Type"] = content_type
        response = self._connected().request(
            method, self._access.server + where, body=body, headers=headers, preload_content=False, redirect=False
        )
        try:
            data = bytearray()
            # What came, and not as much as was asked for: the time is looked at with every piece.
            while piece := response.read1(_PIECE, decode_content=False):
                data += piece
                if len(data) > LONGEST_ANSWER:
                    raise ValueError(f"an answer of more than {LONGEST_ANSWER} bytes")
                if self._clock() > end_s:
                    raise TimeoutError(f"the answer was not whole after {self._timeout_s} s")
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return response.status, bytes(data)

    def _connected(self) -> urllib3.PoolManager:
        pool = self._pool
        if pool is None:
            context = self._access.tls() if self._access.tls else None
            timeout = self._urllib3.Timeout(total=self._timeout_s)
            pool = self._urllib3.PoolManager(2, maxsize=4, retries=False, timeout=timeout, ssl_context=context)
            self._pool = pool
        return pool

    def close(self) -> None:
        """Give the connections back; the next call makes new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.clear()


def _one_word(token: str) -> str:
    """The token, if it can stand in a header; http.client would print it whole in its complaint."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token is none: it holds spaces or control characters")
    return token


def _why(error: Exception) -> str:
    """In one line; nothing of headers, and so no token, is in it."""
    return shorten(printable(f"{type(error).__name__}: {error}"), 300)


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
