"""The process that reads, as the agent sees it: whatever becomes of it, the agent does not wait and is told."""

import os
import sys
import time

import pytest

from hashwarden.serve.jobs.job import ProcessKey
from hashwarden.serve.sources import code_child
from hashwarden.serve.sources.code_child import Child
from hashwarden.serve.sources.code_wire import Answer, Question, Told

QUESTION = Question((ProcessKey(12, 34),), 5.0, "/nowhere")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def make():
    children = []

    def child(code, clock=time.monotonic):
        children.append(Child(clock, lambda: [sys.executable, "-I", "-S", "-c", code]))
        return children[-1]

    yield child
    for one in children:
        one.close()


def outcome(child, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = child.poll()
        if found is not None:
            return found
        time.sleep(0.01)
    return None


def test_questions_and_answers_survive_the_way():
    assert Question.load(QUESTION.dump()) == QUESTION
    answer = Answer((Told(ProcessKey(1, 2), "read", ("a", "b")), Told(ProcessKey(3, 4), "gone")), {"files": 3})
    assert Answer.load(answer.dump()) == answer


@pytest.mark.parametrize("data", [
    b"", b"[]", b"{}", b'{"told": 1, "counts": {}}', b'{"told": [[1, 2, "well", []]], "counts": {}}', b"\xff",
    b'{"told": [[1, 2, "read", "keys"]], "counts": {}}', b'{"told": [], "counts": []}',
])  # fmt: skip
def test_what_is_no_answer_is_refused(data):
    with pytest.raises(ValueError, match=r".*"):
        Answer.load(data)


def test_it_is_asked_and_answers_and_can_be_asked_again(make):
    child = make("import sys; q = sys.stdin.read(); assert '12' in q; sum(range(10**6));"
                 "print('{\"told\": [[12, 34, \"read\", [\"k\"]]], \"counts\": {\"files\": 1}}')")  # fmt: skip
    for _ in range(2):
        assert child.ready
        child.ask(QUESTION)
        assert not child.ready
        found = outcome(child)
        assert found.answer == Answer((Told(ProcessKey(12, 34), "read", ("k",)),), {"files": 1})
        assert 0 < found.seconds < 5
    assert child.poll() is None


@pytest.mark.parametrize(("code", "why"), [
    ("print('nonsense')", "ended with 0"), ("import sys; sys.exit(3)", "ended with 3"),
    ("import os; os.kill(os.getpid(), 11)", "ended with -11"),
])  # fmt: skip
def test_one_that_fails_is_told_and_costs_what_it_was_allowed(make, code, why):
    child = make(code)
    child.ask(QUESTION)
    found = outcome(child)
    assert found.answer is None
    assert why in found.error
    assert found.seconds >= QUESTION.seconds
    assert child.ready


def test_one_that_hangs_is_ended(make):
    clock = Clock()
    child = make("import time; time.sleep(1000)", clock)
    child.ask(QUESTION)
    assert child.poll() is None
    clock.now += 1000.0
    assert "ended with -9" in outcome(child).error


def test_one_that_cannot_be_ended_is_left_and_not_followed_by_many(make, monkeypatch):
    """As one that waits in the kernel for a file system that does not answer."""
    clock = Clock()
    child = make("import time; time.sleep(1000)", clock)
    monkeypatch.setattr("subprocess.Popen.kill", lambda _: None)
    for _ in range(3):
        assert child.ready
        child.ask(QUESTION)
        clock.now += 1000.0
        child.poll()
        clock.now += 60.0
        assert "kernel" in outcome(child).error
    assert not child.ready
    monkeypatch.undo()
    for process in child.stuck:
        process.kill()
        process.wait()
    assert child.ready


def test_closing_ends_it_at_once(make):
    child = make("import time; time.sleep(1000)")
    child.ask(QUESTION)
    start = time.monotonic()
    child.close()
    assert time.monotonic() - start < 2
    assert child.ready


def test_a_program_that_is_not_there_is_an_error():
    child = Child(command=lambda: ["/nowhere/python"])
    with pytest.raises(OSError, match="nowhere"):
        child.ask(QUESTION)
    assert child.ready


def test_the_compiled_decoder_is_kept_where_the_installation_cannot_be_written_to(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    code_child._keep_compiled(tmp_path)
    assert "NUMBA_CACHE_DIR" not in os.environ
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/set/by/the/operator")
    code_child._keep_compiled(tmp_path)
    assert os.environ["NUMBA_CACHE_DIR"] == "/set/by/the/operator"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    code_child._keep_compiled(tmp_path)
    assert os.environ.pop("NUMBA_CACHE_DIR") == str(tmp_path / "numba")
