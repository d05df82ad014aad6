"""Whatever is done to a log, `verify_log` finds it: every byte, every line, every place to cut it off."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hashwarden.errors import DataError
from hashwarden.serve.audit.anchor import FileAnchor
from hashwarden.serve.audit.checkpoint import Checkpoint
from hashwarden.serve.audit.event import EventKind
from hashwarden.serve.audit.files import log_files
from hashwarden.serve.audit.keys import Signer
from hashwarden.serve.audit.log import AuditLog, Limits
from hashwarden.serve.audit.record import GENESIS, chained, line_of, parse
from hashwarden.serve.audit.verify import Wanted, verify_log

Damage = Callable[[list[bytes]], Sequence[bytes]]
SIGNER = Signer.generate()
KEYS = (SIGNER.public,)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of two files, with the checkpoints that were kept elsewhere beside it."""
    folder = tmp_path_factory.mktemp("small")
    limits = Limits(rotate_bytes=2200, every=4, reserve_bytes=0)
    with AuditLog(folder / "log", SIGNER, limits=limits, anchors=(FileAnchor(folder / "anchor"),)) as log:
        for number in range(6):
            log.append(EventKind.BLIND, {"subject": f"gpu {number}"})
    assert len(log_files(folder / "log")) == 2
    return folder


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    shutil.copytree(small / "log", tmp_path / "log")
    return tmp_path / "log"


def bad(folder: Path, *anchors: Path) -> bool:
    return not verify_log(folder, Wanted(keys=KEYS, anchors=anchors)).ok


def test_the_log_itself_is_well(small):
    report = verify_log(small / "log", Wanted(keys=KEYS, anchors=(small / "anchor",), strict=True))
    assert (report.ok, report.notes) == (True, [])


@pytest.mark.parametrize("number", [0, 1])
def test_every_changed_byte_is_found(copy, number):
    path = log_files(copy)[number].path
    whole = path.read_bytes()
    missed = []
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(whole):
            file.seek(place)
            file.write(bytes([byte ^ (1 << place % 8)]))
            if not bad(copy):
                missed.append(place)
            file.seek(place)
            file.write(bytes([byte]))
    assert missed == []
    assert not bad(copy)


def test_every_place_to_cut_it_off_is_found(copy, small):
    """Between two records at the end of the last file only the anchor knows."""
    unanchored, unseen = 0, []
    for number, file in enumerate(log_files(copy)):
        whole = file.path.read_bytes()
        ends = {place + 1 for place, byte in enumerate(whole) if byte == 10} | {0}
        for size in range(0, len(whole), 1 if number else 7):
            file.path.write_bytes(whole[:size])
            if not bad(copy):
                assert number == 1
                assert size in ends
                unanchored += 1
                if not bad(copy, small / "anchor") and size < len(whole) - len(whole.splitlines()[-1]) - 1:
                    unseen.append(size)
        file.path.write_bytes(whole)
    assert unanchored > 2
    assert unseen == []


def lines_of(folder: Path) -> list[tuple[Path, list[bytes]]]:
    return [(one.path, one.path.read_bytes().splitlines(keepends=True)) for one in log_files(folder)]


def test_every_record_that_is_taken_out_doubled_or_moved_is_found(copy, small):
    for path, lines in lines_of(copy):
        for place in range(len(lines)):
            others = [n for n in range(len(lines)) if n != place]
            changes = [lines[:place] + lines[place + 1 :], lines[: place + 1] + lines[place:]]
            changes += [_swapped(lines, place, other) for other in others]
            last = path == log_files(copy)[-1].path and place == len(lines) - 1
            for number, change in enumerate(changes):
                path.write_bytes(b"".join(change))
                if last and number == 0:  # the end of it all: the anchor's last checkpoint is this very record
                    continue
                assert bad(copy), (path.name, place, number)
        path.write_bytes(b"".join(lines))


def _swapped(lines: list[bytes], one: int, other: int) -> list[bytes]:
    changed = list(lines)
    changed[one], changed[other] = lines[other], lines[one]
    return changed


def test_every_missing_file_is_found(written):
    folder = written(40)
    files = log_files(folder)
    assert len(files) > 4
    for file in files:
        kept = file.path.read_bytes()
        file.path.unlink()
        found = verify_log(folder)
        assert not found.ok
        file.path.write_bytes(kept)
    assert verify_log(folder).ok


def test_files_in_another_order_are_found(written):
    folder = written(40)
    one, two = (file.path for file in log_files(folder)[1:3])
    kept = one.read_bytes(), two.read_bytes()
    one.write_bytes(kept[1])
    two.write_bytes(kept[0])
    assert not verify_log(folder).ok


def test_the_oldest_files_may_be_deleted_on_purpose(written, signer):
    folder = written(40)
    for file in log_files(folder)[:2]:
        file.path.unlink()
    report = verify_log(folder, Wanted(keys=(signer.public,)))
    assert [one.words for one in report.problems] == [f"the records before {report.first_seq} are missing"]
    report = verify_log(folder, Wanted(keys=(signer.public,), pruned=True))
    assert report.ok
    assert report.signed_seq == report.last_seq


