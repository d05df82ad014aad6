"""HTML made of values: what comes from elsewhere is text in it, whatever it holds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final
from urllib.parse import quote

from hashwarden.serve.scan.text import printable, shorten

__all__ = ["clock", "document", "duration", "facts", "listed", "mapped", "name", "percent", "table", "text"]

_LONGEST: Final = 300


def text(value: object, longest: int = _LONGEST) -> str:
    """A value as text of a page: nothing hidden in it, not too long, no markup."""
    return escape(shorten(printable(str(value)), longest))


def name(value: object) -> str:
    """A name that somebody chose, kept from turning the direction of what stands around it."""
    return f"<bdi>{text(value)}</bdi>" if value not in ("", None) else '<span class="none">none</span>'


def mapped(value: object) -> Mapping[str, Any]:
    """An object of JSON, empty if it is none."""
    return value if isinstance(value, Mapping) else {}


def listed(value: object) -> Sequence[Any]:
    """A list of JSON, empty if it is none."""
    return value if isinstance(value, list | tuple) else []


def percent(value: object) -> str:
    """A share in percent; a dash for what is not known."""
    return f"{100 * value:.0f}\u00a0%" if isinstance(value, int | float) and not isinstance(value, bool) else "-"


def clock(unix_s: object) -> str:
    """Date and time in UTC; a dash for what is not known."""
    if not isinstance(unix_s, int | float) or not 0 < unix_s < 1e11:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(unix_s))


def duration(seconds: object) -> str:
    """Seconds as a person says them."""
    if not isinstance(seconds, int | float) or seconds < 0:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; `rows` are markup already, the rest is text. The first cell of each row is its head."""
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    return (f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>")  # fmt: skip


def facts(rows: Mapping[str, str]) -> str:
    """A list of what is known; values are markup already."""
    return (
        "<dl>" + "".join(f"<div><dt>{escape(key)}</dt><dd>{value}</dd></div>" for key, value in rows.items()) + "</dl>"
    )


def document(title: str, body: str, node: str, note: str = "") -> bytes:
    """A whole page; title and note are text, the body is markup."""
    query = f"?node={quote(node, safe='')}" if node else ""
    links = (("/plain", "Jobs"), ("/plain/cases", "Cases"), ("/plain/blind", "Blindness"))
    menu = "".join(f'<a href="{path}{query}">{words}</a>' for path, words in links)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{text(title)} - hashwarden</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        'content="light dark"><link rel="icon" href="/icon.svg"><link rel="stylesheet" href="/base.css"></head>'
        f'<body class="plain"><header><strong>hashwarden</strong><nav aria-label="Pages">{menu}'
        '<a href="/">With scripts</a></nav></header>'
        f"<main><h1>{text(title)}</h1>{body}</main><footer>Made {clock(time.time())}; this page does not renew "
        f"itself. {text(note)}</footer></body></html>\n"
    ).encode()
