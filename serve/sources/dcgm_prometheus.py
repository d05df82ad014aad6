"""What a Prometheus server knows of the GPUs of a cluster: its HTTP API, instant queries.

The queries select a short range, not the instant: so the answer has the raw samples with the times at which they were
scraped, where an instant vector would give values of up to five minutes ago as if they were of now.

Equal labels are asked for in the URL: ``http://prometheus:9090/?Hostname=n1&cluster=a``.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, final
from urllib.parse import parse_qsl, quote_plus

from hashwarden.errors import DataError, UsageError
from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.sources.dcgm_fields import NAMES, NUMBERS
from hashwarden.serve.sources.dcgm_http import Address, fetch
from hashwarden.serve.sources.dcgm_text import Sample

__all__ = ["MOST_BYTES", "RANGE_S", "Prometheus"]

RANGE_S: Final = 150
"""How far a query looks back: two scrapes of a server that scrapes once a minute."""

MOST_BYTES: Final = 16 << 20
"""Of one answer."""

_AT_ONCE: Final = 4
"""Fields of one query: an answer has all labels of all series, and is held in memory as a whole."""

_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_UUID: Final = re.compile(r"(GPU-[0-9A-Za-z-]{1,64})(?:/[0-9]{1,4})?")


@final
class Prometheus:
    """One server.

    Parameters
    ----------
    url : str
        Its address; what follows ``?`` are labels and their values.
    gpus : sequence of str
        UUIDs that alone are asked for; numbers are not, for they mean another GPU on each node.
    environment : mapping
        See `hashwarden.serve.sources.dcgm_http`.

    Raises
    ------
    UsageError
        If the URL cannot be meant.
    """

    def __init__(self, url: str, gpus: Sequence[str] = (), environment: Mapping[str, str] = os.environ) -> None:
        self.address, self._environment = Address.of(url), environment
        base = self.address.parts.path.rstrip("/")
        self._path = (base if base.endswith("/api/v1") else f"{base}/api/v1") + "/query"
        self._matchers = "".join(f",{name}={_quoted(value)}" for name, value in _wanted(self.address))
        uuids = [found[1] for gpu in gpus if (found := _UUID.fullmatch(gpu))]
        if uuids and len(uuids) == len(gpus):
            self._matchers += f",UUID=~{_quoted('|'.join(uuids))}"

    def samples(self, deadline: float) -> Iterator[Sample]:
        """The newest sample of every series of the last `RANGE_S`.

        Raises
        ------
        NoDeviceError, DataError
            If the server does not answer, or refuses.
        """
        numbers = sorted(NAMES)
        for start in range(0, len(numbers), _AT_ONCE):
            names = "|".join(name for number in numbers[start : start + _AT_ONCE] for name in NAMES[number])
            query = f'{{__name__=~"{names}"{self._matchers}}}[{RANGE_S}s]'
            form = f"query={quote_plus(query)}&timeout=4s".encode()
            body = fetch(
                self.address, deadline=deadline, most=MOST_BYTES, path=self._path, form=form,
                environment=self._environment,
            )  # fmt: skip
            yield from self._read(body)

    def _read(self, body: bytes) -> Iterator[Sample]:
        try:
            answer = json.loads(body)
            if answer["status"] != "success" or answer["data"]["resultType"] != "matrix":
                raise self._refused(f"status {answer['status']!r}")
            found = [sample for series in answer["data"]["result"] if (sample := _newest(series)) is not None]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise self._refused(f"{type(error).__name__}: {error}") from error
        yield from found

    def _refused(self, said: str) -> DataError:
        got = f"an answer that is none ({shorten(printable(said), 100)})"
        return DataError(got, "a matrix of Prometheus's API", "Give a server's own address.", where=self.address.text)


def _newest(series: Mapping[str, Any]) -> Sample | None:
    """The last sample of a series, or None; a value is a number in a text."""
    metric = series["metric"]
    labels = {str(name): str(value) for name, value in metric.items()}
    name = labels.pop("__name__", "")
    if name not in NUMBERS or not series["values"]:
        return None
    at, text = series["values"][-1]
    value, unix = float(str(text)), float(at)
    return Sample(name, labels, value, unix) if math.isfinite(unix) else None


def _wanted(address: Address) -> list[tuple[str, str]]:
    pairs = parse_qsl(address.parts.query, keep_blank_values=True)
    for name, _ in pairs:
        if not _LABEL.fullmatch(name) or name == "__name__":
            raise UsageError(f"the label {shorten(printable(name), 50)!r}", "a label's name", "Correct the URL.")
    return pairs


def _quoted(text: str) -> str:
    """A string of PromQL."""
    return json.dumps(text)
