"""What ``hashwarden guard`` does: hand signals on, speak on standard error, and exit as the command did."""

from __future__ import annotations

import signal
from contextlib import suppress
from threading import Event

import typer

from hashwarden.errors import UsageError
from hashwarden.serve.guard.child import Child, credentials_of
from hashwarden.serve.guard.order import Order
from hashwarden.serve.scan.text import printable

__all__ = ["run_guard"]

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def run_guard(order: Order, *, quiet: bool = False) -> int:
    """Run the command under watch; gives the exit code."""
    child = Child(order.command, credentials_of(order.user) if order.user else None)  # before there are threads
    try:
        return _guarded(order, child, quiet=quiet)
    except UsageError as error:
        if child.code is None:
            raise
        _say(str(error))
        return child.code
    finally:
        child.close()


def _guarded(order: Order, child: Child, *, quiet: bool) -> int:
    from hashwarden.serve.guard.guard import Guard
    from hashwarden.serve.guard.report_text import words_of

    guard, stop = Guard(order, child, _say), Event()
    _forward(child, stop)
    report = guard.run(stop)
    for line in words_of(report, order, quiet=quiet):
        _say(line)
    return report.code


def _forward(child: Child, stop: Event) -> None:
    """Signals go to the command; the second SIGTERM ends it and what it started."""
    asked: list[int] = []

    def hand_on(number: int, _: object) -> None:
        child.forward(number)
        if number == signal.SIGTERM:
            asked.append(number)
            if len(asked) > 1:
                stop.set()

    for number in _FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:  # what nohup(1) or a script's & had ignored stays so
            signal.signal(number, hand_on)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a word to the terminal must not stop the one that watches


def _say(text: str) -> None:
    with suppress(OSError):  # nobody reads it: no reason to leave the command unwatched
        typer.echo(f"hashwarden guard: {printable(text)}", err=True)
