"""What ``hashwarden top`` does: a screen, or plain tables where there is none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import typer
from rich.console import Console

from hashwarden.cli.extras import needs_extra
from hashwarden.serve.agent_client import Peer, default_socket, url_peer
from hashwarden.serve.top.feed import Feed
from hashwarden.serve.top.plain import as_json, plain_lines
from hashwarden.serve.top.words import Look, look_of

__all__ = ["Request", "run_top"]

_WIDTH: Final = 160
_NO_SCREEN: Final = frozenset({"", "dumb", "unknown", "vt52", "vt100", "vt102", "vt220"})
_HOME: Final = frozenset({"vt100", "vt102", "vt220"})
_TO_TOP: Final = "\x1b[H\x1b[J"


@final
@dataclass(frozen=True, slots=True)
class Request:
    """The flags of ``top``."""

    sockets: tuple[Path, ...] = ()
    urls: tuple[str, ...] = ()
    token_file: Path | None = None
    ca_file: Path | None = None
    every_s: float = 2.0
    once: bool = False
    as_json: bool = False
    plain: bool = False
    ascii_only: bool = False


def run_top(request: Request) -> None:
    """Show it.

    Raises
    ------
    HashwardenError
        If nobody answers; with ``--once`` and ``--json`` if one of several does not, after the rest was printed.
    MissingExtraError
        If a screen is wanted and Textual is not installed.
    """
    feed = Feed(list(_peers(request)))
    look = Look(unicode=False) if request.ascii_only else look_of()
    screen = not (request.plain or os.environ.get("TERM", "") in _NO_SCREEN)
    if request.once or request.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        _print_once(feed, look, request)
    elif screen:
        _show(feed, look, request.every_s)
    else:
        _print_on(feed, look, request.every_s)


def _peers(request: Request) -> Iterator[Peer]:
    for url in dict.fromkeys(request.urls):
        yield url_peer(url, request.token_file, request.ca_file)
    sockets = request.sockets or (() if request.urls else (default_socket(),))
    for socket in dict.fromkeys(sockets):
        yield Peer(socket)


def _print_once(feed: Feed, look: Look, request: Request) -> None:
    nodes = feed.read()
    errors = [node.error for node in nodes if node.error is not None]
    if len(errors) < len(nodes) or request.as_json:
        _print(feed, look) if not request.as_json else typer.echo(as_json(nodes))
    if errors:
        raise errors[0]


def _print(feed: Feed, look: Look, *, fitting: bool = False) -> None:
    """All of it, or as much as fits on the screen."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    lines = plain_lines(feed.nodes, feed.clock(), console.width, look)
    for line in lines[: console.height - 1] if fitting else lines:
        line.end = "\n"
        console.print(line, soft_wrap=True)


def _print_on(feed: Feed, look: Look, every_s: float) -> None:
    home = os.environ.get("TERM", "") in _HOME
    _first(feed)
    with suppress(KeyboardInterrupt):
        while True:
            typer.echo(_TO_TOP if home else "", nl=not home)
            _print(feed, look, fitting=home)
            time.sleep(every_s)
            feed.read()


def _show(feed: Feed, look: Look, every_s: float) -> None:
    with needs_extra("top"):
        from hashwarden.serve.top.app import TopApp
    _first(feed)
    TopApp(feed, look, every_s).run(mouse=False)


def _first(feed: Feed) -> None:
    """Read once: if nobody answers at all, that is an error and no page."""
    errors = [node.error for node in feed.read()]
    if errors[0] is not None and all(errors):
        raise errors[0]
