"""The body of a request: read whole within a bound, and unpacked within the same bound if it came compressed."""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request

from hashwarden.serve.api.refusal import RefusedError

__all__ = ["CODINGS", "body_of", "json_length_of", "unpacked"]

CODINGS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""Content codings that are read, and the window that zlib wants for each."""

_DIGITS: Final = 18


async def body_of(request: Request, most: int) -> bytes:
    """The body as it came.

    Raises
    ------
    RefusedError
        413 as soon as more than `most` bytes came, or are announced.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:_DIGITS]) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise _too_large(most)
            parts.append(part)
    except ClientDisconnect:
        raise RefusedError("a client that went away", "a whole request", "Send it again.") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def unpacked(body: bytes, coding: str, most: int) -> bytes:
    """The body without its content coding; never more than `most` bytes are made of it.

    Raises
    ------
    RefusedError
        415 for a coding that is not read, 400 for a body that is not in it, 413 for one that is too large.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    window = CODINGS.get(coding)
    if window is None:
        raise RefusedError("a content coding that is not read", " or ".join(CODINGS), "Send the body as it is.",
                           status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)  # fmt: skip
    reader = zlib.decompressobj(window)
    try:
        found = reader.decompress(body, most + 1)
    except zlib.error:
        found = None
    if found is not None and len(found) > most:
        raise _too_large(most)
    if found is None or not reader.eof or reader.unused_data:
        raise RefusedError(f"a body that is not whole {coding}", "what its Content-Encoding says", "Send it again.")
    return found


def json_length_of(request: Request) -> int | None:
    """What ``Inference-Header-Content-Length`` says; None if it is not there.

    Raises
    ------
    RefusedError
        If it is no length.
    """
    text = request.headers.get("inference-header-content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise RefusedError("a header that is no length", "the bytes of the JSON in the body", "Count them.",
                           where="Inference-Header-Content-Length")  # fmt: skip
    return int(text)


def _too_large(most: int) -> RefusedError:
    return RefusedError("a body that is too large", f"at most {most} bytes", "Send several requests.",
                        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)  # fmt: skip
