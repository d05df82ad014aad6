"""Launches joined with what is known of the code, by the name of the kernel; the channels of the group ``code``.

The meaning is that of the synthesised runs (`hashwarden.training.synthesise.sensors_code`): means over launched
threads of what is said of each kernel alone.

A name can stand for several kernels. Of those for several architectures, the one that the GPU runs counts: the newest
that is not newer than the GPU. Among the rest, where names were given twice or the GPU is not known, the worst counts:
a miner that takes the name of an innocent kernel must not be diluted by it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.kernel.shares import SHARES
from hashwarden.serve.launch_board import LaunchProfile
from hashwarden.serve.scan.text import printable, shorten
from hashwarden.serve.sources.code_index import ROW, VALUES, Index, Rows, name_key
from hashwarden.serve.sources.code_store import CodeStore

__all__ = ["MOST_KERNELS", "TOP_SHARE", "Joined", "Joiner", "LaunchedKernel", "chosen"]

TOP_SHARE: Final = 0.1
"""Of the launched threads, from which a kernel counts for ``code_mining_top_ratio``."""
_CHANNELS: Final = tuple("code_novelty" if name == "novelty" else f"code_{name}_ratio" for name in VALUES)
MOST_KERNELS: Final = 512
"""Of a process in a window, the most launched ones, that are looked up; the others count as not known."""
_MOST_NAMES: Final = 100_000
"""Names of all processes together whose rows are remembered; 200 processes with 300 kernels are 60,000. Names of 120
characters, each with code of its own, took 37 MiB of resident memory; 200 processes of the same code, 1 MiB."""
_MOST_OPEN: Final = 256
_UNKNOWN: Final = -1
_UNNAMED: Final = -2
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
    mix : dict of str to float
        Of its instructions, weighted as in the channels ``code_NAME_ratio``; by NAME.
    """

    name: str
    code_sha1: str
    arch: int
    p_mining: float
    p_hash: float
    thread_ratio: float
    mix: dict[str, float] = field(default_factory=dict)


@final
@dataclass(slots=True)
class Joined:
    """What processes of one job launched on one GPU, put together.

    Attributes
    ----------
    values : dict of str to float
        Channels; what is not there is missing. Empty if nothing was launched.
    places, shares : array, shape (K,)
        The kernels whose code is known, for `Joiner.top`, and their shares of the launched threads.
    launches : dict of str to int
        ``joined``, ``unnamed``, ``unknown`` (no code of that name was found), ``dropped`` (by the tracer), ``graph``.
    """

    values: dict[str, float] = field(default_factory=dict)
    places: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    shares: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
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


