"""The source ``pushed``: what others hand in (`hashwarden.serve.inbox`), at most one sample a tick of each job and GPU.

Its readings are those of jobs, not of devices: who pushes says whose work was counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from hashwarden.errors import UsageError
from hashwarden.serve.inbox.inbox import Inbox
from hashwarden.serve.sources.source import Device, NoData, Options, Reading

__all__ = ["PushedSource", "make"]


def make(options: Options) -> PushedSource:
    """The source, not open yet.

    Raises
    ------
    UsageError
        Outside of `hashwarden serve`, where nobody could push.
    """
    if not isinstance(options.inbox, Inbox):
        raise UsageError("the source 'pushed' of an agent", "one that reads GPUs", "Run: hashwarden serve")
    return PushedSource(options.inbox)


@final
class PushedSource:
    """See the module.

    Parameters
    ----------
    inbox : Inbox
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    @property
    def devices(self) -> Sequence[Device]:
        """The GPUs of the jobs that are known; they come and go."""
        return self._inbox.ledger.devices

    @property
    def counts(self) -> Mapping[str, int]:
        """What became of what was pushed."""
        return self._inbox.counts

    def open(self) -> Sequence[Device]:
        """Nothing has to be opened."""
        return self.devices

    def read(self) -> Sequence[Reading]:
        """What is to be judged in this tick."""
        found = self._inbox.readings()
        if not found:
            raise NoData("nothing was pushed")
        return found

    def close(self) -> None:
        """Nothing has to be closed."""
