"""Forms that only the page they stand on can send: a token of the browser's own cookie, the case and the decision."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Final

__all__ = ["COOKIE", "cookie_of", "is_signed", "new_cookie", "signature"]

COOKIE: Final = "hashwarden_form"
_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{20,80}")


def cookie_of(headers: Mapping[str, str], name: str = COOKIE) -> str:
    """The value of a cookie of ours; empty if there is none that we could have made."""
    try:
        found = SimpleCookie(headers.get("cookie", "")[:8192]).get(name)
    except CookieError:
        return ""
    return found.value if found is not None and _VALUE.fullmatch(found.value) else ""


def new_cookie() -> str:
    """A value that nobody guesses."""
    return secrets.token_urlsafe(24)


def signature(key: bytes, cookie: str, *about: str) -> str:
    """What a form carries."""
    return hmac.new(key, "\n".join((cookie, *about)).encode(errors="replace"), hashlib.sha256).hexdigest()


def is_signed(key: bytes, cookie: str, token: str, *about: str) -> bool:
    """Whether a form was made here, for this browser, and for just this."""
    return bool(cookie) and hmac.compare_digest(signature(key, cookie, *about).encode(), token.encode(errors="replace"))
