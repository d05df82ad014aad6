"""Names as a report shows them: fit for a line, and, if so wished, pseudonyms in place of people, accounts and jobs.

Pseudonyms are numbers in the order in which names come up, so that nobody who tries names finds one out, and the same
within one report only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, final

from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES
from hashwarden.serve.scan.text import printable, shorten

__all__ = ["WHOSE", "WITHHELD", "Names"]

WITHHELD: Final = "(withheld)"
"""Stands for what would tell who somebody is, and of which only that matters."""

_KINDS: Final = {"user": "person", "account": "account", "namespace": "namespace", "tenant": "account"}
_SECRET: Final = ("name", "pod", "container", "partition", "qos")
WHOSE: Final = ("key", "id", *_KINDS, *_SECRET)
"""Fields of a job that tell whose it is."""

_ORDINARY: Final = frozenset(
    {*CLASSES, *MINING_FAMILIES, "root", "job", "gpu", "user", "kernel", "clear", "watching", "suspect", "confirmed",
     "abstain", "ended", "closed", "process", "slurm", "kubernetes", "the", "and", "all", "run", "test"}
)  # fmt: skip
"""Words that stay in running text, though somebody is called so."""
_LEAST: Final = 3
_LONG: Final = 400


@final
class Names:
    """Shows names.

    Parameters
    ----------
    redact : bool
        Show pseudonyms.
    """

    def __init__(self, *, redact: bool = False) -> None:
        self.redact = redact
        self._known: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._pattern: re.Pattern[str] | None = None

    def learn(self, job: Mapping[str, Any]) -> None:
        """Take in whose job it is, before anything is shown of it."""
        if not self.redact:
            return
        for field, kind in _KINDS.items():
            self._pseudonym(kind, str(job.get(field) or ""))
        self._pseudonym("job", str(job.get("key") or ""))
        if job.get("key") and (id_ := str(job.get("id") or "")):
            self._known.setdefault(id_, self._known[str(job["key"])])
        for field in _SECRET:
            if name := str(job.get(field) or ""):
                self._known.setdefault(name, WITHHELD)
        self._pattern = None

    def person(self, name: str) -> str:
        """Somebody: who owns a job, or who approved."""
        return self._shown("person", name)

    def account(self, name: str) -> str:
        """An account or a tenant."""
        return self._shown("account", name)

    def namespace(self, name: str) -> str:
        """A namespace."""
        return self._shown("namespace", name)

    def job(self, key: str) -> str:
        """A job's key or number."""
        return self._shown("job", key)

    def secret(self, text: str) -> str:
        """What only tells who it was: the name that a user gave a job."""
        return WITHHELD if self.redact and text else _fit(text)

    def text(self, text: object) -> str:
        """Running text: names that are known are replaced."""
        words = _fit(str(text))
        if not self.redact or not self._known:
            return words
        if self._pattern is None:
            names = sorted((n for n in self._known if len(n) >= _LEAST and n.lower() not in _ORDINARY), key=len)
            either = "|".join(re.escape(_fit(name)) for name in reversed(names)) or "(?!)"
            self._pattern = re.compile(f"(?<![A-Za-z0-9])(?:{either})(?![A-Za-z0-9])", re.IGNORECASE)
            self._lower = {_fit(name).lower(): shown for name, shown in self._known.items()}
        return self._pattern.sub(lambda found: self._lower.get(found[0].lower(), WITHHELD), words)

    def _shown(self, kind: str, name: str) -> str:
        return self._pseudonym(kind, name) if self.redact and name else _fit(name)

    def _pseudonym(self, kind: str, name: str) -> str:
        if not name:
            return ""
        if name not in self._known or self._known[name] == WITHHELD:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._known[name] = f"{kind}-{self._counts[kind]}"
            self._pattern = None
        return self._known[name]


def _fit(text: str) -> str:
    return shorten(printable(text[: 4 * _LONG]), _LONG)
