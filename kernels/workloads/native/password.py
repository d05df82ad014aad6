"""An audit of MD5 passwords by a mask of eight lower-case letters (RFC 1321), against a short list of digests."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native.define import NONCES, define
from hashwarden.kernels.workloads.native.search import grid
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "password_md5"
_LENGTH: Final = 8
_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz"
_TARGETS: Final = 16
_MD5_OPS: Final = 64 * 4


def _word(index: int) -> bytes:
    letters = []
    for _ in range(_LENGTH):
        index, letter = divmod(index, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return bytes(letters)


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan ``nonces`` candidates a step; half of the wanted digests are met in step 0, half in none."""
    count, random = settings["nonces"], np.random.default_rng(seed)
    first = int(random.integers(0, 26**7))
    met = {first + int(i) for i in random.choice(count, _TARGETS // 2, replace=False)}
    places = [*met, *(first + 26**7 + i for i in range(_TARGETS // 2))]
    digests = {md5(_word(place), usedforsecurity=False).digest(): place for place in places}
    table = np.array([np.frombuffer(digest, "<u4") for digest in digests], np.uint32)
    table = table[np.argsort(table[:, 0])]
    bitmap = np.zeros(2048, np.uint32)
    np.bitwise_or.at(bitmap, table[:, 0] >> 5 & 0x7FF, np.uint32(1) << (table[:, 0] & np.uint32(31)))
    charsets = np.zeros((_LENGTH, 256), np.uint8)
    charsets[:, : len(_LETTERS)] = np.frombuffer(_LETTERS, np.uint8)

    def step(number: int) -> tuple[NativeLaunch, ...]:
        start = np.uint64((first + number * count) % 26**_LENGTH)
        targets = ("targets", "bitmap", np.uint32(len(table)), "found")
        arguments = ("charsets", "sizes", start, np.uint32(count), *targets)
        return (NativeLaunch(_SOURCE, "audit_md5_mask", *grid(count), arguments),)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        kept = (digests[row.tobytes()] for row in table)
        expected = np.array([place + 1 if place in met else 0 for place in kept], np.uint64)
        require_equal("found candidates", results["found"], expected)

    return Plan(
        {
            "charsets": charsets,
            "sizes": np.full(_LENGTH, len(_LETTERS), np.uint32),
            "targets": table,
            "bitmap": bitmap,
            "found": Empty((len(table),), np.uint64),
        },
        step=step,
        work=Work(units=count, int_ops=count * (_MD5_OPS + _LENGTH * 12)),
        check=check,
    )


WORKLOADS: Final = (
    define(
        "password-md5-native",
        "password",
        "Audit of MD5 passwords by a mask, in CUDA C (RFC 1321)",
        build_plan,
        bound="integer",
        parameters=(NONCES,),
        small={"nonces": 256},
        gpu={"nonces": 1 << 28},
        unit="candidate",
        label="hash-other",
    ),
)
