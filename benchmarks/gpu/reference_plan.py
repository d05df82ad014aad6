"""The reference set: what has to be recorded on a GPU, the most telling first, for `hashwarden record --all --plan`.

    python benchmarks/gpu/reference_plan.py [--set counters] > plan.json

Three sets, for sources that must not see one another at work: ``counters`` (NVML, GPM and launches: every workload,
several sizes and intensities, every evasion on a workload of each mining family, pairs of processes, an idle GPU),
``pm`` (PM sampling) and ``probe`` (our own probes), these two on one workload of each family.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hashwarden.kernels.workloads.registry import workloads
from hashwarden.kernels.workloads.workload import LABELS, Workload
from hashwarden.serve.labels import FAMILY_OF

SETS = {"counters": ("nvml",), "pm": ("nvml", "pm"), "probe": ("nvml", "probe")}
"""Sources of each set."""

SIZED = ("nonces", "threads", "hashes", "rows", "n", "blocks", "batch", "requests", "tokens", "slots", "edge", "keys")
"""What makes a step of a workload larger; the first of these that it has is divided."""

STAGED_S = 90.0
"""A stage of ``duty-cycle`` takes 8 to 45 s."""

EVASIONS: tuple[tuple[str, str, dict[str, int], float], ...] = (
    ("throttle", "half", {"share": 50}, 0.0),
    ("duty-cycle", "usual", {}, STAGED_S),
    ("interleave", "usual", {}, 0.0),
    ("pad", "usual", {}, 0.0),
    ("dual", "usual", {}, 0.0),
    ("throttle", "fifth", {"share": 20}, 0.0),
    ("duty-cycle", "low", {"low": 40, "high": 80}, STAGED_S),
    ("interleave", "tenth", {"share": 10}, 0.0),
    ("pad", "fifth", {"share": 20}, 0.0),
)
PAIRS = (
    ("transformer-training", "ethash-native"),
    ("transformer-training", "sha256d-native"),
    ("llm-serving", "kawpow-native"),
    ("llm-serving", "tilepow-native"),
    ("convnet-training", "tilepow-native"),
    ("w8a8-inference", "tilepow-native"),
    ("transformer-training", "llm-serving"),
    ("mlp-training", "convnet-inference"),
    ("ethash-native", "sha256d-native"),
    ("recommender-training", "hash-join"),
)

INTEGER_TENSORS: tuple[dict[str, Any], ...] = (
    {"workload": "tilepow-native"},
    {"workload": "w8a8-inference"},
    {"workload": "tilepow-tensor", "variant": "quarter", "set": {"rows": 2048}},
    {"workload": "gemm-int8-native", "variant": "quarter", "set": {"m": 1024}},
)
"""More of what is hardest to tell apart, for the sets that hold little else of it."""

Entry = dict[str, Any]


def heads(families: Mapping[str, str] = {}) -> list[Workload]:
    """One workload of each family of each label, the labels in turns: the one that would be run for its own sake.

    ``families`` may give several families of workloads one name.
    """
    found: dict[str, dict[str, Workload]] = {label: {} for label in LABELS}
    for workload in sorted(workloads(), key=lambda w: not {"cupy", "torch"} & set(w.engines())):
        found[workload.label].setdefault(families.get(workload.family, workload.family), workload)
    return _in_turns([list(of_label.values()) for of_label in found.values()])


def sizes(workload: Workload) -> Iterator[Entry]:
    """The workload with a quarter and a sixteenth of the work in a step, where it lets itself be divided."""
    settings = workload.settings("gpu")
    known = {parameter.name: parameter for parameter in workload.parameters}
    name = next((name for name in SIZED if name in known), None)
    if name is None:
        return
    for words, part in (("quarter", 4), ("sixteenth", 16)):
        value = settings[name] // part
        if value >= max(known[name].low, 1):
            yield {"workload": workload.name, "variant": words, "set": {name: value}}


def evasions(workload: Workload) -> Iterator[Entry]:
    """Every evasion of a workload that mines."""
    for evasion, variant, settings, seconds in EVASIONS:
        yield {"workload": workload.name, "evasion": evasion, "variant": variant, "evasion_set": settings,
               "seconds": seconds}  # fmt: skip


def plan(name: str) -> list[Entry]:
    """All recordings of a set, in the order in which they are wanted."""
    first = heads()
    plain = [{"workload": workload.name} for workload in first]
    idle: list[Entry] = [{"workload": "idle"}]
    if name != "counters":
        return [*idle, *plain, *INTEGER_TENSORS]
    hidden = [list(evasions(w)) for w in heads(FAMILY_OF) if w.label == "mining"]
    begun = _in_turns([each[:2] for each in hidden])
    later = _in_turns([_in_turns([each[2:] for each in hidden]), _in_turns([list(sizes(each)) for each in first])])
    others = [{"workload": w.name} for w in workloads() if w not in first]
    return [*idle, *plain, {"workload": "idle", "variant": "warm"}, *begun, *_pairs(), *later, *others, *_narrow()]


def _pairs() -> Iterator[Entry]:
    for one, other in PAIRS:
        yield {"workload": one, "variant": f"beside-{other}", "beside": [other]}


def _narrow() -> Iterator[Entry]:
    """Few multiprocessors, which only the engine numba can be held to."""
    seen = set()
    for w in workloads():
        if w.label == "mining" and "numba" in w.engines() and FAMILY_OF[w.family] not in seen:
            seen.add(FAMILY_OF[w.family])
            yield {"workload": w.name, "evasion": "few-sms", "variant": "usual", "engine": "numba"}


def _in_turns(lists: list[list[Any]]) -> list[Any]:
    """The first of each, then the second of each, and so on."""
    most = max(map(len, lists))
    return [one[place] for place in range(most) for one in lists if place < len(one)]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=SETS, default="counters")
    print(json.dumps(plan(parser.parse_args().set), indent=1))


if __name__ == "__main__":
    main()
