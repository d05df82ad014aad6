"""The dashboard's files: only those that are there by name, so that no path leads elsewhere."""

from __future__ import annotations

import hashlib
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Final

from hashwarden.serve.pages.pages import Reply

__all__ = ["FOLDER", "file_reply", "files"]

FOLDER: Final = Path(__file__).parent / "static"

_KINDS: Final = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml", ".json": "application/json",
}  # fmt: skip
_FOR_EVER: Final = "private, max-age=31536000, immutable"
"""Of vendored files: their names hold their versions."""
_ASK: Final = "no-cache"
"""Of our own: kept, but asked for each time, so that an upgrade shows at once."""


@cache
def files() -> dict[str, Path]:
    """By the path of their address."""
    found = {f"/{file.relative_to(FOLDER)}": file for file in FOLDER.rglob("*") if file.is_file()}
    return found | {"/": FOLDER / "index.html"}


def file_reply(path: str, known: str) -> Reply:
    """A file.

    Parameters
    ----------
    path : str
        As it was asked for.
    known : str
        ``If-None-Match``: what the browser has.
    """
    file = files().get(path)
    if file is None:
        kind = {"Content-Type": _KINDS[".html"], "Cache-Control": "no-store"}
        return Reply(HTTPStatus.NOT_FOUND, kind, _NOT_FOUND)
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    head = {"ETag": tag, "Cache-Control": _FOR_EVER if file.parent.name == "vendor" else _ASK}
    if known == "*" or tag in [each.strip().removeprefix("W/") for each in known.split(",")]:
        return Reply(HTTPStatus.NOT_MODIFIED, head, b"")
    return Reply(HTTPStatus.OK, {**head, "Content-Type": _KINDS.get(file.suffix, "text/plain; charset=utf-8")}, content)


_NOT_FOUND: Final = (
    b'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Not here - hashwarden</title>'
    b'<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/base.css"></head>'
    b'<body class="plain"><main><h1>There is no such page</h1><p><a href="/">To the dashboard</a>, or '
    b'<a href="/plain">without scripts</a>.</p></main></body></html>\n'
)
