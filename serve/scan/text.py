"""Names from hostile files, made fit for a terminal and for one line."""

from __future__ import annotations

__all__ = ["printable", "shorten", "shorten_path"]


def printable(text: str) -> str:
    r"""Escape whatever could move the cursor, colour the screen, break the line, hide, or pass for a space.

    A kernel may be called anything, an escape sequence too: control and format characters, unpaired surrogates, line
    separators and all spaces but the usual one become ``\xNN`` or ``\uNNNN``. What is left is `str.isprintable`.
    """
    if text.isprintable():
        return text
    return "".join(_escape(char) for char in text)


def _escape(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shorten(text: str, width: int) -> str:
    """Cut the middle out of a text that is wider than ``width``."""
    if len(text) <= width:
        return text
    tail = max(width - 1, 0) // 2
    return f"{text[: max(width - 1 - tail, 0)]}…{text[len(text) - tail :]}"


def shorten_path(path: str, width: int) -> str:
    """Cut leading folders off a path that is wider than ``width``, then the middle of what is left."""
    if len(path) <= width:
        return path
    parts = path.split("/")
    for first in range(1, len(parts)):
        rest = "…/" + "/".join(parts[first:])
        if len(rest) <= width:
            return rest
    return shorten(parts[-1], width)
