"""Prometheus's text format, as far as exporters of GPUs speak it: one line, one sample.

Not `prometheus_client.parser`: that gives up on all lines when one is wrong, walks over every character in Python, and
an agent reads the same labels a thousand times an hour. Here a wrong line costs itself, and labels that were seen are
not read again. The tests compare the two.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Container, Iterator, Mapping
from typing import Final, NamedTuple, final

from hashwarden.errors import DataError

__all__ = ["MOST_LINE", "MOST_LINES", "MOST_SAMPLES", "Parser", "Sample"]

MOST_LINE: Final = 8192
"""Bytes of a line; longer ones are wrong."""

MOST_LINES: Final = 100_000
MOST_SAMPLES: Final = 20_000
"""Of a text: eight GPUs in seven parts each with forty fields are 2,240 samples."""

_MOST_KNOWN: Final = 4096
_LONGEST_KNOWN: Final = 1024
"""Labels of a line that are remembered, in characters; longer ones, which no exporter needs, are read each time."""
_LINE: Final = re.compile(
    r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\}[ \t]*|[ \t]+)"
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?Inf|NaN)(?:[ \t]+(-?[0-9]{1,18}))?[ \t\r]*"
)
_LABEL: Final = re.compile(r'[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|$)')
_ESCAPED: Final = re.compile(r"\\(.)")
_PLAIN: Final = {"n": "\n", '"': '"', "\\": "\\"}


class Sample(NamedTuple):
    """One sample.

    Attributes
    ----------
    name : str
    labels : mapping of str to str
        As they were sent: hostile.
    value : float
        May be NaN or infinite.
    unix_s : float
        Its time, NaN where the line has none.
    """

    name: str
    labels: Mapping[str, str]
    value: float
    unix_s: float


@final
class Parser:
    """Reads texts, one after the other.

    Parameters
    ----------
    wanted : container of str
        Names of the metrics that are read; the others are passed over.

    Attributes
    ----------
    wrong : int
        Lines of the last text that were not samples.
    """

    def __init__(self, wanted: Container[str]) -> None:
        self._wanted = wanted
        self._known: OrderedDict[str, Mapping[str, str]] = OrderedDict()
        self.wrong = 0

    def samples(self, body: bytes) -> Iterator[Sample]:
        """Samples in their order; a last line without an end is not believed, for half of a number is a number.

        Raises
        ------
        DataError
            If there are more than `MOST_LINES` or `MOST_SAMPLES`.
        """
        self.wrong = found = 0
        if body.count(b"\n") > MOST_LINES:
            raise _too_long(f"more than {MOST_LINES:,} lines")
        for line in body.split(b"\n")[:-1]:
            if not line or line.startswith(b"#"):
                continue
            if len(line) > MOST_LINE:
                self.wrong += 1
                continue
            sample = self._sample(line.decode("utf-8", "replace"))
            if sample is not None:
                found += 1
                if found > MOST_SAMPLES:
                    raise _too_long(f"more than {MOST_SAMPLES:,} samples")
                yield sample

    def _sample(self, line: str) -> Sample | None:
        found = _LINE.fullmatch(line)
        if found is None:
            self.wrong += bool(line.strip())
            return None
        name, labels, value, stamp = found.groups()
        if name not in self._wanted:
            return None
        read = self._labels(labels or "")
        if read is None:
            self.wrong += 1
            return None
        return Sample(name, read, float(value), float(stamp) / 1000 if stamp else float("nan"))

    def _labels(self, text: str) -> Mapping[str, str] | None:
        known = self._known.get(text)
        if known is None:
            known = _labels(text)
            if known is None:
                return None
            if len(text) <= _LONGEST_KNOWN:
                self._known[text] = known
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return known


def _labels(text: str) -> Mapping[str, str] | None:
    """Labels of a line; None if they are wrong or one comes twice."""
    found: dict[str, str] = {}
    place, end = 0, len(text.rstrip(" \t"))
    while place < end:
        label = _LABEL.match(text, place, end)
        if label is None or label[1] in found:
            return None
        value = label[2]
        found[label[1]] = _ESCAPED.sub(_unescaped, value) if "\\" in value else value
        place = label.end()
    return found


def _too_long(got: str) -> DataError:
    return DataError(got, "an exporter of one node", "For a cluster ask its Prometheus server.")


def _unescaped(found: re.Match[str]) -> str:
    return _PLAIN.get(found[1], found[0])
