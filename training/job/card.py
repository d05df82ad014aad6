"""The card of the job model: what it learned from, what each number was measured on, and what it does not know."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from hashwarden.model.job.metadata import JobMetadata
from hashwarden.model.job.taxonomy import CLASSES
from hashwarden.model.storage import replacing
from hashwarden.training.job.card_figures import ALPHA, TierFigures
from hashwarden.training.job.dataset import Dataset
from hashwarden.training.job.fit import Fitted
from hashwarden.training.job.recipe import Recipe

__all__ = ["write_card"]

_LIBRARIES: Final = ("numpy", "torch", "onnx", "onnxruntime")

_TIERS: Final = {
    "nvml": "plain NVML",
    "gpm": "NVML and GPM (or DCGM's profiling fields)",
    "gpm+code": "the same, launches and the code of kernels",
    "all": "everything, PM sampling and probes included",
}

_LIMITS: Final = """## Intended use and limits

Follows live telemetry of one job on one GPU and says how probable each class is; the sequential evidence on top of it
decides, never a single sample. For operators of clusters; a verdict is a reason to look, and acting on it is the
policy's and a person's matter.

{origin}
- {never}
- The figures above are of the same strategies, families and GPUs as in the data that it learned from, though of other
  runs. What networks of this kind do on families, strategies and GPUs that they never saw, `hashwarden evaluate job`
  measures, with fits of its own.
- The bound on false alarms holds for jobs that are exchangeable with the calibration runs. Those here are {calibrated}:
  the bound is about {calibrated} jobs. {reach}
- Miners inside honest work (interleaved, beside, in bursts) are found in the share of samples in which they mine.
- Counters are of a GPU: where several jobs share it, only code evidence can tell whose work it is.
"""

_SYNTHESISED: Final = """\
- What is synthesised here comes from a mechanistic model (real machine code, a roofline, schedules, sensors with known
  faults), not from a GPU. Figures on it show that the parts work together; they do not say what happens on your nodes.
  Record your own jobs (`hashwarden record`), then calibrate on the honest ones (`hashwarden model calibrate`) and train
  again with all (`hashwarden train job`) before anything acts on verdicts."""

_RECORDED: Final = """\
- Nothing here was synthesised: it learned from, was calibrated and measured on recorded runs alone, each run in one
  part. Runs of one job (its GPUs, its restarts) resemble each other more than jobs do: where they lie in several
  parts, the figures are too good."""


def write_card(  # noqa: PLR0913, PLR0917  a card tells of everything
    output: Path, record: JobMetadata, data: Dataset, honest: Dataset, unseen: Dataset, found: Fitted,
    figures: Mapping[str, TierFigures], recipe: Recipe, seconds: float,
    apart: Sequence[tuple[Dataset, Mapping[str, TierFigures]]] = (),
) -> None:  # fmt: skip
    """Write ``job.json`` and ``job.md`` beside the model; ``apart`` are further runs that it was measured on."""
    card: dict[str, Any] = {
        "model": record.model,
        "version": record.version,
        "parameters": sum(parameter.numel() for parameter in found.network.parameters()),
        "measured_on": record.measured_on,
        "learned_from": _told(data),
        "calibrated_on": _told(honest),
        "card_measured_on": _told(unseen),
        "figures": _plain(figures),
        "measured_apart": [_told(each) | {"figures": _plain(more)} for each, more in apart],
        "held_out_loss": [list(look) for look in found.history],
        "temperatures": found.temperatures,
        "novelty_limits": record.novelty_limits,
        "training_data_sha256": record.training_data,
        "recipe": asdict(recipe),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        "seconds": round(seconds),
    }
    _replaced(output / "job.json", json.dumps(card, indent=2, sort_keys=True) + "\n")
    _replaced(output / "job.md", _markdown(card, record, figures, [more for _, more in apart]))


def _plain(figures: Mapping[str, TierFigures]) -> dict[str, Any]:
    return {tier: asdict(figure) for tier, figure in figures.items()}


def _told(data: Dataset) -> dict[str, Any]:
    """What a data set holds: runs, samples, hours, and runs by origin, class and GPU."""
    hours = float((data.length * data.period_s).sum() / 3600)
    by_class = Counter(f"{o}: {CLASSES[k]}" for o, k in zip(data.origin, data.label, strict=True))
    gpus = Counter(data.gpu.tolist())
    return {"runs": len(data), "samples": data.samples, "hours": round(hours, 1),
            "by_class": dict(sorted(by_class.items())), "gpus": dict(sorted(gpus.items()))}  # fmt: skip


_READ: Final = f"""
"Confirmed" is the state that the evidence reaches at a false-alarm probability of {ALPHA:g} for a run: without
assumptions within the calibration's horizon, under a condition beyond it (docs/evidence.md). A confirmed run that
neither mines nor hashes otherwise is a false alarm. Other hash work (password audit, proofs, checksums) runs the same
instructions: the bound does not cover it, and it is counted apart.
"""


_APART: Final = """
Nothing learned from these and nothing was calibrated on them. A run that is shorter than the evidence needs cannot be
confirmed, so read the classes and the AUROC first.
"""


def _replaced(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())


def _markdown(
    card: dict[str, Any], record: JobMetadata, figures: Mapping[str, TierFigures],
    apart: Sequence[Mapping[str, TierFigures]],
) -> str:  # fmt: skip
    files = "\n".join(f"| {name} | `{digest}` |" for name, digest in record.training_data.items())
    learned, honest, unseen = card["learned_from"], card["calibrated_on"], card["card_measured_on"]
    held = "\n".join(f"| {name} | {runs} |" for name, runs in learned["by_class"].items())
    more = "".join(f"## On runs kept apart: {_origins(told)}\n\n{_measured(told, each, _APART)}\n\n"
                   for told, each in zip(card["measured_apart"], apart, strict=True))  # fmt: skip
    return f"""# Model card: job

