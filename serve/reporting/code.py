"""The programs that a job ran on its GPUs, as a bundle has them: names, launches, and what their machine code is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from hashwarden.model.kernel.shares import SHARES
from hashwarden.serve.reporting.evidence import Evidence
from hashwarden.serve.reporting.names import Names

__all__ = ["MIX", "Kernel", "Launched", "kernels", "launched"]

MIX: Final = tuple(name for name, groups in SHARES.items() if groups)
"""Shares of the instructions that do not overlap; the rest is control, moves and comparisons."""

_MOST: Final = 10
_LARGEST: Final = 1 << 53


@final
@dataclass(frozen=True, slots=True)
class Kernel:
    """One program for the GPU whose machine code was read.

    Attributes
    ----------
    name, code_sha1 : str
    architecture : int
        Compute capability times 10.
    p_mining, p_hash, threads : float or None
        Probability that it mines or hashes, judged alone; its share of the launched threads.
    mix : dict of str to float
        Share of its instructions of each kind of `MIX`.
    """

    name: str
    code_sha1: str
    architecture: int
    p_mining: float | None
    p_hash: float | None
    threads: float | None
    mix: Mapping[str, float]


@final
@dataclass(frozen=True, slots=True)
class Launched:
    """One program for the GPU that was seen to be launched."""

    name: str
    launches: int
    threads: float


def kernels(evidence: Evidence | None, names: Names) -> list[Kernel]:
    """Those that weigh most, the likeliest to mine first."""
    found = list(_kernels(evidence.code, names)) if evidence else []
    found.sort(key=lambda one: (-(one.p_mining or 0.0) * (one.threads or 0.0), one.name))
    return found[:_MOST]


def _kernels(code: Mapping[str, Any], names: Names) -> Iterator[Kernel]:
    listed = code.get("kernels")
    named = [{**plain, "name": name} for name, plain in code.items() if isinstance(plain, Mapping)]  # of older bundles
    for plain in listed if isinstance(listed, list) else named:
        if not isinstance(plain, Mapping):
            continue
        mix, architecture = plain.get("mix"), plain.get("arch")
        shares = {share: _share(mix.get(share)) or 0.0 for share in MIX} if isinstance(mix, Mapping) else {}
        yield Kernel(
            names.text(plain.get("name", "")), names.text(plain.get("code_sha1", "")),
            architecture if isinstance(architecture, int) else 0, _share(plain.get("p_mining")),
            _share(plain.get("p_hash")), _share(plain.get("thread_ratio")), shares if any(shares.values()) else {},
        )  # fmt: skip


def _share(value: object) -> float | None:
    if isinstance(value, int | float) and 0 <= value <= 1:  # which no NaN is
        return float(value)
    return None


def launched(evidence: Evidence | None, names: Names) -> list[Launched]:
    """What was launched most, all windows together."""
    counts: Counter[str] = Counter()
    threads: Counter[str] = Counter()
    profiles = evidence.launches.get("profiles") if evidence else None
    for profile in profiles if isinstance(profiles, list) else []:
        rows = profile.get("kernels") if isinstance(profile, Mapping) else None
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, Mapping) and isinstance(row.get("launches"), int):
                name = names.text(row.get("name", ""))
                counts[name] += min(row["launches"], _LARGEST)
                threads[name] += min(row["threads"], _LARGEST) if isinstance(row.get("threads"), int) else 0
    return [Launched(name, count, float(threads[name])) for name, count in counts.most_common(_MOST)]
