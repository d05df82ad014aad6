"""The files of a model that was calibrated again: the same graphs with another record, known answers, card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from hashwarden.errors import ModelError
from hashwarden.model.answers_file import answers_path
from hashwarden.model.job.known_answers import read_answers
from hashwarden.model.job.metadata import KEY, JobMetadata, read_metadata
from hashwarden.model.job.record_file import with_record
from hashwarden.model.sequential_calibration import TierCalibration, ladder
from hashwarden.training.job.recalibrate import ALPHA, Change, Recalibration, runs_for
from hashwarden.training.job.recalibrate_input import OWN

__all__ = ["HEADING", "record_of", "write_files"]

HEADING: Final = "## Calibrated again on own runs"
_AGAIN: Final = "; evidence calibrated again on "
_UNLIKE: Final = "unlike"
_STEPS: Final = ("watching", "suspect", "confirmed")


def record_of(before: JobMetadata, found: Recalibration, digests: Mapping[str, str]) -> JobMetadata:
    """The record with the new calibration.

    Parameters
    ----------
    before : JobMetadata
    found : Recalibration
    digests : mapping of str to str
        SHA-256 of the judged rows of each trace.

    Raises
    ------
    ModelError
        If it would not be read again.
    """
    kept = {name: digest for name, digest in before.training_data.items() if not name.startswith(OWN)}
    new = {
        "novelty_limits": {**before.novelty_limits, _UNLIKE: found.novelty},
        "evidence": found.evidence.model_dump(mode="json"),
        "measured_on": f"{before.measured_on.partition(_AGAIN)[0]}{_AGAIN}{_runs(found)}",
        "training_data": kept | {f"{OWN}{name}": digest for name, digest in digests.items()},
    }
    return read_metadata({KEY: before.model_copy(update=new).model_dump_json()}, "record")


def _runs(found: Recalibration) -> str:
    """How many runs of which origin, in the tier that most of them show."""
    tier = max(found.evidence.tiers.values(), key=lambda tier: tier.runs)
    return " and ".join(f"{runs:,} {origin}" for origin, runs in sorted(tier.origins.items())) + " runs"


def write_files(base: Path, folder: Path, record: JobMetadata, found: Recalibration) -> None:
    """Write all files of the model.

    Parameters
    ----------
    base : Path
        Step graph of the model that was calibrated again; what belongs to it lies beside it.
    folder : Path
    record : JobMetadata
        Of `record_of`.
    found : Recalibration

    Raises
    ------
    ModelError
        If a file of the model is missing or damaged.
    """
    old = _read(base)
    step, sequence = with_record(old, record), with_record(_read(base.with_name(f"{base.stem}_sequence.onnx")), record)
    digest = hashlib.sha256(old).hexdigest()
    answers = read_answers(answers_path(base), digest).to_json(hashlib.sha256(step).hexdigest())
    (folder / "job.onnx").write_bytes(step)
    (folder / "job_sequence.onnx").write_bytes(sequence)
    (folder / "job_known_answers.json").write_text(f"{answers}\n", encoding="utf-8")
    card = _card(base.with_name("job.json")) | {
        "measured_on": record.measured_on,
        "novelty_limits": record.novelty_limits,
        "training_data_sha256": record.training_data,
        "recalibration": _told(found, digest),
    }
    (folder / "job.json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    text = _inserted(_text(base.with_name("job.md")), _section(record, found, digest))
    (folder / "job.md").write_text(text, encoding="utf-8")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"the model file cannot be read ({error.strerror})", path.name, "Name a whole model.",
                         where=str(path)) from error  # fmt: skip


def _text(path: Path) -> str:
    """A card in words; the barest one where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else "# Model card: job\n"


def _card(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path))
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _told(found: Recalibration, digest: str) -> dict[str, Any]:
    return {
        "of_model_sha256": digest,
        "runs": found.runs,
        "runs_of_other_hash_work": found.hashing,
        "short_runs": found.short,
        "horizon_s": {"before": found.horizon_before_s, "now": found.evidence.horizon_s},
        "tiers": {change.tier: _change(change) for change in found.changes},
    }


def _change(change: Change) -> dict[str, Any]:
    nulls = {
        when: [tier.null(step) for step in ladder(ALPHA)] if tier else None
        for when, tier in (("before", change.before), ("now", change.after))
    }
    counts = {key: value for key, value in asdict(change).items() if key in {"runs", "reached_before", "reached_after"}}
    lowest = change.after.attainable_alpha if change.after else None
    return {"null_levels": nulls, "lowest_alpha": lowest, **counts}


def _inserted(card: str, section: str) -> str:
    """A card with the section before its first other one; an earlier one is taken out."""
    head, found, rest = card.partition(f"{HEADING}\n")
    if found:
        _, mark, rest = rest.partition("\n## ")
        card = head + (f"## {rest}" if mark else "")
    head, mark, rest = card.partition("\n## ")
    return f"{head.rstrip()}\n\n{section}" + (f"\n## {rest}" if mark else "")


_READ: Final = """\
The bound on false alarms is now about jobs like these runs. **What stands below of confirmed runs, false alarms, lowest
alpha and calibration is of the model before**; ranks, classes and log losses are of the same weights.
"""

_HEAD: Final = f"""\
| tier | runs | lowest alpha | state at alpha {ALPHA:g} | null level before | now | own runs reach it before | now |
| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |"""


def _section(record: JobMetadata, found: Recalibration, digest: str) -> str:
    lines = "\n".join(line for change in found.changes for line in _lines(change))
    traces = ", ".join(name.removeprefix(OWN) for name in record.training_data if name.startswith(OWN))
    return f"""{HEADING}

Same weights as the model `{digest[:12]}`; new are the null levels, the horizon and the novelty limit. From
{found.runs:,} honest runs of {traces}; of them {found.hashing:,} of other hash work and {found.short:,} too short,
which were set aside. Horizon {found.horizon_before_s:,.0f} s before, {found.evidence.horizon_s:,.0f} s now; novelty
limit now {found.novelty:.3g}.
{_READ}
{_HEAD}
{lines}
"""


def _lines(change: Change) -> list[str]:
    if change.after is None:
        return [f"| {change.tier} | {change.runs:,} | none: too few runs, judged in no more | | | | | |"]
    head = (f"{change.tier} | {change.after.runs:,} | {change.after.attainable_alpha:.1e}", " | | ", " | | ")
    return [
        f"| {first} | {step} | {_level(change.before, alpha)} | {_level(change.after, alpha)} | {was:,} | {now:,} |"
        for first, step, alpha, was, now in zip(
            head, _STEPS, ladder(ALPHA), change.reached_before, change.reached_after, strict=True
        )
    ]


def _level(tier: TierCalibration | None, alpha: float) -> str:
    null = tier.null(alpha) if tier else None
    return "none" if null is None else f"{null:.4f}" if null < 1 else f"not reached: takes {runs_for(alpha):,} runs"
