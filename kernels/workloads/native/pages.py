"""SHA-256 of every 4 KiB page of a large memory (FIPS 180-4), as deduplication and backup have it: honest hashing."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.native import operations
from hashwarden.kernels.workloads.native.chacha_pads import fill_pads
from hashwarden.kernels.workloads.native.define import define
from hashwarden.kernels.workloads.native.search import grid, header_of
from hashwarden.kernels.workloads.plan import Empty, NativeLaunch, Plan, Work, require_equal
from hashwarden.kernels.workloads.workload import Parameter, Settings

__all__ = ["WORKLOADS", "build_plan"]

_SOURCE: Final = "checksum_sha256_files"
_WORDS: Final = 512
"""64-bit words of a page."""
_SAMPLE: Final = 256
_PARTS: Final = 4
"""Parts of the memory, one a step."""


def build_plan(settings: Settings, seed: int) -> Plan:
    """Plan the digests of ``pages`` pages a step, of four times as many in all."""
    pages, key = settings["pages"], header_of(seed, 32)
    hashed = pages * (_WORDS // 8 + 1)
    variant = f"PAD_WORDS={_WORDS} STREAMS=1"

    def fill(part: int) -> NativeLaunch:
        arguments = ("key", np.uint32(part * pages), f"memory[{part}]")
        return NativeLaunch("chacha_pad", "pad_fill", *grid(pages, 32), arguments, variant)

    def step(number: int) -> tuple[NativeLaunch, ...]:
        arguments = (f"memory[{number % _PARTS}]", "digests", np.int32(pages))
        return (NativeLaunch(_SOURCE, "sha256_pages", *grid(pages, 128), arguments),)

    def check(results: Mapping[str, NDArray[Any]]) -> None:
        sample = np.unique([0, *np.random.default_rng(seed).integers(0, pages, _SAMPLE)])
        texts = fill_pads(key, sample.astype(np.uint32), _WORDS, 1)
        expected = b"".join(sha256(text.tobytes()).digest() for text in texts)
        require_equal(
            "digests",
            results["digests"][sample].astype(">u4").view(np.uint8).reshape(-1),
            np.frombuffer(expected, np.uint8),
        )

    return Plan(
        {
            "key": np.frombuffer(key, "<u4"),
            "memory": Empty((_PARTS, pages, _WORDS), np.uint64),
            "digests": Empty((pages, 8), np.uint32),
        },
        step=step,
        work=Work(units=pages, dram_bytes=pages * (8 * _WORDS + 32), int_ops=hashed * operations.SHA256),
        check=check,
        setup=tuple(fill(part) for part in range(_PARTS)),
    )


WORKLOADS: Final = (
    define(
        "sha256-pages-native",
        "deduplication",
        "SHA-256 of every 4 KiB page of a memory, in CUDA C (FIPS 180-4)",
        build_plan,
        bound="integer",
        parameters=(Parameter("pages", "pages", 32, 1 << 22, "4 KiB pages of a step", power_of_two=True),),
        small={"pages": 32},
        gpu={"pages": 1 << 17},
        unit="page",
        label="hash-other",
    ),
)
