"""Cases on a disk: whole or as before, whatever ends the program, and no damaged file stops the agent."""

from __future__ import annotations

import stat
import subprocess
import sys
import textwrap

import pytest

from hashwarden.errors import DataError
from hashwarden.serve.journal import StorageError
from hashwarden.serve.policy.case import Case, StepRecord, StepState, case_id
from hashwarden.serve.policy.cases import MOST_RECENT, CaseStore


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cases"


@pytest.fixture
def case(tools):
    job = Case.fields_of(tools.job(labels={"a": "b"}, started_unix_s=5.0))
    step = StepRecord(state=StepState.DONE, action="x", at_clock_s=3.0)
    return Case(id="HW-2345678", job=job, opened_unix_s=1.0, seen_unix_s=1.0, steps={"warn1": step})


def test_a_case_comes_back_as_it_was(folder, case, tools):
    store = CaseStore(folder)
    store.save(case.noting("something", 5.0))
    (again,) = CaseStore(folder)
    assert again.steps == case.steps
    assert again.history == ("5 something",)
    assert again.as_job() == tools.job(started_unix_s=5.0)
    assert again.as_job().labels == {"a": "b"}
    assert CaseStore(folder).get(" hw-2345678 ").id == case.id


def test_ids_are_short_and_hold_no_letters_that_look_alike():
    ids = {case_id("slurm:7", "evidence", str(n)) for n in range(2000)}
    assert len(ids) == 2000
    assert all(len(one) == 10 and not set(one[3:]) & set("01OILU") for one in ids)


def test_a_long_history_keeps_its_begin_and_its_end(case):
    for n in range(1000):
        case = case.noting(f"event {n}", n)
    assert len(case.history) == 200
    assert case.history[0] == "0 event 0"
    assert case.history[-1] == "999 event 999"


def test_damaged_files_are_put_aside_and_told_of(folder, case):
    CaseStore(folder).save(case)
    for name, content in {"HW-A.json": b"{", "HW-B.json": b"[]", "HW-C.json": case.model_dump_json().encode()}.items():
        (folder / name).write_bytes(content)
    store = CaseStore(folder)
    assert [one.id for one in store] == [case.id]
    assert sorted(store.damaged) == ["HW-A.json", "HW-B.json"]
    assert sorted(path.name for path in folder.glob("*.damaged")) == ["HW-A.json.damaged", "HW-B.json.damaged"]


def test_a_reader_beside_the_agent_changes_nothing(folder, case):
    CaseStore(folder).save(case)
    (folder / "HW-A.json").write_bytes(b"{")
    before = sorted(path.name for path in folder.iterdir())
    assert len(list(CaseStore(folder, read_only=True))) == 1
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_full_disk_leaves_the_case_as_it_was(folder, case, monkeypatch):
    store = CaseStore(folder)
    store.save(case)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hashwarden.model.storage.os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        store.save(case.having(clock_s=5.0))
    monkeypatch.undo()
    assert store.get(case.id).clock_s == 0.0
    assert CaseStore(folder).get(case.id).clock_s == 0.0


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        CaseStore(tmp_path / "file" / "cases")


def test_closed_cases_are_forgotten_in_time(folder, case):
    store = CaseStore(folder)
    store.save(case.having(closed_unix_s=100.0, closed_for="ended"))
    store.prune(100.0 + 86400, 2 * 86400)
    assert len(list(store)) == 1
    store.prune(100.0 + 3 * 86400, 2 * 86400)
    assert list(store) == []
    assert list(CaseStore(folder)) == []


def test_no_more_closed_cases_are_kept_than_the_policy_says_and_old_ones_are_read_from_the_disk(folder, case):
    store = CaseStore(folder)
    store.save(case)
    for n in range(MOST_RECENT + 40):
        store.save(case.having(id=f"HW-{n:07d}", opened_unix_s=float(n), closed_unix_s=100.0 + n, closed_for="clear"))
    for one in (store, CaseStore(folder)):
        assert len(list(one)) == MOST_RECENT + 1
        assert {case.id for case in one} >= {"HW-2345678", "HW-0000040", f"HW-{MOST_RECENT + 39:07d}"}
        assert one.get("hw-0000000").closed_unix_s == 100.0
        assert one.get("HW-9999999") is None
        assert len(one.of(case.job_key)) == MOST_RECENT + 41
        assert one.open_case(case.job_key).id == "HW-2345678"
    assert len(list(CaseStore(folder, read_only=True))) == MOST_RECENT + 41
    store.prune(1000.0, 86400, 100)
    assert store.get("HW-0000439") is None
    assert store.get("HW-0000440").closed_unix_s == 540.0
    assert len(list(folder.glob("HW-*.json"))) == 101


def test_an_old_case_whose_file_is_gone_or_damaged_is_no_case(folder, case):
    store = CaseStore(folder)
    for n in range(MOST_RECENT + 2):
        store.save(case.having(id=f"HW-{n:07d}", closed_unix_s=100.0 + n, closed_for="clear"))
    (folder / "HW-0000000.json").write_bytes(b"{")
    (folder / "HW-0000001.json").unlink()
    assert (store.get("HW-0000000"), store.get("HW-0000001")) == (None, None)
    assert store.damaged == ["HW-0000000.json"]
    assert len(store.of(case.job_key)) == MOST_RECENT


def test_cases_that_hold_something_stay_in_memory_however_old(folder, case):
    held = {"throttle": StepRecord(state=StepState.DONE, kind="throttle")}
    store = CaseStore(folder)
    store.save(case.having(closed_unix_s=1.0, closed_for="ended", steps=held))
    for n in range(MOST_RECENT + 5):
        store.save(case.having(id=f"HW-{n:07d}", closed_unix_s=100.0 + n, closed_for="clear"))
    for one in (store, CaseStore(folder)):
        assert [case.id for case in one if case.holds_power] == [case.id]


def test_cases_are_their_owners_alone(folder, case):
    """They name people; a folder that was there before is closed to others as well."""
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    store = CaseStore(folder)
    store.save(case)
    store.save_state("quotas", {"a": 1})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    made = folder.with_name("deep") / "cases"
    CaseStore(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


WRITER = """
import sys
from pathlib import Path
from hashwarden.serve.policy.case import Case
from hashwarden.serve.policy.cases import CaseStore
store, n = CaseStore(Path(sys.argv[1])), 0
case = store.get("HW-2345678")
while True:
    n += 1
    case = case.having(clock_s=float(n), history=tuple(f"{n} {'x' * 500}" for _ in range(100)))
    store.save(case)
    print(n, flush=True)
"""


def test_what_was_saved_survives_kill_9(folder, case):
    CaseStore(folder).save(case)
    for after in (1, 7, 20):
        writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), str(folder)], stdout=subprocess.PIPE)
        told = [int(writer.stdout.readline()) for _ in range(after)]
        writer.kill()
        told += [int(line) for line in writer.stdout.read().split(b"\n")[:-1]]
        writer.stdout.close()
        writer.wait()
        store = CaseStore(folder)
        found = store.get(case.id)
        assert told[-1] <= found.clock_s <= told[-1] + 1
        assert found.history[0].startswith(f"{found.clock_s:.0f} ")
        assert store.damaged == []
