"""Folds never leak: not a run, not a held-out family, strategy or GPU, not a hidden kind."""

import itertools

import pytest

from hashwarden.errors import DataError
from hashwarden.model.job.taxonomy import MINING_FAMILIES, STRATEGIES
from hashwarden.model.trace import Run, RunInfo
from hashwarden.training.job.folds import AXES, Facts, make_folds

GPUS = ("A100 SXM 80GB", "H100 SXM", "L40S")
HONEST = {
    "training": ("llm", "cnn", "rl"),
    "inference": ("w8a8", "bf16"),
    "hash-other": ("zk", "password"),
    "idle": ("idle",),
}


def corpus():
    mining = [
        Facts(f"m{f}{s}{g}", "mining", s, g, (f, "ethash") if s == "dual" else (f,))
        for f, s, g in itertools.product(MINING_FAMILIES, STRATEGIES, GPUS)
    ]
    honest = [
        Facts(f"{label}{kind}{g}{n}", label, "plain", g, (kind,))
        for label, kinds in HONEST.items() for kind in kinds for g in GPUS for n in range(12)
    ]  # fmt: skip
    return mining + honest


RUNS = corpus()
FOLDS = make_folds(RUNS)


def test_every_family_strategy_and_gpu_is_held_out_once():
    assert [f.name for f in FOLDS] == [
        *(f"family={f}" for f in MINING_FAMILIES),
        *(f"strategy={s}" for s in STRATEGIES[1:]),
        *(f"gpu={g}" for g in GPUS),
    ]


@pytest.mark.parametrize("fold", FOLDS, ids=lambda f: f.name)
def test_no_run_is_in_two_parts_and_nothing_held_out_is_learned(fold):
    parts = [set(fold.fit), set(fold.choose), set(fold.calibrate), set(fold.test)]
    assert sum(map(len, parts)) == len(set.union(*parts))
    learned = [RUNS[i] for part in parts[:3] for i in part]
    held = {"family": lambda r: r.families if r.label == "mining" else (), "gpu": lambda r: (r.gpu,),
            "strategy": lambda r: (r.strategy,)}[fold.axis]  # fmt: skip
    assert all(fold.held_out not in held(run) for run in learned)
    assert not {run.kind for run in learned if run.label != "mining"} & set(fold.hidden_kinds)
    assert all(fold.held_out in held(RUNS[i]) for i in fold.test if RUNS[i].label == "mining")
    assert all(RUNS[i].label != "mining" for i in fold.calibrate)
    assert len({RUNS[i].label for i in fold.choose}) > 3
    assert fold.hidden_kinds
    assert {run.label for run in learned} == {"mining", *HONEST}


def test_a_dual_miner_is_held_out_with_either_family():
    fold = next(f for f in FOLDS if f.name == "family=ethash")
    assert not any(RUNS[i].strategy == "dual" for i in fold.fit if RUNS[i].label == "mining")


def test_every_honest_kind_is_hidden_somewhere_but_never_a_whole_class():
    hidden = set().union(*(f.hidden_kinds for f in FOLDS))
    assert hidden == {f"{label}/{kind}" for label, kinds in HONEST.items() for kind in kinds if len(kinds) > 1}


def test_the_side_of_a_run_does_not_hang_on_the_others():
    some = [run for run in RUNS if run.gpu != "L40S"]
    again = {f.name: f for f in make_folds(some, AXES[:1])}
    for fold in FOLDS[: len(MINING_FAMILIES)]:
        names = {some[i].name for i in again[fold.name].fit}
        assert names == {RUNS[i].name for i in fold.fit if RUNS[i].gpu != "L40S"}


def test_facts_of_a_run_name_the_second_family_of_a_dual_miner():
    drawn = {"strategy": {"second": "keccak", "with": ["octopus"]}}
    info = RunInfo(origin="synthesised", gpu="H200", period_s=1, parameters=drawn)
    run = Run("r", None, None, "mining", "ethash", "dual", info)
    assert Facts.of(run).families == ("ethash", "octopus")
    assert Facts.of(Run("r", None, None, "training", "octopus", "plain", info)).families == ("octopus",)


def test_too_little_variety_is_said():
    with pytest.raises(DataError, match="of family"):
        make_folds([run for run in RUNS if run.label != "mining"])
    with pytest.raises(DataError, match="calibrate"):
        make_folds([run for run in RUNS if run.label == "mining"], ("family",))