class _Look(NamedTuple):
    """The kernels of a profile: place of each one's row, or why there is none, and what was launched."""

    places: npt.NDArray[np.int64]
    launches: npt.NDArray[np.int64]
    threads: npt.NDArray[np.float64]


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
        self.forget()

    def forget(self) -> None:
        """Indices were written anew."""
        self._open.clear()
        self._tables: dict[tuple[tuple[str, ...], int], dict[str, int]] = {}
        self._looks: dict[tuple[int, tuple[str, ...], int], tuple[LaunchProfile, _Look]] = {}
        self._place: dict[int, int] = {}
        self._held: Rows = np.zeros(0, ROW)  # with room for more; rows that are objects take ten times as much
        self._names: list[str] = []
        self._count = 0

    def begin(self) -> None:
        """A new round: what was worked out of single profiles is let go, and names if there are too many."""
        self._looks.clear()
        if self._count > _MOST_NAMES:
            self.forget()

    def count(self, profile: LaunchProfile, keys: tuple[str, ...], architecture: int) -> Counter[str]:
        """Launches of a process by what is known of them; see `Joined.launches`."""
        look = self._look(profile, keys, architecture)
        return Counter({
            "joined": int(look.launches[look.places >= 0].sum()),
            "unknown": int(look.launches[look.places == _UNKNOWN].sum()),
            "unnamed": int(look.launches[look.places == _UNNAMED].sum()),
            "dropped": profile.dropped, "graph": profile.graph_launches,
        })  # fmt: skip

    def join(self, processes: Sequence[tuple[LaunchProfile, tuple[str, ...]]], architecture: int) -> Joined:
        """Join the launches of processes with their code.

        Parameters
        ----------
        processes : sequence of (LaunchProfile, tuple of str)
            Each with the keys of its indices.
        architecture : int
            Of the GPU, compute capability times 10; 0 if it is not known.
        """
        joined = Joined()
        for profile, keys in processes:
            joined.launches.update(self.count(profile, keys, architecture))
        total = sum(joined.launches.values())
        if not total:
            return joined
        joined.values["code_known_ratio"] = joined.launches["joined"] / total
        looks = [self._look(profile, keys, architecture) for profile, keys in processes]
        places = np.concatenate([look.places for look in looks])
        threads = np.concatenate([look.threads for look in looks])
        known, inverse = np.unique(places[places >= 0], return_inverse=True)
        weights = np.bincount(inverse, threads[places >= 0], len(known)).astype(np.float64)
        if weights.sum() > 0:
            values = self._rows["values"][known].astype(np.float64)
            heavy_unknown = _heaviest_unknown(processes, looks) >= TOP_SHARE * threads.sum()
            joined.values |= _channels(values, weights, float(threads.sum()), heavy_unknown)
            joined.places, joined.shares = known, weights / float(threads.sum())
        return joined

    def _look(self, profile: LaunchProfile, keys: tuple[str, ...], architecture: int) -> _Look:
        remembered = self._looks.get((id(profile), keys, architecture))
        if remembered is not None:
            return remembered[1]
        kernels, rest = profile.kernels[:MOST_KERNELS], profile.kernels[MOST_KERNELS:]
        table = self._table([kernel.name for kernel in kernels], keys, architecture)
        places = [table[kernel.name] for kernel in kernels] + [_UNKNOWN] * len(rest)
        look = _Look(
            np.array(places, np.int64),
            np.array([kernel.launches for kernel in profile.kernels], np.int64),
            np.array([kernel.threads for kernel in profile.kernels], np.float64),
        )
        self._looks[id(profile), keys, architecture] = profile, look  # held, so that its id stays its own
        return look

    def _table(self, names: list[str], keys: tuple[str, ...], architecture: int) -> dict[str, int]:
        """The places of the rows of names, at least of those asked for."""
        table = self._tables.setdefault((keys, architecture), {"": _UNNAMED})
        missing = [name for name in dict.fromkeys(names) if name not in table]
        if missing:
            hashes = [name_key(name) for name in missing]
            parts = [index.find(hashes) for index in self._indices(keys)]
            for number, name in enumerate(missing):
                rows = [part[number] for part in parts if len(part[number])]
                table[name] = self._keep(name, chosen(np.concatenate(rows), architecture)) if rows else _UNKNOWN
            self._count += len(missing)
        return table

    def _keep(self, name: str, row: np.void) -> int:
        """The place of a row: processes that run the same code share it."""
        place = self._place.setdefault(hash(row.tobytes()), len(self._names))
        if place == len(self._names):
            if place == len(self._held):
                self._held = np.resize(self._held, max(64, 3 * place // 2))
            self._held[place] = row
            self._names.append(name)
        return place

    @property
    def _rows(self) -> Rows:
        """What is said of all kernels that are remembered, by place."""
        return self._held[: len(self._names)]

    def _indices(self, keys: tuple[str, ...]) -> list[Index]:
        for key in keys:
            if key not in self._open:
                self._open[key] = self._store.open(key)
            self._open.move_to_end(key)
        found = [index for key in keys if (index := self._open[key]) is not None]
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)
        return found

    def top(self, joined: Joined) -> tuple[LaunchedKernel, ...]:
        """The heaviest kernels of what was joined in this round."""
        found = []
        for number in np.argsort(-joined.shares, kind="stable")[:_SHOWN].tolist():
            place, share = int(joined.places[number]), float(joined.shares[number])
            row, shown = self._rows[place], shorten(printable(self._names[place]), _SHOWN_WIDTH)
            mining, hashing, _, *parts = (float(value) for value in row["values"])
            mix = {part: round(value, 4) for part, value in zip(SHARES, parts, strict=True)}
            code, arch = f"{int(row['code']):016x}", int(row["arch"])
            found.append(LaunchedKernel(shown, code, arch, mining, hashing, share, mix))
        return tuple(found)


def _channels(
    values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], threads: float, heavy_unknown: bool
) -> dict[str, float]:
    """The channels of kernels (values, shape (K, len(VALUES))) with so many threads each, of ``threads`` in all."""
    means = (weights @ values) / weights.sum()
    found: dict[str, float] = dict(zip(_CHANNELS, means.tolist(), strict=True))
    heavy = weights >= TOP_SHARE * threads
    if heavy.any():
        found["code_mining_top_ratio"] = float(values[heavy, 0].max())
    elif not heavy_unknown:
        found["code_mining_top_ratio"] = 0.0  # as synthesised: no kernel has a tenth of the threads
    return found


def _heaviest_unknown(processes: Sequence[tuple[LaunchProfile, tuple[str, ...]]], looks: Sequence[_Look]) -> float:
    """Threads of the heaviest kernel without code."""
    threads: Counter[str] = Counter()
    for (profile, _), look in zip(processes, looks, strict=True):
        for number in np.flatnonzero(look.places < 0).tolist():
            threads[profile.kernels[number].name] += profile.kernels[number].threads
    return max(threads.values(), default=0)
