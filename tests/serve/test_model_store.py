"""The store: one link moves, whoever is killed when; changes wait for each other; what others can write is refused."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hashwarden.errors import DataError, ModelError, UsageError
from hashwarden.serve.model_store import SHIPPED, ModelStore, default_store, version_of

CHANGE = """
import os, signal, sys
from pathlib import Path
from hashwarden.serve.model_store import ModelStore

def passed(step):
    if step == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

store = ModelStore(Path(sys.argv[1]), passed)
with store.locked():
    if sys.argv[2] == "rollback":
        store.rollback()
    else:
        store.promote(store.stage(Path(sys.argv[2])), {"log loss": [1.0, 0.9]})
"""


def _model(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in ("job.onnx", "job_sequence.onnx", "job_known_answers.json", "job.md"):
        (folder / name).write_text(f"{name} {text}")
    return folder / "job.onnx"


def _promote(store: ModelStore, file: Path) -> None:
    with store.locked():
        store.promote(store.stage(file), {})


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


def test_the_shipped_model_serves_until_one_is_promoted(store, tmp_path):
    assert store.current() is None
    assert store.present().version == SHIPPED
    assert store.history() == []
    assert not store.folder.exists(), "looking changes nothing"
    with store.locked(), pytest.raises(UsageError, match="nothing before it"):
        store.rollback()


def test_promote_and_rollback(store, tmp_path):
    first, second = _model(tmp_path / "1", "one"), _model(tmp_path / "2", "two")
    _promote(store, first)
    _promote(store, second)
    current = store.current()
    assert current.read_text() == "job.onnx two"
    assert (current.parent / "job_sequence.onnx").read_text() == "job_sequence.onnx two"
    assert (current.parent / "job.md").exists()
    second.write_text("changed after it was promoted")
    assert store.current().read_text() == "job.onnx two"
    with store.locked():
        store.rollback()
    assert store.current().read_text() == "job.onnx one"
    with store.locked():
        store.rollback()
    assert store.current() is None
    _promote(store, first)
    assert [(r.action, r.version == SHIPPED, r.parent) for r in store.history()] == [
        ("promote", False, 0), ("promote", False, 1), ("rollback", False, 0), ("rollback", True, 0),
        ("promote", False, 4),
    ]  # fmt: skip


def test_promoting_what_serves_changes_nothing(store, tmp_path):
    file = _model(tmp_path / "1", "one")
    _promote(store, file)
    _promote(store, file)
    assert len(store.history()) == 1


def test_a_staged_model_that_was_refused_is_gone_after_the_next_change(store, tmp_path):
    with store.locked():
        staged = store.stage(_model(tmp_path / "1", "refused"))
        assert staged.read_text() == "job.onnx refused"
    _promote(store, _model(tmp_path / "2", "two"))
    assert not staged.exists()
    assert len(store.versions()) == 1


PROMOTING = ("copied", "kept", "recorded", "linked", "switched")


@pytest.mark.parametrize(
    ("what", "step"), [("promote", step) for step in PROMOTING] + [("rollback", step) for step in PROMOTING[2:]]
)
def test_killed_at_any_step_the_old_or_the_new_serves(store, tmp_path, what, step):
    first, second = _model(tmp_path / "1", "one"), _model(tmp_path / "2", "two")
    _promote(store, first)
    before, after = "one", "two"
    if what == "rollback":
        _promote(store, second)
        before, after = "two", "one"
    argument = "rollback" if what == "rollback" else str(second)
    done = subprocess.run([sys.executable, "-c", CHANGE, str(store.folder), argument, step], check=False)
    assert done.returncode == -signal.SIGKILL
    served = store.current().read_text()
    assert served == f"job.onnx {after if step == 'switched' else before}"
    assert all(record.version == version_of(store.folder / "versions" / record.version) for record in store.history())
    third = _model(tmp_path / "3", "three")
    _promote(store, third)
    assert store.current().read_text() == "job.onnx three"
    assert [record.number for record in store.history()] == list(range(1, len(store.history()) + 1))
    assert not list(store.folder.rglob("*.part"))
    with store.locked():
        store.rollback()
    assert store.current().read_text() == served


def test_changes_at_once_wait_for_each_other(store, tmp_path):
    files = [_model(tmp_path / str(n), f"model {n}") for n in range(4)]
    command = [sys.executable, "-c", CHANGE, str(store.folder)]
    running = [subprocess.Popen([*command, str(file), "never"]) for file in files]
    assert [process.wait() for process in running] == [0] * 4
    history = store.history()
    assert [record.number for record in history] == [1, 2, 3, 4]
    assert len({record.version for record in history}) == 4
    assert [record.parent for record in history] == [0, 1, 2, 3]


def test_a_version_that_was_changed_is_refused(store, tmp_path):
    _promote(store, _model(tmp_path / "1", "one"))
    store.current().write_text("another")
    with pytest.raises(ModelError, match="not what was promoted"):
        store.current()


def test_a_store_that_others_can_write_to_is_refused(store, tmp_path):
    _promote(store, _model(tmp_path / "1", "one"))
    store.folder.chmod(0o777)
    with pytest.raises(UsageError, match="others can write"):
        store.current()
    with pytest.raises(UsageError, match="others can write"), store.locked():
        pass


def test_damage_is_told(store, tmp_path):
    _promote(store, _model(tmp_path / "1", "one"))
    record = store.folder / "generations" / "000001" / "record.json"
    record.write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        store.current()
    (store.folder / "current").unlink()
    (store.folder / "current").write_text("no link")
    with pytest.raises(DataError, match="no link to a generation"):
        store.present()


def test_only_what_training_wrote_can_be_staged(store, tmp_path):
    file = _model(tmp_path / "1", "one")
    with store.locked():
        with pytest.raises(UsageError, match=r"other\.onnx"):
            store.stage(file.rename(file.with_name("other.onnx")))
        with pytest.raises(ModelError, match="cannot be read"):
            store.stage(tmp_path / "nowhere" / "job.onnx")
    assert store.versions() == []


def test_where_the_store_is(monkeypatch, tmp_path):
    monkeypatch.setenv("HASHWARDEN_MODELS", str(tmp_path))
    assert default_store() == tmp_path
    monkeypatch.delenv("HASHWARDEN_MODELS")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_store() == Path("/var/lib/hashwarden/models")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_store() == Path("/state/hashwarden/models")


def test_a_full_disk_is_one_error_and_the_present_model_serves_on(store, tmp_path):
    _promote(store, _model(tmp_path / "a", "first"))
    before, large = store.present(), _model(tmp_path / "b", "second" * 20_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UsageError, match="cannot be written"):
            _promote(store, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.present() == before
    _promote(store, large)
    assert store.present().number == before.number + 1
