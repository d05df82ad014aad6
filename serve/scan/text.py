"""Names from hostile files, made fit for a terminal and for one line."""

from __future__ import annotations

import unicodedata

__all__ = ["printable", "shorten"]

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str) -> str:
    r"""Escape whatever could move the cursor, colour the screen, break the line or hide.

    A kernel may be called anything, an escape sequence too: control and format characters, unpaired
    surrogates and line separators become ``\xNN`` or ``\uNNNN``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(char) for char in text)


def _escape(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shorten(text: str, width: int) -> str:
    """Cut the middle out of a text that is wider than ``width``; both ends of a path say the most."""
    if len(text) <= width:
        return text
    if width < 8:
        return text[:width]
    head = (width - 1) // 3
    return f"{text[:head]}…{text[head + 1 - width :]}"
