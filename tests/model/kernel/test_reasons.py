"""Reasons name what the model leaned on, with values from the kernel."""

import numpy as np
import pytest

from hashwarden.model.kernel.features import FEATURE_NAMES, features_of
from hashwarden.model.kernel.reasons import MOST, THEMES, reasons_of, themes

SHA256 = {
    "n_instr": 1000,
    "op": [{"op12": op12, "depth": 1, "n": n} for op12, n in ((0x212, 400), (0x819, 300), (0x210, 300))],
    "lut": [{"lut": 0x96, "depth": 1, "n": 400}],
    "rotate": [0, 300, 0, 0, 0],
    "const_code": [{"primitive": "sha256_k", "n": 64}, {"primitive": "sha256_iv", "n": 8}],
    "mem": [{"kind": "ldg", "width": 4, "taint": 2, "depth": 1, "n": 30}],
}
PLAIN_CODE = {"n_instr": 1000, "op": [{"op12": 0x223, "depth": 1, "n": 1000}]}


def leaning(*beginnings: str, weight: float = 10.0):
    """Log-odds that grow with the features of the given names and with nothing else."""
    mask = np.array([name.startswith(beginnings) for name in FEATURE_NAMES])
    return lambda features: weight * features[:, mask].sum(1).astype(np.float64)


@pytest.fixture
def explain(table_of):
    def run(kernel, log_odds):
        plain = np.zeros(len(FEATURE_NAMES), np.float32)
        return reasons_of(features_of(table_of([kernel])), plain, log_odds)[0]

    return run


def test_constants_are_named_with_how_many_there_are(explain):
    got = explain(SHA256, leaning("const_code:"))
    assert len(got) == 1
    assert "SHA-256 round constants (64 of 64)" in got[0]
    assert "SHA-256 or BLAKE initial values" in got[0]


def test_constants_are_not_named_where_there_are_none(explain):
    assert explain(PLAIN_CODE, leaning("const_code:")) == ()
    assert not any("constants" in phrase for phrase in explain(PLAIN_CODE, leaning("op:", "const_code:")))


def test_constants_are_not_named_where_the_model_does_not_use_them(explain):
    got = explain(SHA256, leaning("rotate:"))
    assert got == ("30.0% rotates and funnel shifts",)


def test_the_strongest_comes_first_and_no_more_than_the_limit(explain):
    rotate, constants = leaning("rotate:", weight=100.0), leaning("const_code:", weight=1.0)
    got = explain(SHA256, lambda features: rotate(features) + constants(features))
    assert "rotates" in got[0]
    assert "SHA-256" in got[1]
    everything = explain(SHA256, leaning(""))
    assert 0 < len(everything) <= MOST


def test_what_was_worth_nothing_is_not_named(explain):
    assert explain(SHA256, leaning("const_code:", weight=1e-3)) == ()


def test_addresses_from_hashed_data_are_named(explain):
    assert explain(SHA256, leaning("mem_weighted:")) == ("table reads whose address depends on hashed data",)


def test_every_feature_of_a_theme_exists_and_none_is_in_two():
    columns = np.concatenate(list(themes().values()))
    assert len(columns) == len(set(columns.tolist()))
    assert all(len(found) for found in themes().values())
    for beginnings in THEMES.values():
        assert all(any(name.startswith(b) for name in FEATURE_NAMES) for b in beginnings)


def test_no_kernels_have_no_reasons():
    empty = np.zeros((0, len(FEATURE_NAMES)), np.float32)
    assert reasons_of(empty, empty.sum(0), leaning("op:")) == []
