"""Evidence of a job that goes on in another session: the old counts for as long as what runs now looks the same.

A job of a plain machine may be many sessions, one after the other (`hashwarden.serve.jobs.sequences`). Who begins anew
every minute must not lose what was seen of him; who begins something honest must not answer for what he ended before.
So beside the evidence of the whole sequence there is that of the session that is there now, from its own samples:

========================================== ============================== ==================
the session's own evidence                 what counts                    acts
========================================== ============================== ==================
too short (under `TRIAL` bets)             that of the sequence           wait
has come to `watching`                     that of the sequence           as it says
has not                                    the session's own              as it says
is none after `CUT` bets                   that of the sequence is dropped
========================================== ============================== ==================

A sequence on which no evidence is left begins anew with the next session, as another job would.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, final

from hashwarden.model.job.verdict import JobVerdict
from hashwarden.model.sequential_state import JobEvidence, State
from hashwarden.serve.watch import JobWatch, Sample

__all__ = ["CUT", "TRIAL", "Trials"]

TRIAL: Final = 3
"""Bets, of 10 s each, until which it is too early to say that a session looks like the one before it."""

CUT: Final = 12
"""Bets after which a session that shows nothing of its own has nothing to do with the one before it."""

_ANEW_S: Final = 60.0  # what was watched for less may go on: to begin anew would be told each time
_OWN: Final = "own "


@final
class Trials:
    """Names are those of `hashwarden.serve.agent.joining.watched_name`.

    Parameters
    ----------
    watch : JobWatch
        The evidence of a session is kept in it beside that of the sequence.
    """

    def __init__(self, watch: JobWatch) -> None:
        self._watch = watch
        self._open: dict[str, JobEvidence] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def begin(self, name: str) -> None:
        """Another session goes on with what is watched; call it before its first sample."""
        self._close(name)
        known = self._watch.evidence(name)
        if known.state > State.CLEAR or known.evidence[-1] > 1.0:
            self._watch.unseen(_OWN + name)
            self._open[name] = self._watch.evidence(_OWN + name)
        elif known.watched_s >= _ANEW_S:
            self._watch.forget(name)

    def doubled(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples, and those of sessions on trial once more, for themselves."""
        return [*samples, *(replace(s, job=_OWN + s.job) for s in samples if s.job in self._open)]

    def rows(self, names: Iterable[str]) -> list[str]:
        """What is watched under these names, sessions on trial included."""
        found = list(names)
        return [*found, *(_OWN + name for name in found if name in self._open)]

    def of_rows(self, values: Mapping[str, float]) -> dict[str, float]:
        """What is said of names, for what is watched under them (`rows`)."""
        return {**values, **{_OWN + name: value for name, value in values.items() if name in self._open}}

    def settle(self) -> set[str]:
        """After the samples of a tick: look at the sessions on trial. Gives the names whose sequence was dropped."""
        cut = set()
        names = list(self._open)
        for name, own in zip(names, self._watch.evidence_on([_OWN + name for name in names]), strict=True):
            self._open[name] = own
            if own.state is State.CONFIRMED:  # needs nothing of the sessions before
                self._close(name)
            elif own.blocks >= CUT and own.state < State.WATCHING and own.evidence[-1] < 1.0:
                del self._open[name]
                self._watch.forget(name)
                self._watch.rename(_OWN + name, name)
                cut.add(name)
        return cut

    def row(self, name: str) -> str:
        """Under which name the evidence is kept that counts."""
        own = self._open.get(name)
        return _OWN + name if own is not None and own.blocks >= TRIAL and own.state < State.WATCHING else name

    def borrows(self, name: str) -> bool:
        """Whether that rests on sessions before, and what is there now was not seen to do it itself."""
        own = self._open.get(name)
        return own is not None and own.blocks < TRIAL and own.state < State.WATCHING

    def verdict(self, name: str) -> JobVerdict:
        """The verdict that counts."""
        row = self.row(name)
        found = self._watch.verdict(row)
        return found if row == name else found.model_copy(update={"job": name})

    def of_sequences(self, told: Iterable[JobVerdict]) -> list[JobVerdict]:
        """Without those of sessions on trial: what counts of them is another question."""
        return [verdict for verdict in told if not verdict.job.startswith(_OWN) and verdict.job not in self._open]

    def forget(self, name: str) -> None:
        """Its job has ended."""
        self._close(name)

    def saved(self) -> dict[str, object]:
        """The evidence of all, for a restart; trials begin anew after it."""
        return {name: record for name, record in self._watch.saved().items() if not name.startswith(_OWN)}

    def _close(self, name: str) -> None:
        if self._open.pop(name, None) is not None:
            self._watch.forget(_OWN + name)
