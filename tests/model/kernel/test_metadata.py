"""Each kind of damage to a model's record is refused by name."""

import base64
import json

import numpy as np
import pytest

from hashwarden.errors import ModelError
from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.model.kernel.metadata import KEY, SCHEMA, feature_hash, read_metadata
from hashwarden.model.kernel.rule import FileRule

CALIBRATION = {
    "hash_offset": 0.1,
    "mining_offset": 0.2,
    "kind_slope": 1.0,
    "kind_offset": 0.0,
    "background": 0.05,
    "beside_object": 0.0,
    "beside_file": 2.0,
}
THRESHOLDS = {
    "mining": 0.8,
    "mining_doubt": 0.3,
    "hashing": 0.9,
    "hashing_doubt": 0.5,
    "kind": 0.4,
    "novelty": 2.0,
}


def encoded(values) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def record(**changes) -> dict[str, object]:
    plain = np.linspace(0, 1, len(FEATURE_NAMES))
    whole = {
        "model": "kernel",
        "schema_version": SCHEMA,
        "version": "0.1.0",
        "features_sha256": feature_hash(),
        "features": list(FEATURE_NAMES),
        "families": ["ml", "zk", "ethash"],
        "group_of_family": [0, 1, 2],
        "plain_mean": encoded(plain),
        "calibration": CALIBRATION,
        "thresholds": THRESHOLDS,
        "innocent_mining": [0.4, 400.0],
        "innocent_hashing": [0.3, 100.0],
        "training_data": {"a.parquet": "00"},
        "seed": 0,
    }
    return whole | changes


def read(**changes):
    return read_metadata({KEY: json.dumps(record(**changes))}, "m.onnx")


def test_a_whole_record_is_read():
    got = read()
    assert isinstance(got.rule, FileRule)
    assert got.rule.calibration.beside_file == 2.0
    assert got.rule.innocent.mining == (0.4, 400.0)
    np.testing.assert_allclose(got.plain, np.linspace(0, 1, len(FEATURE_NAMES)), atol=1e-6)


swapped = [FEATURE_NAMES[1], FEATURE_NAMES[0], *FEATURE_NAMES[2:]]
holed = [np.nan] + [0.0] * (len(FEATURE_NAMES) - 1)

DAMAGE = {
    "another schema": ({"schema_version": SCHEMA + 1}, "schema version"),
    "features shuffled": ({"features": swapped}, "another list or order"),
    "features short": ({"features": list(FEATURE_NAMES[:-1])}, "another list or order"),
    "hash of other features": ({"features_sha256": "0" * 64}, "another list or order"),
    "families short": ({"families": ["ml"]}, "another length"),
    "groups beyond": ({"group_of_family": [0, 1, 3]}, "beyond"),
    "plain short": ({"plain_mean": encoded([0.0] * 3)}, "another length"),
    "plain of odd bytes": ({"plain_mean": base64.b64encode(b"abc").decode()}, "does not fit"),
    "plain not base64": ({"plain_mean": "a"}, "does not fit"),
    "plain not finite": ({"plain_mean": encoded(holed)}, "not finite"),
    "calibration not finite": ({"calibration": CALIBRATION | {"hash_offset": float("nan")}}, "not finite"),
    "threshold not finite": ({"thresholds": THRESHOLDS | {"mining": float("inf")}}, "not finite"),
    "innocent not finite": ({"innocent_mining": [float("nan"), 1.0]}, "not finite"),
    "innocent zero": ({"innocent_hashing": [0.0, 1.0]}, "cannot be computed"),
    "background zero": ({"calibration": CALIBRATION | {"background": 0.0}}, "cannot be computed"),
    "calibration unknown": ({"calibration": CALIBRATION | {"more": 1.0}}, "does not fit"),
    "calibration missing": ({"calibration": {}}, "does not fit"),
    "thresholds missing": ({"thresholds": {"mining": 0.5}}, "does not fit"),
    "key unknown": ({"surprise": 1}, "does not fit"),
    "seed not a number": ({"seed": "x"}, "does not fit"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(name):
    changes, message = DAMAGE[name]
    with pytest.raises(ModelError, match=message) as caught:
        read(**changes)
    assert caught.value.where == "m.onnx"
    assert "hashwarden train kernel" in caught.value.remedy


def test_a_missing_property_is_refused():
    with pytest.raises(ModelError, match="no metadata property"):
        read_metadata({"other": "{}"}, "m.onnx")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", json.dumps({"model": "kernel"})])
def test_text_that_is_no_record_is_refused(text):
    with pytest.raises(ModelError, match="does not fit"):
        read_metadata({KEY: text}, "m.onnx")
