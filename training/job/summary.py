"""From the outcomes of all folds to the numbers of the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np

from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.training.job.curves import against_alarms, over_time
from hashwarden.training.job.folds import Fold
from hashwarden.training.job.measures import Outcome, alarms, at_rate, auroc, by, found, other_hash

__all__ = ["NETWORK_NAME", "WITHIN_S", "FoldResult", "clean", "summarise"]

NETWORK_NAME: Final = "hashwarden"

WITHIN_S: Final = 60.0
"""Full-speed mining is to be confirmed within this."""

ONE_PER: Final = 1.0
"""False alarms per 1,000 GPU-days at which detectors are compared."""

Of = Mapping[str, Mapping[str, Sequence[Outcome]]]


@final
@dataclass(frozen=True, slots=True)
class FoldResult:
    """What all detectors made of one fold.

    Attributes
    ----------
    fold : Fold
    outcomes : dict
        Model, then tier, then the tested runs.
    samples : dict
        Model, then tier, then the AUROC over single samples.
    seconds : dict of str to float
        Model, then seconds to fit and score it.
    """

    fold: Fold
    outcomes: dict[str, dict[str, list[Outcome]]]
    samples: dict[str, dict[str, float]]
    seconds: dict[str, float]


def clean(value: Any) -> Any:  # noqa: ANN401  JSON
    """Make it JSON that every reader takes: what is not a finite number is null; floats keep six digits."""
    if isinstance(value, Mapping):
        return {str(key): clean(inner) for key, inner in value.items()}
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [clean(inner) for inner in value]
    return value


def summarise(results: Sequence[FoldResult]) -> dict[str, Any]:
    """Give every number of the report that comes from outcomes."""
    axes = dict.fromkeys(result.fold.axis for result in results)
    of = {axis: [r for r in results if r.fold.axis == axis] for axis in axes}
    return {
        "folds": [_fold(result) for result in results],
        "axes": {axis: _each(some, _axis) for axis, some in of.items()},
        "by_family": _each(of.get("family", []), lambda some, m, t: _grouped(some, m, t, lambda o: o.family)),
        "by_strategy": _each(of.get("strategy", []), lambda some, m, t: _grouped(some, m, t, lambda o: o.strategy)),
        "full_speed": _each(of.get("family", []), _full_speed),
        "matmul": _each([r for r in results if r.fold.name == "family=matmul-pow"], _matmul),
        "alarms_by_kind": _each(list(results), _kinds),
        "confusion": {tier: _confusion(results, tier) for tier in _tiers(results, NETWORK_NAME)},
        "curves": {axis: _each(some, _curves) for axis, some in of.items()},
        "origin": {origin: _origin(results, origin) for origin in ("recorded", "synthesised")},
    }


def _tiers(results: Sequence[FoldResult], model: str) -> list[str]:
    return list(results[0].outcomes.get(model, {})) if results else []


Measure = Callable[[Sequence[FoldResult], str, str], Any]


def _each(results: Sequence[FoldResult], measure: Measure) -> dict[str, dict[str, Any]]:
    """Apply a measure to every model and tier."""
    models = list(results[0].outcomes) if results else []
    return {model: {tier: measure(results, model, tier) for tier in _tiers(results, model)} for model in models}


def _pool(results: Sequence[FoldResult], model: str, tier: str) -> list[Outcome]:
    return [outcome for result in results for outcome in result.outcomes[model][tier]]


def _run_auroc(outcomes: Sequence[Outcome]) -> float:
    mining = np.array([o.score for o in outcomes if o.mining])
    return auroc(mining, np.array([o.score for o in outcomes if not o.mining]))


def _fold(result: FoldResult) -> dict[str, Any]:
    fold = result.fold
    sizes = {"fit": len(fold.fit), "calibrate": len(fold.calibrate), "test": len(fold.test)}
    measured = {
        model: {tier: _short(some, result.samples[model][tier]) for tier, some in tiers.items()}
        for model, tiers in result.outcomes.items()
    }
    facts = {"name": fold.name, "axis": fold.axis, "held_out": fold.held_out, "hidden_kinds": list(fold.hidden_kinds)}
    return {**facts, **sizes, "measured": measured, "seconds": result.seconds}


def _short(some: Sequence[Outcome], samples: float) -> dict[str, float]:
    told = {"auroc_run": _run_auroc(some), "auroc_sample": samples}
    return {**told, "found": found(some).share, "alarms": alarms(some).count}


def _axis(results: Sequence[FoldResult], model: str, tier: str) -> dict[str, Any]:
    pooled = _pool(results, model, tier)
    each = [_run_auroc(result.outcomes[model][tier]) for result in results]
    shares = [found(result.outcomes[model][tier]).share for result in results]
    worst = int(np.nanargmin(shares))
    threshold, rate = at_rate(pooled, ONE_PER)
    return {
        "auroc_run": float(np.mean(each)),
        "auroc_run_worst": float(np.min(each)),
        "auroc_sample": float(np.mean([result.samples[model][tier] for result in results])),
        "found": asdict(found(pooled)),
        "hardest": {"held_out": results[worst].fold.held_out, "share": shares[worst]},
        "alarms": asdict(alarms(pooled)),
        "other_hash": list(other_hash(pooled)),
        "alarms_unseen": asdict(alarms([o for o in pooled if o.unseen])),
        "same_rate": {"log_evidence": threshold, "rate": rate, "found": asdict(found(pooled, threshold))},
    }


def _grouped(
    results: Sequence[FoldResult], model: str, tier: str, key: Callable[[Outcome], str]
) -> dict[str, Any]:  # fmt: skip
    held = {result.fold.held_out for result in results}
    groups = by([o for o in _pool(results, model, tier) if o.mining and key(o) in held], key)
    return {name: asdict(found(some)) for name, some in groups.items()}


def _full_speed(results: Sequence[FoldResult], model: str, tier: str) -> dict[str, Any]:
    """Measure mining that hides nothing, of families never seen."""
    plain = [o for o in _pool(results, model, tier) if o.mining and o.strategy == "plain"]
    quick = sum(o.alarm_s <= WITHIN_S for o in plain)
    return {**asdict(found(plain)), "within": quick, "within_share": quick / len(plain) if plain else math.nan}


def _matmul(results: Sequence[FoldResult], model: str, tier: str) -> dict[str, Any]:
    """Tell the matmul proof of work, never learned, from what uses the same units."""
    pooled = _pool(results, model, tier)
    mining = np.array([o.score for o in pooled if o.mining])
    others = {
        "W8A8 inference": [o for o in pooled if o.label == "inference" and _int8(o.family)],
        "inference": [o for o in pooled if o.label == "inference"],
        "training": [o for o in pooled if o.label == "training"],
    }
    told = {name: auroc(mining, np.array([o.score for o in some])) for name, some in others.items()}
    runs = {name: len(some) for name, some in others.items()}
    false = {name: alarms(some).count for name, some in others.items()}
    return {"auroc": told, "runs": runs, "alarms": false, "found": asdict(found(pooled))}


def _int8(family: str) -> bool:
    return any(word in family.lower() for word in ("w8a8", "int8"))


def _kinds(results: Sequence[FoldResult], model: str, tier: str) -> dict[str, Any]:
    """Name the kinds of work that were confirmed without mining, other hash work among them."""
    honest = by([o for o in _pool(results, model, tier) if not o.mining], lambda o: f"{o.label}/{o.family}")
    counted = {kind: (sum(math.isfinite(o.alarm_s) for o in some), len(some)) for kind, some in honest.items()}
    return {kind: list(pair) for kind, pair in counted.items() if pair[0]}


def _confusion(results: Sequence[FoldResult], tier: str) -> list[list[int]]:
    """Count tested runs by true class and by the class that the network gave most probability."""
    table = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for outcome in _pool(results, NETWORK_NAME, tier):
        if outcome.called:
            table[CLASSES.index(outcome.label), CLASSES.index(outcome.called)] += 1
    rows: list[list[int]] = table.tolist()
    return rows


def _curves(results: Sequence[FoldResult], model: str, tier: str) -> dict[str, Any]:
    pooled = _pool(results, model, tier)
    return {"over_time": over_time(pooled), "against_alarms": against_alarms(pooled)}


def _origin(results: Sequence[FoldResult], origin: str) -> dict[str, Any]:
    """Give the network's figures for runs of one origin, by axis and tier; empty where there are none."""
    table: dict[str, Any] = {}
    for axis in dict.fromkeys(result.fold.axis for result in results):
        some = [result for result in results if result.fold.axis == axis]
        for tier in _tiers(some, NETWORK_NAME):
            here = [o for o in _pool(some, NETWORK_NAME, tier) if o.origin == origin]
            each = [_run_auroc([o for o in r.outcomes[NETWORK_NAME][tier] if o.origin == origin]) for r in some]
            if here:
                counts = {"mining": sum(o.mining for o in here), "honest": sum(o.honest for o in here)}
                measured = {
                    "auroc_run": float(np.mean(each)),
                    "found": found(here).share,
                    "alarms": asdict(alarms(here)),
                }
                table.setdefault(axis, {})[tier] = {**counts, **measured}
    return table
