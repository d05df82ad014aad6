"""Launches joined with what is known of the code, by the name of the kernel; the channels of the group ``code``.

The meaning is that of the synthesised runs (`hashwarden.training.synthesise.sensors_code`): means over launched
threads of what is said of each kernel alone.

A name can stand for several kernels. Of those for several architectures, the one that the GPU runs counts: the newest
that is not newer than the GPU. Among the rest, where names were given twice or the GPU is not known, the worst counts:
a miner that takes the name of an innocent kernel must not be diluted by it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.serve.launch_board import LaunchProfile
from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.sources.code_index import VALUES, Index, Rows, name_key
from hashwarden.serve.sources.code_store import CodeStore

__all__ = ["TOP_SHARE", "Joined", "Joiner", "LaunchedKernel", "chosen"]

TOP_SHARE: Final = 0.1
"""Of the launched threads, from which a kernel counts for ``code_mining_top_ratio``."""
_CHANNELS: Final = tuple("code_novelty" if name == "novelty" else f"code_{name}_ratio" for name in VALUES)
_MOST_NAMES: Final = 20_000
_MOST_OPEN: Final = 256
_SHOWN: Final = 16
_SHOWN_WIDTH: Final = 200


@final
@dataclass(frozen=True, slots=True)
class LaunchedKernel:
    """A kernel that a job launched, as far as it weighs; for evidence.

    Attributes
    ----------
    name : str
        Fit for a terminal, cut if it is long.
    code_sha1 : str
        First 16 hex digits of SHA-1 over the code.
    arch : int
        Compute capability times 10, of the code.
    p_mining, p_hash : float
        Of the kernel alone.
    thread_ratio : float
        Its share of the launched threads.
    """

    name: str
    code_sha1: str
    arch: int
    p_mining: float
    p_hash: float
    thread_ratio: float


@final
@dataclass(slots=True)
class Joined:
    """What processes of one job launched on one GPU, put together.

    Attributes
    ----------
    values : dict of str to float
        Channels; what is not there is missing. Empty if nothing was launched.
    top : tuple of LaunchedKernel
        The heaviest kernels whose code is known.
    launches : dict of str to int
        ``joined``, ``unnamed``, ``unknown`` (no code of that name was found), ``dropped`` (by the tracer), ``graph``.
    """

    values: dict[str, float] = field(default_factory=dict)
    top: tuple[LaunchedKernel, ...] = ()
    launches: Counter[str] = field(default_factory=Counter)


def chosen(rows: Rows, architecture: int) -> np.void:
    """The row that counts among those of one name (see the module); ``rows`` is not empty."""
    if architecture:
        usable = rows[rows["arch"] <= architecture]
        if len(usable):
            rows = usable[usable["arch"] == usable["arch"].max()]
    worst = np.lexsort(rows["values"][:, [2, 1, 0]].T)[-1]
    found: np.void = rows[worst]
    return found


@final
class Joiner:
    """Finds names in the indices of a store.

    Parameters
    ----------
    store : CodeStore
    """

    def __init__(self, store: CodeStore) -> None:
        self._store = store
        self._open: OrderedDict[str, Index | None] = OrderedDict()
        self._found: dict[tuple[tuple[str, ...], int], dict[str, np.void | None]] = {}
        self._names = 0

    def forget(self) -> None:
        """Indices were written anew."""
        self._open.clear()
        self._found.clear()
        self._names = 0

    def find(self, names: Iterable[str], keys: tuple[str, ...], architecture: int) -> dict[str, np.void | None]:
        """The row that counts for each name, None if no index holds it; more names than asked for may be there."""
        known = self._found.setdefault((keys, architecture), {})
        missing = [name for name in dict.fromkeys(names) if name and name not in known]
        if missing:
            if self._names + len(missing) > _MOST_NAMES:
                self._found, self._names = {(keys, architecture): known}, len(known)
            hashes = [name_key(name) for name in missing]
            parts: list[list[Rows]] = [index.find(hashes) for index in self._indices(keys)]
            for place, name in enumerate(missing):
                rows = [part[place] for part in parts if len(part[place])]
                known[name] = chosen(np.concatenate(rows), architecture) if rows else None
            self._names += len(missing)
        return known

    def count(self, profile: LaunchProfile, keys: tuple[str, ...], architecture: int) -> Counter[str]:
        """Launches of a process by what is known of them; see `Joined.launches`."""
        found = self.find((kernel.name for kernel in profile.kernels), keys, architecture)
        counts = Counter({"dropped": profile.dropped, "graph": profile.graph_launches})
        for kernel in profile.kernels:
            counts[_kind(kernel.name, found)] += kernel.launches
        return counts

    def join(self, processes: Sequence[tuple[LaunchProfile, tuple[str, ...]]], architecture: int) -> Joined:
        """Join the launches of processes with their code.

        Parameters
        ----------
        processes : sequence of (LaunchProfile, tuple of str)
            Each with the keys of its indices.
        architecture : int
            Of the GPU, compute capability times 10; 0 if it is not known.
        """
        joined, threads = Joined(), 0
        weights: dict[tuple[str, bytes], float] = {}
        rows: dict[tuple[str, bytes], np.void] = {}
        unknown: Counter[str] = Counter()
        for profile, keys in processes:
            found = self.find((kernel.name for kernel in profile.kernels), keys, architecture)
            joined.launches += self.count(profile, keys, architecture)
            for kernel in profile.kernels:
                threads += kernel.threads
                row = found.get(kernel.name)
                if row is None:
                    unknown[kernel.name] += kernel.threads
                    continue
                place = (kernel.name, row.tobytes())
                rows[place] = row
                weights[place] = weights.get(place, 0.0) + kernel.threads
        _fill(joined, weights, rows, threads, unknown)
        return joined

    def _indices(self, keys: tuple[str, ...]) -> list[Index]:
        for key in keys:
            if key not in self._open:
                self._open[key] = self._store.open(key)
            self._open.move_to_end(key)
        found = [index for key in keys if (index := self._open[key]) is not None]
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)
        return found


def _kind(name: str, found: dict[str, np.void | None]) -> str:
    if not name:
        return "unnamed"
    return "unknown" if found[name] is None else "joined"


def _fill(
    joined: Joined, weights: dict[tuple[str, bytes], float], rows: dict[tuple[str, bytes], np.void], threads: int,
    unknown: Counter[str],
) -> None:  # fmt: skip
    """The channels and the heaviest kernels."""
    total = sum(joined.launches.values())
    if not total:
        return
    joined.values["code_known_ratio"] = joined.launches["joined"] / total
    if not weights:
        return
    values: npt.NDArray[np.float64] = np.array([row["values"] for row in rows.values()], np.float64)
    weight = np.array([weights[place] for place in rows])
    if weight.sum() <= 0:
        return
    means = (weight @ values) / weight.sum()
    joined.values |= dict(zip(_CHANNELS, means.tolist(), strict=True))
    heavy = weight >= TOP_SHARE * threads
    if heavy.any():
        joined.values["code_mining_top_ratio"] = float(values[heavy, 0].max())
    elif not any(count >= TOP_SHARE * threads for count in unknown.values()):
        joined.values["code_mining_top_ratio"] = 0.0  # as synthesised: no kernel has a tenth of the threads
    joined.top = _top(weight / max(threads, 1), rows)


def _top(shares: npt.NDArray[np.float64], rows: dict[tuple[str, bytes], np.void]) -> tuple[LaunchedKernel, ...]:
    places, found = list(rows), []
    for index in np.argsort(-shares, kind="stable")[:_SHOWN].tolist():
        row = rows[places[index]]
        mining, hashing = (float(value) for value in row["values"][:2])
        name = shorten(printable(places[index][0]), _SHOWN_WIDTH)
        found.append(
            LaunchedKernel(name, f"{int(row['code']):016x}", int(row["arch"]), mining, hashing, float(shares[index]))
        )
    return tuple(found)
