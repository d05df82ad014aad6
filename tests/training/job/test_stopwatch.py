import pytest

from hashwarden.training.job.stopwatch import Stopwatch


@pytest.mark.parametrize(
    ("left", "resume", "least"), [("500.0", True, 500.0), ("500.0", False, 0.0), ("what?", True, 0.0)]
)
def test_a_resumed_training_counts_on(tmp_path, left, resume, least):
    (tmp_path / "seconds").write_text(left)
    said: list[str] = []
    watch = Stopwatch(tmp_path / "seconds", said.append, resume=resume)
    watch.tell("step")
    kept = float((tmp_path / "seconds").read_text())
    assert least <= kept < least + 60
    assert watch.seconds >= kept - 0.1
    assert said == ["step"]