def forged(lines: list[bytes], at: int, change: Callable[[bytes], bytes], start: bytes = GENESIS) -> list[bytes]:
    """Change a record and make all hashes after it fit: what somebody does who has no key."""
    out, before = [], start
    for number, line in enumerate(lines):
        payload = parse(line).payload
        payload = change(payload) if number == at else payload
        before = chained(before, payload)
        out.append(line_of(before, payload))
    return out


def test_the_few_lines_on_the_page_check_a_log(written, monkeypatch):
    folder = written(40, name="audit")
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text()
    start = page.index("    import hashlib")
    lines = page[start : page.index("\n\n", start)]
    monkeypatch.chdir(folder.parent)
    check = compile(textwrap.dedent(lines), "audit.md", "exec")
    exec(check, {})
    path = log_files(folder)[2].path
    path.write_bytes(path.read_bytes().replace(b"stale", b"fresh", 1))
    with pytest.raises(AssertionError):
        exec(check, {})


def test_who_makes_the_hashes_fit_needs_the_key(written, signer):
    folder = written(12, Limits(every=4, reserve_bytes=0))
    path = log_files(folder)[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    for at in range(len(lines) - 1):
        path.write_bytes(b"".join(forged(lines, at, lambda payload: payload.replace(b"stale", b"fresh"))))
        assert verify_log(folder, Wanted(keys=(signer.public,))).ok is (b"stale" not in lines[at])


def test_who_leaves_the_checkpoints_out_is_found_by_their_absence(written, signer):
    folder = written(12, Limits(every=4, reserve_bytes=0))
    path = log_files(folder)[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for number, line in enumerate(lines) if number < 3 or b'"kind":"checkpoint"' not in line]
    numbered = [_numbered(line, number) for number, line in enumerate(kept)]
    path.write_bytes(b"".join(forged(numbered, -1, bytes)))
    (problem,) = verify_log(folder, Wanted(keys=(signer.public,))).problems
    assert problem.words == "more than 4 records without a checkpoint: slipped in, or cut out"


def _numbered(line: bytes, number: int) -> bytes:
    record = parse(line)
    payload = record.payload.replace(b'{"seq":%d,' % record.seq, b'{"seq":%d,' % number, 1)
    return line_of(record.hash, payload)


def test_a_log_written_anew_with_another_key_is_found_with_the_key_or_the_anchor(tmp_path, small):
    with AuditLog(tmp_path / "log", Signer.generate()) as log:
        log.append(EventKind.BLIND, {})
    assert verify_log(tmp_path / "log").ok
    assert bad(tmp_path / "log")
    report = verify_log(tmp_path / "log", Wanted(anchors=(small / "anchor",)))
    assert [one.words for one in report.problems] == ["the checkpoints that were given are of other logs"]


def test_a_tail_written_anew_with_the_key_is_found_with_the_anchor(copy, small):
    last = log_files(copy)[-1].path
    lines = last.read_bytes().splitlines(keepends=True)
    last.write_bytes(lines[0])
    with AuditLog(copy, SIGNER) as log:
        for _ in range(9):
            log.append(EventKind.BLIND, {"subject": "nothing happened"})
    assert not bad(copy)
    assert bad(copy, small / "anchor")


def test_a_checkpoint_by_a_key_that_was_given_up_is_found(tmp_path):
    old, new = Signer.generate(), Signer.generate()
    with AuditLog(tmp_path, old) as log:
        log.change_key(new)
        log._signer = old  # somebody found the old key
        log.append(EventKind.BLIND, {})
    words = [one.words for one in verify_log(tmp_path, Wanted(keys=(old.public,))).problems]
    assert words == [f"a checkpoint by a key that does not belong to this log ({old.public.id[:16]})"]


def test_anchors_are_found_among_other_lines_and_false_ones_do_not_count(small, tmp_path):
    good = (small / "anchor").read_text().splitlines()
    statement = Checkpoint.model_validate_json(good[0]).statement
    false = Checkpoint(statement=statement.model_copy(update={"hash": "0" * 64}), key=KEYS[0].id, signature="AAAA")
    log = ["Nov 22 10:00:00 node7 sshd[1]: {nothing}", *(f"Nov 22 node7 hashwarden: x {one}" for one in good)]
    (tmp_path / "syslog").write_text("\n".join([*log, false.line(), '{"statement":1}', "\x00{"]))
    report = verify_log(small / "log", Wanted(keys=KEYS, anchors=(tmp_path / "syslog",)))
    assert (report.ok, report.anchored_seq) == (True, report.last_seq - 1)


def test_what_is_no_log_and_no_anchor_is_said(tmp_path, small):
    assert [one.words for one in verify_log(tmp_path).problems] == ["there is no file of a log"]
    with pytest.raises(DataError, match="cannot be read"):
        verify_log(tmp_path / "nowhere")
    (tmp_path / "empty").write_text("")
    with pytest.raises(DataError, match="no checkpoint in it"):
        verify_log(small / "log", Wanted(anchors=(tmp_path / "empty",)))


def test_closed_files_may_be_compressed(written, signer):
    folder = written(40)
    files = log_files(folder)
    for file in files[:-1]:
        packed = file.path.with_name(file.path.name + ".zst")
        packed.write_bytes(zstandard.compress(file.path.read_bytes()))
        file.path.unlink()
    assert verify_log(folder, Wanted(keys=(signer.public,))).ok
    with AuditLog(folder, signer) as log:
        log.append(EventKind.BLIND, {})
    assert verify_log(folder, Wanted(keys=(signer.public,))).ok
    packed = log_files(folder)[1].path
    packed.write_bytes(packed.read_bytes()[:-20])
    assert not verify_log(folder).ok
    packed.write_bytes(b"no zstd at all")
    assert any("cannot be read" in one.words for one in verify_log(folder).problems)
    files[1].path.write_bytes(b"")
    with pytest.raises(DataError, match="a file twice"):
        verify_log(folder)


def test_a_log_that_is_being_written_may_end_anywhere(tmp_path, signer):
    with AuditLog(tmp_path, signer) as log:
        log.append(EventKind.BLIND, {})
        path = log_files(tmp_path)[0].path
        with path.open("ab") as file:
            file.write(b'{"hash":"0011')
        report = verify_log(tmp_path)
        assert report.ok
        assert "the last record is being written" in report.notes


def test_strict_says_what_nobody_knows(tmp_path, signer):
    with AuditLog(tmp_path, signer) as log:
        log.append(EventKind.COVERAGE, {"from_unix_s": 1, "to_unix_s": "soon", "watts": 3})
        log.append(EventKind.STOP, {"reason": "", "colour": "blue"})
    report = verify_log(tmp_path, Wanted(keys=(signer.public,), strict=True))
    assert report.ok
    words = " ".join(report.notes)
    assert "coverage: to_unix_s: Input should be a valid number" in words
    assert "stop: field colour is not known" in words


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_edit_goes_unnoticed_and_none_breaks_the_check(small, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("edit")
    shutil.copytree(small / "log", folder / "log")
    path = data.draw(st.sampled_from([one.path for one in log_files(folder / "log")]))
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 600)))
    put = data.draw(st.binary(max_size=40) | st.sampled_from([b"\n", b"{}", whole[:start], whole[end:]]))
    changed = whole[:start] + put + whole[end:]
    path.write_bytes(changed)
    report = verify_log(folder / "log", Wanted(keys=KEYS, anchors=(small / "anchor",), strict=True))
    end_only = whole.startswith(changed) and len(whole) - len(changed) == len(whole.splitlines(keepends=True)[-1])
    assert report.ok is (changed == whole or (end_only and path.name > "audit-000000000000.jsonl"))
    assert json.dumps(report.as_json())
    shutil.rmtree(folder)