Telemetry of a job in, sample by sample; the probability of each of {len(record.classes)} classes, of
{len(record.families)} families of mining and a novelty out. {card["parameters"]} parameters, {record.state_size}
numbers of state, version {record.version}, seed {record.seed}. Trained in {card["seconds"]} s.

**Measured on: {record.measured_on}.**

{more}## On runs that neither fit nor calibration saw

{_measured(unseen, figures, _READ)}

## What it learned from

{learned["runs"]} runs, {learned["samples"]} samples, {learned["hours"]} hours, on {", ".join(learned["gpus"])}.
The evidence was calibrated on {honest["runs"]} further honest runs of {honest["hours"]} hours; {_origins(honest)}.

| origin and class | runs |
| --- | --- |
{held}

| trace | SHA-256 of its judged rows |
| --- | --- |
{files}

{_limits(card, figures)}"""


def _measured(told: Mapping[str, Any], figures: Mapping[str, TierFigures], read: str) -> str:
    gpus = ", ".join(told["gpus"])
    return f"""{told["runs"]} runs, {told["samples"]} samples, {told["hours"]} hours; {_origins(told)}; {gpus}. {read}
{_overview(figures)}

{_classes(figures)}

{_found("Family", figures, "families")}

{_found("Strategy", figures, "strategies")}"""


def _limits(card: Mapping[str, Any], figures: Mapping[str, TierFigures]) -> str:
    parts = [card[key]["by_class"] for key in ("learned_from", "calibrated_on", "card_measured_on")]
    origins = [sorted({name.partition(":")[0] for name in part}) for part in parts]
    seen = {name.partition(": ")[2] for name in parts[0]}
    absent = ", ".join(name for name in CLASSES if name not in seen)
    never = f"It never saw these classes and cannot name them: {absent}." if absent else "It saw every class."
    blind = [f"{_TIERS.get(tier, tier)} ({f.attainable_alpha:.2g})" for tier, f in figures.items()
             if f.attainable_alpha > ALPHA * (1 + 1e-9)]  # fmt: skip
    reach = (
        f"Too few of them answer for {ALPHA:g}: asked for it, nothing is ever confirmed. The lowest false-alarm "
        f"probability that can be asked for (`--alpha`): {', '.join(blind)}."
        if blind else ""
    )  # fmt: skip
    return _LIMITS.format(
        origin=_SYNTHESISED if any("synthesised" in some for some in origins) else _RECORDED, never=never,
        calibrated=" and ".join(origins[1]), reach=reach,
    )  # fmt: skip


def _origins(told: Mapping[str, Any]) -> str:
    count: Counter[str] = Counter()
    for name, runs in told["by_class"].items():
        count[name.partition(":")[0]] += runs
    return ", ".join(f"{runs} {origin}" for origin, runs in sorted(count.items()))


def _overview(figures: Mapping[str, TierFigures]) -> str:
    rows = [
        f"| {_TIERS.get(tier, tier)} | {f.auroc:.4f} | {f.log_loss:.3f} | "
        f"{sum(a for a, _ in f.families.values())} of {sum(b for _, b in f.families.values())} | "
        f"{f.honest_confirmed} of {f.honest} | {f.hashing_confirmed} of {f.hashing} | {f.attainable_alpha:.1e} |"
        for tier, f in figures.items()
    ]
    head = (
        "| what it sees | AUROC, mining or not | log loss | mining runs confirmed | false alarms "
        "| other hash work confirmed | lowest alpha |"
    )
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- | --- |", *rows])


def _classes(of: Mapping[str, TierFigures]) -> str:
    """Runs by class, as the tier that sees most calls them."""
    tier, figures = list(of.items())[-1]
    sees = "all channels" if tier == "all" else _TIERS.get(tier, tier)
    head = f"| true class, {sees} | " + " | ".join(CLASSES) + " | right |"
    rows = [
        f"| {name} | " + " | ".join(map(str, row)) + f" | {row[place] / max(sum(row), 1):.0%} |"
        for place, (name, row) in enumerate(zip(CLASSES, figures.classes, strict=True))
    ]
    return "\n".join([head, "| --- |" + " --- |" * (len(CLASSES) + 1), *rows])


def _found(what: str, figures: Mapping[str, TierFigures], key: str) -> str:
    """Confirmed mining runs by family or strategy, a column for each tier."""
    names = sorted({name for figure in figures.values() for name in getattr(figure, key)})
    lines = [f"| {what}, confirmed | " + " | ".join(figures) + " |", "| --- |" + " --- |" * len(figures)]
    for name in names:
        counts = [getattr(figure, key).get(name, (0, 0)) for figure in figures.values()]
        lines.append(f"| {name} | " + " | ".join(f"{found} of {runs}" for found, runs in counts) + " |")
    return "\n".join(lines)
