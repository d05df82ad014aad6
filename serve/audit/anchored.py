"""Checkpoints that were kept elsewhere, held against a log that is read from its beginning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, final

from hashwarden.serve.audit.checkpoint import Checkpoint, read_checkpoints
from hashwarden.serve.audit.keys import PublicKey

__all__ = ["MOST_OTHERS", "Anchored"]

MOST_OTHERS: Final = 100_000
"""Checkpoints by keys that were not given, which are held until it is known whose they are."""


@final
class Anchored:
    """Numbers and hashes by log: those of others are held until it is known whose they are.

    Where keys are given, only what they, or keys that they handed over to, have signed counts: whoever can write to a
    system log could else cast doubt on any audit log. Without any, all counts. Two of one record that differ mean that
    the log was written twice.

    Parameters
    ----------
    paths : sequence of Path
    keys : sequence of PublicKey

    Attributes
    ----------
    covered : int
        The last record that one was found to cover; -1 for none.

    Raises
    ------
    DataError
        If a file cannot be read, or holds no checkpoint.
    """

    def __init__(self, paths: Sequence[Path], keys: Sequence[PublicKey]) -> None:
        self.covered = -1
        self._asked = bool(paths)
        self._by_seq: dict[int, dict[str, tuple[bytes, ...]]] = {}
        self._hashes: dict[int, bytes] = {}
        self._others: dict[int, list[Checkpoint]] = {}
        self._count = 0
        given = {key.id: key for key in keys}
        for path in paths:
            for one in read_checkpoints(path):
                key = given.get(one.key)
                if key is None and given:
                    self._count += 1
                    if self._count <= MOST_OTHERS:
                        self._others.setdefault(one.statement.seq, []).append(one)
                elif key is None or one.is_signed_by(key):
                    self._keep(one)

    def _keep(self, one: Checkpoint) -> None:
        said = one.statement
        logs, digest = self._by_seq.setdefault(said.seq, {}), bytes.fromhex(said.hash)
        if digest not in logs.get(said.log, ()):
            logs[said.log] = (*logs.get(said.log, ()), digest)

    @property
    def overflow(self) -> bool:
        """Whether there were so many by keys that nobody gave that not all of them were looked at."""
        return self._count > MOST_OTHERS

    def hold(self, seq: int, digest: bytes) -> None:
        """Hold a record against what was kept; `wrong` tells."""
        if seq in self._by_seq or seq in self._others:
            self._hashes[seq] = digest

    def wrong(self, log: str, last: int, keys: Mapping[str, PublicKey]) -> Iterator[str]:
        """What is wrong now that the log is read to its end, and it is known which keys it was handed over to."""
        if not self._asked:
            return
        for one in (one for found in self._others.values() for one in found):
            key = keys.get(one.key)
            if key is not None and one.is_signed_by(key):
                self._keep(one)
        kept = {seq: logs[log] for seq, logs in self._by_seq.items() if log in logs}
        if not kept:
            yield "the checkpoints that were given are of other logs"
            return
        held = {seq: found == (self._hashes[seq],) for seq, found in kept.items() if seq in self._hashes}
        self.covered = max((seq for seq, same in held.items() if same), default=-1)
        for seq in sorted(seq for seq, same in held.items() if not same):
            yield f"record {seq} is not the one whose checkpoint was kept elsewhere"
        if max(kept) > last:
            yield f"records {last + 1} to {max(kept)} are missing at the end: a checkpoint elsewhere has them"
