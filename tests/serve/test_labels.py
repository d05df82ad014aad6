"""From workloads to the taxonomy: nothing may be recorded that has no place there."""

from __future__ import annotations

import pytest

from hashwarden.errors import UsageError
from hashwarden.kernels.workloads.evasions import EVASIONS
from hashwarden.kernels.workloads.registry import workloads
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES, STRATEGIES
from hashwarden.serve.labels import FAMILY_OF, checked_label, labels_of


@pytest.mark.parametrize("workload", workloads(), ids=lambda workload: workload.name)
def test_every_workload_has_a_class_and_a_family(workload):
    label, family, strategy = labels_of(workload.label, workload.family, "")
    assert label in CLASSES
    assert label == workload.label
    assert family in MINING_FAMILIES if label == "mining" else family == workload.family
    assert strategy == "plain"


def test_the_table_names_no_family_that_no_workload_has():
    assert set(FAMILY_OF) == {workload.family for workload in workloads() if workload.label == "mining"}
    assert set(FAMILY_OF.values()) == set(MINING_FAMILIES), "every family can be recorded"


@pytest.mark.parametrize("evasion", EVASIONS, ids=lambda evasion: evasion.name)
def test_every_evasion_is_a_strategy(evasion):
    assert labels_of("mining", "ethash", evasion.name)[2] == evasion.name
    assert evasion.name in STRATEGIES


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mining", "randomx", ""), "workload family 'randomx'"),
        (("gaming", "doom", ""), "labelled 'gaming'"),
        (("mining", "ethash", "cloak"), "evasion 'cloak'"),
    ],
)
def test_what_the_taxonomy_does_not_know_is_refused(words, message):
    with pytest.raises(UsageError, match=message):
        labels_of(*words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gaming", "", "plain", "operator:me"), "the label 'gaming'"),
        (("training", "", "cloak", "operator:me"), "the strategy 'cloak'"),
        (("mining", "", "plain", "operator:me"), "mining family ''"),
        (("training", "", "plain", ""), "a label by ''"),
        (("training", "", "plain", "construction"), "a label by 'construction'"),
        (("training", "", "plain", "operator: "), "a label by 'operator: '"),
        (("training", "", "plain", "model"), "a label by 'model'"),
        (("", "", "plain", "operator:me"), "without a label"),
        (("", "llm", "plain", ""), "without a label"),
    ],
)
def test_a_label_that_nobody_stands_for_is_refused(words, message):
    with pytest.raises(UsageError, match=message):
        checked_label(*words)


def test_labels_that_can_be_meant():
    checked_label("", "", "plain", "")
    checked_label("training", "llm", "plain", "operator:me")
    checked_label("mining", "ethash", "pad", "operator:me")
