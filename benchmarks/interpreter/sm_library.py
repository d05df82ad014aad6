"""Builds the interpreter with g++ and calls it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from sm_records import INSTRUCTION

from hashwarden.errors import HashwardenError

__all__ = ["Fault", "Library", "library"]

SOURCES = Path(__file__).parent / "cpp"
CACHE = Path(__file__).parents[2] / ".cache" / "sm"
FLAGS = ("-std=c++17", "-O2", "-frounding-math", "-ffp-contract=off", "-shared", "-fPIC")
BANKS = 8
MOST_INSTRUCTIONS = 2_000_000_000


class Fault(HashwardenError):  # noqa: N818  as a GPU's driver calls it
    """A kernel did what a GPU would stop it for, or something that the interpreter has no meaning for."""


class _Launch(ctypes.Structure):
    """`Launch` of cpp/machine.h."""

    _fields_ = (
        ("code", ctypes.c_void_p), ("length", ctypes.c_int64), ("executed", ctypes.c_void_p),
        ("threads", ctypes.c_void_p), ("grid", ctypes.c_uint32 * 3), ("block", ctypes.c_uint32 * 3),
        ("banks", ctypes.c_void_p * BANKS), ("bank_bytes", ctypes.c_int64 * BANKS), ("shared_bytes", ctypes.c_int64),
        ("local_bytes", ctypes.c_int64), ("regions", ctypes.c_void_p), ("region_count", ctypes.c_int64),
        ("chosen", ctypes.c_void_p), ("chosen_count", ctypes.c_int64),
        ("limit", ctypes.c_uint64),
    )  # fmt: skip


class Library:
    """The interpreter, loaded."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.sm_names.restype = ctypes.c_char_p
        self.operations, self.modifiers = (
            {name: place for place, name in enumerate(self._library.sm_names(which).decode().split())}
            for which in (0, 1)
        )

    def run(  # noqa: PLR0913, PLR0917  what a launch is made of
        self, code: np.ndarray, counts: np.ndarray, shape: tuple[tuple[int, ...], tuple[int, ...]],
        banks: dict[int, bytes], memory: tuple[int, int], regions: np.ndarray, limit: int = MOST_INSTRUCTIONS,
        blocks: Sequence[tuple[int, int, int]] = (),
    ) -> None:  # fmt: skip
        """Carry a launch out.

        Parameters
        ----------
        code : array of `INSTRUCTION`
        counts : uint64 array, shape (2, instructions)
            How many warps and how many threads executed each; added to.
        shape : pair of tuple of int
            Blocks, and threads of a block, in three dimensions.
        banks : dict of int to bytes
            Constant banks.
        memory : pair of int
            Bytes of shared memory of a block, and of local memory of a thread.
        regions : uint64 array, shape (regions, 2)
            Where global memory may be touched: first address and the one behind, ascending.
        limit : int
            Instructions of warps after which it is given up.
        blocks : sequence of tuple of int
            Run only these of the grid.

        Raises
        ------
        Fault
            With what was wrong.
        """
        assert code.dtype == INSTRUCTION
        chosen = np.array(blocks, np.uint32).reshape(-1, 3)
        said = ctypes.create_string_buffer(200)
        launch = _Launch(
            code.ctypes.data, len(code), counts[0].ctypes.data, counts[1].ctypes.data, shape[0], shape[1],
            (ctypes.c_void_p * BANKS)(*(_address(banks.get(bank)) for bank in range(BANKS))),
            (ctypes.c_int64 * BANKS)(*(len(banks.get(bank, b"")) for bank in range(BANKS))), *memory,
            regions.ctypes.data, len(regions), chosen.ctypes.data, len(chosen), limit,
        )  # fmt: skip
        if self._library.sm_run(ctypes.byref(launch), said, len(said)):
            raise Fault(said.value.decode(), "a kernel that runs to its end", "The kernel or the interpreter is wrong.")


def _address(data: bytes | None) -> int | None:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value if data else None


@cache
def library() -> Library:
    """Build the interpreter, unless that was done with the same sources, and load it."""
    if shutil.which("g++") is None:
        raise HashwardenError("no g++", "a C++ compiler", "Install g++: the interpreter is built with it.")
    files = sorted(SOURCES.iterdir())
    key = hashlib.sha256(b"".join(path.read_bytes() for path in files) + repr(FLAGS).encode()).hexdigest()[:16]
    path = CACHE / f"sm-{key}.so"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = CACHE / f"sm-{key}.{os.getpid()}.part"
        sources = [str(file) for file in files if file.suffix == ".cpp"]
        done = subprocess.run(["g++", *FLAGS, *sources, "-o", str(made)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise HashwardenError(done.stderr[:2000], "sources that compile", "Correct them.")
        made.replace(path)
    return Library(path)
