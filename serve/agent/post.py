"""Tells the operators that the policy names, by the site's mail command, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Full, Queue
from typing import Final, final

from hashwarden.serve.agent.logs import said
from hashwarden.serve.commands import Missing, TooLong, run, words
from hashwarden.serve.policy.alerts import Alert

__all__ = ["Post"]

_MOST: Final = 200
_CLOSE_S: Final = 2.0


@final
class Post:
    """See the module.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; ``{user}`` becomes the address, ``{job}`` what the alert is about. Empty for no mail.
    timeout_s : float
        For one mail.
    node : str
        Named in the text.
    """

    def __init__(self, command: Sequence[str], timeout_s: float, node: str) -> None:
        self._command, self._timeout_s, self._node = list(command), timeout_s, node
        self._queue: Queue[Alert | None] = Queue(_MOST)
        self._thread = threading.Thread(target=self._loop, name="post", daemon=True)
        if self._command:
            self._thread.start()

    def put(self, alert: Alert) -> None:
        """Send it to everybody that it names; if too many wait it is left out: the log has it."""
        if not self._command or not alert.emails:
            return
        try:
            self._queue.put_nowait(alert)
        except Full:
            said("error", "a mail was left out: too many wait", subject=alert.subject)

    def close(self) -> None:
        """Send what waits, for a moment."""
        if self._command:
            with suppress(Full):
                self._queue.put_nowait(None)
            self._thread.join(_CLOSE_S)

    def _loop(self) -> None:
        while (alert := self._queue.get()) is not None:
            for address in alert.emails:
                self._send(alert, address)

    def _send(self, alert: Alert, address: str) -> None:
        parts = [part.replace("{user}", address).replace("{job}", alert.subject) for part in self._command]
        times = f" ({alert.count} times)" if alert.count > 1 else ""
        text = f"{self._node}: {alert.text}{times}\n\n" + "".join(f"{job}\n" for job in alert.jobs)
        try:
            done = run(parts, self._timeout_s, text)
        except (Missing, TooLong, OSError, ValueError) as error:  # also text that no program can be given
            said("error", "a mail was not sent", error=str(error))
            return
        if done.code:
            said("error", "a mail was not sent", code=done.code, error=words(done.text))
