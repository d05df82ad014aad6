"""How sure a case is, what speaks against it, and on what the model rests: said before anybody has to ask."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hashwarden.model.job.verdict import JobVerdict
from hashwarden.serve.onnx_session import shipped
from hashwarden.serve.policy.case import EVIDENCE
from hashwarden.serve.reporting.basis import Basis, Said
from hashwarden.serve.reporting.facts import Row
from hashwarden.serve.reporting.lay import CLASSES, TIERS, clock, duration, joined, one_in, percent, plural

__all__ = ["against", "card_of", "how_sure", "limits"]

_LIKELY: Final = 0.05
_SURE_FAMILY: Final = 0.5
_CODE_KNOWN: Final = 0.9
_NOVEL: Final = 3.0


def card_of(sha256: str) -> Mapping[str, Any] | None:
    """The card of the shipped model if it is the one that judged; None if another did."""
    path = shipped("job.onnx")
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            return None
        found = json.loads(path.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def how_sure(basis: Basis) -> list[str]:
    """The bound on false alarms in words, with its conditions."""
    if basis.look.origin not in {"", EVIDENCE}:
        return [
            "This case rests on counted GPU-hours over a quota, not on what the job computed: there is no probability "
            "in it. The hours are those of the audit log."
        ]
    one = basis.decisive
    if one is None:
        return ["No verdict on this job is known, so that nothing can be said about how sure it was."]
    verdict = one.verdict
    return [*_bound(basis, verdict), *_conditions(verdict)]


def _bound(basis: Basis, verdict: JobVerdict) -> Iterator[str]:
    alpha, gpus = verdict.alpha, max(1, len({one.gpu for one in basis.said}))
    if verdict.state != "confirmed":
        yield (
            f"The job was never confirmed: the most that was said of it is “{verdict.state}”. Confirmation is what "
            f"the bound below is about, and what a policy may act on."
        )
    yield (
        f"Before anything was measured, the threshold was set so that at most {one_in(alpha)} honest jobs ever "
        f"reaches “confirmed”, however long it runs (alpha = {alpha:g}; for “watching” it is 1 in 10"
        f"{', for “suspect” 1 in 100' if alpha == 1e-3 else ''})."
    )
    if gpus > 1:
        yield f"That is for each GPU: for this job, which used {gpus}, at most {percent(min(1.0, gpus * alpha))}."
    yield (
        "It does not mean that the chance of this user's innocence is so small. How many of the confirmed jobs are "
        "innocent depends on how common mining is: where nobody mines, every confirmation is a false one."
    )
    if basis.story is not None and basis.story.streams:
        count = basis.story.streams
        yield (
            f"This node's audit log has verdicts on {plural(count, 'job')} (each GPU of a job counted), so up to "
            f"{count * alpha:,.2g} false confirmations were to be expected among them, were all of them honest."
        )


def _conditions(verdict: JobVerdict) -> Iterator[str]:
    evidence = verdict.evidence
    if evidence.beyond_calibration and evidence.confirmed_s is None:
        yield (
            "The job was watched for longer than the runs that the threshold was set on. From there on the bound also "
            "assumes that the job's behaviour does not get worse on average than it had been, which cannot be checked."
        )
    else:
        yield (
            "The bound assumes one thing: that this job, if honest, is like the honest runs that the threshold was "
            "set on, by kind of work, GPU and length. A kind of honest work that was not among them is not covered."
        )
    if not evidence.attainable:
        yield "There were too few honest runs of this kind to confirm at this alpha: the state cannot pass “suspect”."


def limits(card: Mapping[str, Any] | None, verdict: JobVerdict | None) -> list[str]:
    """What the model was made from, and what is known of its errors."""
    if card is None:
        return [
            "The model that judged is not the one that this program ships with, so that its card is not at hand here. "
            "Ask the operator for the card of the model with the hash above: it says what it was trained on."
        ]
    learned, calibrated = _mapping(card.get("learned_from")), _mapping(card.get("calibrated_on"))
    found = [
        f"Measured on: {card.get('measured_on', 'not said')}. The model learned from {learned.get('runs', 0):,} runs "
        f"({learned.get('hours', 0):,.0f} hours) on {joined(sorted(_mapping(learned.get('gpus'))))}; the threshold was "
        f"set on {calibrated.get('runs', 0):,} further honest runs."
    ]
    if "synthesised" in str(card.get("measured_on", "")):
        found.append(
            "Synthesised runs come from a mechanistic model of GPUs and programs, not from GPUs. Until the operator "
            "has calibrated on honest work of this site, the bound speaks of synthesised jobs: take the conclusion as "
            "a reason to look, not as proof."
        )
    figures = _mapping(_mapping(card.get("figures")).get(verdict.tier)) if verdict else {}
    if figures:
        honest, alarms = figures.get("honest", 0), figures.get("honest_confirmed", 0)
        hashing, wrong = figures.get("hashing", 0), figures.get("hashing_confirmed", 0)
        found.append(
            f"On runs that it had not seen, with what was seen here, {alarms} of {honest} honest runs and {wrong} of "
            f"{hashing} runs of other hash work were confirmed."
        )
    return found


def against(basis: Basis) -> list[Row]:
    """What speaks against the conclusion, or for caution."""
    one = basis.decisive
    rows = [*_of_verdict(basis, one)] if one is not None else []
    rows += _of_sight(basis)
    rows.append(
        Row("Other hash work",
            "Password audits, zero-knowledge proofs and checksums run the same instructions as mining. The bound does "
            "not cover them. If the job did such work, its owner can say which program it was.")
    )  # fmt: skip
    return rows


def _of_verdict(basis: Basis, one: Said) -> Iterator[Row]:
    verdict, names = one.verdict, basis.names
    others = {name: p for name, p in verdict.probabilities.items() if name != "mining" and p >= _LIKELY}
    if others:
        said = joined([f"{CLASSES.get(name, names.text(name))} {percent(p)}" for name, p in
                       sorted(others.items(), key=lambda item: -item[1])])  # fmt: skip
        yield Row("Other explanations", f"When it decided, the model also held possible: {said}.")
    elif verdict.probabilities:
        yield Row("Other explanations", "When it decided, the model gave no other class of work 5 % or more.")
    if verdict.family and verdict.family_probability < _SURE_FAMILY:
        yield Row("Which coin", f"The family “{names.text(verdict.family)}” is the likeliest of twelve, with "
                  f"{percent(verdict.family_probability)}: that it mines is surer than what it mines.")  # fmt: skip
    before = [said for said in basis.said if said.unix_s < one.unix_s and said.gpu == one.gpu]
    if clear := [said for said in before if said.verdict.state == "clear"]:
        yield Row("Before that", f"It was judged “clear” at {clock(clear[0].unix_s, '%H:%M:%S')}, after "
                  f"{duration(clear[0].verdict.evidence.watched_s)} of samples.")  # fmt: skip
    if verdict.novelty > _NOVEL:
        yield Row("Unusual work", f"The work is unlike what the model has learned from (novelty {verdict.novelty:.1f}; "
                  "about 1 is usual).")  # fmt: skip
    if verdict.evidence.beyond_calibration:
        yield Row("A long job", "It was confirmed, or judged last, after more time than the threshold was set for "
                  "without further assumptions.")  # fmt: skip


def _of_sight(basis: Basis) -> Iterator[Row]:
    names, tiers = basis.names, list(dict.fromkeys(one.verdict.tier for one in basis.said if one.verdict.tier))
    if tiers and "code" not in tiers[-1] and tiers[-1] != "all":
        yield Row("No machine code seen", "The conclusion rests on counters alone: which programs ran was not seen.")
    known = _known_code(basis.decisive)
    if known is not None and known < _CODE_KNOWN:
        yield Row("Code that was not seen", f"The machine code of {percent(1 - known)} of what was launched is not "
                  "known.")  # fmt: skip
    if tiers:
        seen = "; at other times less or more, and the bound is proved for what is seen in one way throughout" \
            if len(tiers) > 1 else ""  # fmt: skip
        yield Row("What was seen", f"{TIERS.get(tiers[-1], names.text(tiers[-1])).capitalize()}{seen}.")
    blind = [one for one in basis.said if one.verdict.abstains_for and one.verdict.evidence.blocks]
    if blind:
        why = joined(list(dict.fromkeys(names.text(one.verdict.abstains_for) for one in blind)))
        yield Row("Times without sight", f"{plural(len(blind), 'verdict')} said that it could not see: {why}.")
    if any("shared" in one.verdict.abstains_for for one in basis.said):
        yield Row("A shared GPU", "Other processes used the GPU at times: its counters may count the work of others.")
    if basis.unread:
        yield Row("Unread", f"{plural(basis.unread, 'verdict')} in the log could not be read by this version.")


def _known_code(one: Said | None) -> float | None:
    """Share of launched threads whose code was known, as far as it was quoted."""
    themes = one.verdict.deciding if one is not None else ()
    return next((theme.values["code_known_ratio"] for theme in themes if "code_known_ratio" in theme.values), None)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
