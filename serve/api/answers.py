"""Errors as answers: one form, {"error": words}, with the status that fits; ours are logged, not told."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hashwarden.errors import (
    CheckError,
    DataError,
    HashwardenError,
    LimitError,
    MemoryShortError,
    MissingExtraError,
    MissingTargetError,
    ModelError,
    NoDeviceError,
    PermissionError_,
    PrivilegeError,
    TargetError,
    UnsupportedError,
    UsageError,
)
from hashwarden.serve.agent.logs import said
from hashwarden.serve.api.refusal import RefusedError
from hashwarden.serve.scan.text import printable

__all__ = ["EVERYWHERE", "Problem", "answer_to", "handle_errors", "refusal", "status_of"]

_STATUS: Final[tuple[tuple[type[HashwardenError], int], ...]] = (
    (UsageError, 400), (DataError, 400), (LimitError, 413), (MissingTargetError, 404), (UnsupportedError, 415),
    (PermissionError_, 403), (PrivilegeError, 403), (MissingExtraError, 501), (MemoryShortError, 503),
    (ModelError, 503), (CheckError, 503), (NoDeviceError, 503), (TargetError, 400),
)  # fmt: skip
_WORDS: Final = 500


class Problem(BaseModel):
    """What is answered instead."""

    error: str = Field(description="What was got, what would have been right, and what to do.")


EVERYWHERE: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem, "description": words}
    for status, words in {
        400: "What was sent cannot be meant.",
        401: "Who asks is not known.",
        403: "Who asks may not, or a browser asks for another site.",
        408: "The body took too long to arrive.",
        413: "The body, or the batch, is too large.",
        421: "The Host is not one of this service.",
        429: "Too many requests of this identity; Retry-After tells when.",
        500: "A fault of the service.",
        503: "It has too much to do, or cannot now; Retry-After tells when.",
    }.items()
}


def refusal(status: int, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that is an error."""
    return JSONResponse({"error": printable(words[:_WORDS])}, status, headers)


def status_of(error: HashwardenError) -> int:
    """The status that fits."""
    if isinstance(error, RefusedError):
        return int(error.status)
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def handle_errors(app: FastAPI) -> None:
    """Give an application these answers."""
    for kind in (HTTPException, RequestValidationError, HashwardenError, RecursionError):
        app.add_exception_handler(kind, _answered)


def answer_to(error: Exception, path: str) -> Response | None:
    """The answer that fits an error; None if it is a fault of ours that nothing is told of.

    Parameters
    ----------
    error : Exception
    path : str
        Of the request, for the log.
    """
    if isinstance(error, HTTPException):
        return refusal(error.status_code, str(error.detail), dict(error.headers or {}))
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return refusal(400, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")
    if isinstance(error, RecursionError):
        return refusal(400, "JSON that is nested too deep; expected that of the schema")
    return _ours(error, path) if isinstance(error, HashwardenError) else None


def _ours(error: HashwardenError, path: str) -> Response:
    status = status_of(error)
    if status >= 500:
        said("error", "a request failed", path=path, error=str(error))
    return refusal(status, str(error), {"Retry-After": "5"} if status == 503 else None)


async def _answered(request: Request, error: Exception) -> Response:
    answer = answer_to(error, request.url.path)
    assert answer is not None
    return answer
