"""The model card: what was trained on what, and what it reached on lineages that it never saw."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from hashwarden.model.kernel.metadata import KernelMetadata
from hashwarden.model.kernel.taxonomy import GROUPS
from hashwarden.training.kernel.dataset import Dataset
from hashwarden.training.kernel.fit import Recipe
from hashwarden.training.kernel.measures import Measured

__all__ = ["write_card"]

_LIBRARIES = ("numpy", "torch", "onnx", "onnxruntime", "scikit-learn")
_LIMITS = """## Intended use and limits

Tells what GPU machine code does, for operators of clusters; a verdict on a file is a reason to look, not a proof.
Mining and other hash work (password audit, provers) share most of their instructions: the line between them is soft.
Closed miners, packers, obfuscators and compilers other than NVIDIA's were not in the data. Kernels under 40
instructions are not judged. `hashwarden evaluate kernel` measures more, with pictures: docs/evaluation/.
"""


def write_card(  # noqa: PLR0913, PLR0917  a card tells of everything
    output: Path,
    data: Dataset,
    record: KernelMetadata,
    unseen: dict[str, Measured],
    lineages: list[str],
    recipe: Recipe,
    parameters: int,
    seconds: float,
) -> None:
    """Write ``kernel.json`` and ``kernel.md`` beside the model."""
    used = data.usable
    origins = Counter(zip(data.table.text["origin"][used].tolist(), data.group[used].tolist(), strict=True))
    card = {
        "model": record.model,
        "version": record.version,
        "parameters": parameters,
        "measured_on": "real machine code; nothing was run or recorded on a GPU",
        "kernels": {f"{origin}: {GROUPS[group]}": n for (origin, group), n in sorted(origins.items())},
        "unseen_lineages": {name: asdict(value) for name, value in unseen.items()},
        "lineages": lineages,
        "calibration": record.calibration,
        "thresholds": record.thresholds,
        "innocent": {"mining": record.innocent_mining, "hashing": record.innocent_hashing},
        "training_data_sha256": record.training_data,
        "recipe": asdict(recipe),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        "seconds": round(seconds),
    }
    (output / "kernel.json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (output / "kernel.md").write_text(_markdown(card, unseen, record), encoding="utf-8")


def _markdown(card: dict[str, object], unseen: dict[str, Measured], record: KernelMetadata) -> str:
    kernels = card["kernels"]
    assert isinstance(kernels, dict)  # for the type checker
    rows = "\n".join(
        f"| {name} | {m.auroc_plain:.4f} | {m.auroc_other:.3f} | {m.found:.1%} | {m.found_lineages} of {m.lineages} |"
        for name, m in unseen.items()
    )
    held = "\n".join(f"| {name} | {n} |" for name, n in kernels.items())
    files = "\n".join(f"| {name} | `{digest}` |" for name, digest in record.training_data.items())
    return f"""# Model card: kernel

One kernel mix in; the probability of hash work, of mining and of each of {len(record.families)} families out.
{card["parameters"]} parameters, version {record.version}, seed {record.seed}. Trained in {card["seconds"]} s.

Measured on real machine code (SASS). Nothing here was run or recorded on a GPU.

## On lineages that it never saw

Twelve folds; one mining lineage (kin together) and a share of the benign sources are held out in each, the scores
pooled. "Found" is the share of mining kernels above the score that one plain kernel in 1,000 passes.

| judged | AUROC, plain | AUROC, other hash | found | lineages |
| --- | --- | --- | --- | --- |
{rows}

## Kernels that it learned from

| origin and group | kernels |
| --- | --- |
{held}

| table | SHA-256 |
| --- | --- |
{files}

{_LIMITS}"""
