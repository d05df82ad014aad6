"""Known answers of the kernel model: given again by the shipped one, and refused where they are not its own."""

import json
import shutil

import numpy as np
import pytest

from hashwarden.errors import CheckError, ModelError
from hashwarden.model.answers_file import answers_path
from hashwarden.model.kernel.known_answers import read_answers
from hashwarden.serve.scorer import KernelScorer, shipped_model


@pytest.fixture
def copied(tmp_path):
    """The shipped model and its known answers, to be changed."""
    for path in (shipped_model(), answers_path(shipped_model())):
        shutil.copy(path, tmp_path)
    return tmp_path / shipped_model().name


def test_the_shipped_model_gives_its_known_answers():
    scorer = KernelScorer()
    scorer.self_test()
    known = read_answers(answers_path(scorer.path), scorer.identity["sha256"])
    assert set(known.groups.argmax(1)) == {0, 1, 2}
    assert known.to_json(scorer.identity["sha256"]) == answers_path(scorer.path).read_text()


@pytest.mark.parametrize("what", ["groups", "families", "novelty"])
def test_another_answer_is_told(copied, what):
    scorer = KernelScorer(copied)
    known = read_answers(answers_path(copied), scorer.identity["sha256"])
    getattr(known, what)[3] += np.float32(0.01)
    answers_path(copied).write_text(known.to_json(scorer.identity["sha256"]))
    with pytest.raises(CheckError, match=what):
        scorer.self_test()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_sha256": "0" * 64}, "of another model"),
        ({"kernels": 11}, "damaged"),
        ({"novelty": "?"}, "damaged"),
        ({"more": 1}, "damaged"),
        ({"kernels": 0, "features": "", "groups": "", "family_probabilities": "", "novelty": ""}, "no values"),
        (None, "cannot be read"),
    ],
)
def test_answers_that_are_not_the_model_s_are_refused(copied, change, words):
    path = answers_path(copied)
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=words):
        KernelScorer(copied).self_test()