def test_a_hostile_name_of_the_next_file_is_no_path(tmp_path):
    for number, name in enumerate(("/etc/passwd", "x" * 5000, "../a", "\x00", "")):
        with AuditLog(tmp_path / str(number), SIGNER) as log:
            log.append(EventKind.LOG, {"event": "rotated", "next": name})
        assert any("the file that follows" in one.words for one in verify_log(tmp_path / str(number)).problems)


def test_a_folder_of_a_thousand_files_of_rubbish_still_opens(tmp_path):
    for number in range(1, 1500):
        (tmp_path / f"audit-{number:012d}.jsonl").write_bytes(b"rubbish\n")
    with AuditLog(tmp_path, SIGNER) as log:
        log.append(EventKind.STOP, {})
    report = verify_log(tmp_path)
    assert (report.ok, len(report.problems)) == (False, 100)


@pytest.mark.parametrize("number", ["NaN", "1e999", '"x"', "null"])
def test_a_checkpoint_that_says_nonsense_is_a_problem_and_no_fault(tmp_path, number):
    with AuditLog(tmp_path / "log", SIGNER, anchors=(FileAnchor(tmp_path / "anchor"),)) as log:
        log.append(EventKind.STOP, {})
    path = log_files(tmp_path / "log")[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    when = str(Checkpoint.model_validate(parse(lines[1]).body()).statement.unix_s).encode()
    said = number.encode()
    path.write_bytes(
        b"".join(forged(lines, 1, lambda payload: payload.replace(b":" + when + b"}", b":" + said + b"}")))
    )
    assert any("a checkpoint that is none" in one.words for one in verify_log(tmp_path / "log").problems)
    anchor = tmp_path / "anchor"
    anchor.write_bytes(anchor.read_bytes() + anchor.read_bytes().replace(when, said))
    assert not verify_log(tmp_path / "log", Wanted(anchors=(anchor,))).ok
