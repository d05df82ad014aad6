from collections.abc import Callable

import pytest

from hashwarden.errors import MissingTargetError, NoGpuCodeError
from hashwarden.model.kernel.verdict import Verdict
from hashwarden.serve.scan.events import Kernels, Unreadable
from hashwarden.serve.scan.gate import exit_code, findings
from hashwarden.serve.scan.judge import file_of
from hashwarden.serve.scan.levels import FailOn
from hashwarden.serve.scan.result import Problem, ScanReport, TargetReport
from hashwarden.serve.scan.scan import Scan


def _gone(name: str) -> Unreadable:
    return Unreadable(0, MissingTargetError("no such file", "a file", "Check the name.", where=name))


def test_batches_of_one_file_make_one_verdict_and_kernels_keep_their_order(
    scorer, rule, kernel_spool, table_of, foretold
):
    first = table_of([("a.whl!x.so#fatbin0", "plain_a", 50), ("a.whl!x.so#fatbin1", "hash_b", 60)])
    second = table_of([("a.whl!x.so#fatbin1", "plain_c", 70), ("a.whl!y.so#fatbin0", "mine_d", 80)])
    foretold({"a.whl": [Kernels(0, first), Kernels(0, second)]})
    report = Scan(scorer, rule).run(["a.whl"], kernel_spool)
    (target,) = report.targets
    assert [(file.where, file.verdict, file.n_kernels) for file in target.files] == [
        ("a.whl!x.so", Verdict.OTHER_HASH, 3),
        ("a.whl!y.so", Verdict.MINING, 1),
    ]
    assert [(kernel.index, kernel.kernel) for kernel in kernel_spool] == [
        (0, "plain_a"), (1, "hash_b"), (2, "plain_c"), (3, "mine_d"),
    ]  # fmt: skip
    assert target.verdict is Verdict.MINING


def test_rows_of_a_mix_table_stay_in_order_and_none_is_dropped(scorer, rule, kernel_spool, table_of, foretold):
    rows = [("x.so", "plain_a", 50), ("y.so", "plain_a", 50), ("x.so", "plain_a", 50), ("", "mine_b", 9)]
    foretold({"mixes.parquet": [Kernels(0, table_of(rows), from_table="mixes.parquet")]})
    report = Scan(scorer, rule).run(["mixes.parquet"], kernel_spool)
    assert [kernel.kernel for kernel in kernel_spool] == ["plain_a", "plain_a", "plain_a", "mine_b"]
    assert [(file.where, file.n_kernels) for file in report.targets[0].files] == [("mixes.parquet", 4)]


def test_the_rest_goes_on_after_a_bad_target(scorer, rule, kernel_spool, table_of, foretold):
    told: list[Problem] = []
    foretold({"gone": [_gone("gone")], "b.so": [Kernels(0, table_of([("b.so#fatbin0", "plain", 50)]))]})
    report = Scan(scorer, rule, told=told.append).run(["gone", "b.so"], kernel_spool)
    assert [target.verdict for target in report.targets] == [Verdict.NOT_JUDGED, Verdict.NOT_HASH]
    assert [problem.line() for problem in told] == ["gone: no such file; expected a file. Check the name."]
    assert report.targets[1].first_kernel == 0


def test_an_unread_part_is_never_innocent(scorer, rule, kernel_spool, table_of, foretold):
    foretold({"a.whl": [Kernels(0, table_of([("a.whl!x.so#fatbin0", "plain", 50)])), _gone("a.whl!secret.zip")]})
    report = Scan(scorer, rule).run(["a.whl"], kernel_spool)
    assert report.targets[0].files[0].verdict is Verdict.NOT_HASH
    assert report.targets[0].verdict is Verdict.NOT_JUDGED


def test_what_was_unreadable_in_a_file_reaches_the_file_rule_as_a_note(scorer, rule, kernel_spool, table_of, foretold):
    ptx = Unreadable(0, NoGpuCodeError("PTX only", "machine code", "Install ptxas.", where="a.so#fatbin1"))
    foretold({"a.so": [ptx, Kernels(0, table_of([("a.so#fatbin0", "plain", 50)]))]})
    report = Scan(scorer, rule).run(["a.so"], kernel_spool)
    assert report.targets[0].files[0].notes == ("PTX only",)


@pytest.mark.parametrize(
    ("where", "file"),
    [
        ("a.whl!x.so#fatbin12", "a.whl!x.so"),
        ("pid 7!anon#cubin@0x7f00", "pid 7!anon"),
        ("a.so#fatbin0#cubin@0x40", "a.so"),
        ("a.so#ptx@0x1", "a.so"),
        ("d#1/x.cubin", "d#1/x.cubin"),
        ("d#1/x.so#fatbin0", "d#1/x.so"),
        ("c#.cubin", "c#.cubin"),
    ],
)
def test_the_file_of_a_code_object(where, file):
    assert file_of(where) == file


def _report(*targets: tuple[str, list[int]]) -> Callable[..., ScanReport]:
    def build(make: Callable[[str], object]) -> ScanReport:
        reports = []
        for verdict, codes in targets:
            problems = tuple(Problem("TargetError", code, "x", "got", "expected", "remedy") for code in codes)
            files = (make(verdict),) if verdict else ()
            reports.append(TargetReport("t", files, problems))
        return ScanReport(tuple(reports), {}, {})

    return build


@pytest.mark.parametrize(
    ("targets", "level", "code"),
    [
        ([("plain", [])], FailOn.MINING, 0),
        ([("mine", [])], FailOn.MINING, 1),
        ([("hash", [])], FailOn.MINING, 0),
        ([("hash", [])], FailOn.HASH, 1),
        ([("odd", [])], FailOn.HASH, 0),
        ([("odd", [])], FailOn.ABSTAIN, 1),
        ([("", [14])], FailOn.ABSTAIN, 14),
        ([("", [14])], FailOn.NOT_JUDGED, 1),
        ([("plain", [13])], FailOn.MINING, 13),
        ([("plain", [13, 13])], FailOn.MINING, 13),
        ([("plain", [13]), ("plain", [12])], FailOn.MINING, 10),
        ([("mine", []), ("", [12])], FailOn.MINING, 1),
        ([("mine", []), ("", [12])], FailOn.NEVER, 12),
        ([("mine", [])], FailOn.NEVER, 0),
        ([], FailOn.NOT_JUDGED, 0),
    ],
)
def test_exit_codes(targets, level, code, scorer, rule, table_of):
    def file(name: str) -> object:
        table = table_of([("t", name, 50)])
        return rule("t", table, scorer.judge(table), ())[0]

    report = _report(*targets)(file)
    assert exit_code(report, level) == code
    assert (findings(report, level) > 0) == (code == 1)
