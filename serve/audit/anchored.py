"""Checkpoints that were kept elsewhere, held against a log that is read from its beginning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import final

from hashwarden.serve.audit.checkpoint import read_checkpoints
from hashwarden.serve.audit.keys import PublicKey

__all__ = ["Anchored"]


@final
class Anchored:
    """Numbers and hashes by log: about 200 bytes for each checkpoint.

    Those that claim a given key and are not signed by it are left out: whoever can write to a system log could else
    cast doubt on any audit log.

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
        self._by_seq: dict[int, dict[str, bytes]] = {}
        self._last: dict[str, int] = {}
        given = {key.id: key for key in keys}
        for path in paths:
            for one in read_checkpoints(path):
                key = given.get(one.key)
                if key is None or one.is_signed_by(key):
                    said = one.statement
                    self._by_seq.setdefault(said.seq, {})[said.log] = bytes.fromhex(said.hash)
                    self._last[said.log] = max(self._last.get(said.log, -1), said.seq)
        self._met: dict[str, int] = {}
        self._differ: dict[int, set[str]] = {}

    def hold(self, seq: int, digest: bytes) -> None:
        """Hold a record against what was kept; `wrong` tells."""
        for log, kept in self._by_seq.get(seq, {}).items():
            if kept == digest:
                self._met[log] = seq
            else:
                self._differ.setdefault(seq, set()).add(log)

    def wrong(self, log: str, last: int) -> Iterator[str]:
        """What is wrong now that the log is read to its end."""
        if not self._asked:
            return
        if log not in self._last:
            yield "the checkpoints that were given are of other logs"
            return
        self.covered = self._met.get(log, -1)
        for seq in sorted(seq for seq, logs in self._differ.items() if log in logs):
            yield f"record {seq} is not the one whose checkpoint was kept elsewhere"
        if self._last[log] > last:
            yield f"records {last + 1} to {self._last[log]} are missing at the end: a checkpoint elsewhere has them"
