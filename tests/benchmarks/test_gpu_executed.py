"""Trip counts, what Nsight Compute prints, and how rules compare: on machine code that NVRTC compiles here.

Here is no GPU: ncu is a script that prints what a GPU would have counted for kernels whose loops are known by hand.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hashwarden.errors import DataError, HashwardenError
from hashwarden.kernels.sass.cubin import read_cubin
from hashwarden.kernels.workloads.native.launches import Fill
from hashwarden.kernels.workloads.plan import NativeLaunch

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = ROOT / "benchmarks" / "gpu" / "questions"
CODE = r"""
extern "C" __global__ void nested(unsigned *o) {
  unsigned a = threadIdx.x;
  #pragma unroll 1
  for (int i = 0; i < 37; i++) {
    a = a * 5 + i; a ^= a >> 7;
    #pragma unroll 1
    for (int j = 0; j < 11; j++) { a = (a << 3) ^ (a >> 5) ^ j; a += o[a & 63]; }
  }
  o[a & 255] = a;
}
extern "C" __global__ void down(unsigned *o) {
  unsigned a = threadIdx.x;
  #pragma unroll 1
  for (int i = 64; i > 0; i -= 4) a = a * 3 + o[a & 31];
  o[a & 255] = a;
}
extern "C" __global__ void unrolled(unsigned *o) {
  unsigned a = threadIdx.x;
  #pragma unroll 4
  for (int i = 0; i < 128; i++) a = a * 3 + o[a & 31];
  o[a & 255] = a;
}
extern "C" __global__ void until(unsigned *o, unsigned n) {
  unsigned a = threadIdx.x;
  #pragma unroll 1
  for (unsigned i = 0; i < n; i++) a = a * 3 + o[a & 31];
  o[a & 255] = a;
}
extern "C" __global__ void data(unsigned *o) {
  unsigned a = threadIdx.x;
  #pragma unroll 1
  while (a < o[a & 31]) a = a * 3 + 1;
  o[a & 255] = a;
}
extern "C" __global__ void leaves(unsigned *o) {
  unsigned a = threadIdx.x;
  #pragma unroll 1
  for (int i = 0; i < 50; i++) { a = a * 3 + o[a & 31]; if (a == 5) break; }
  o[a & 255] = a;
}
"""
TRIPS = {"nested": [11, 37], "down": [16], "unrolled": [32], "until": [None], "data": [None], "leaves": [50]}


def module(name):
    sys.path.insert(0, str(QUESTIONS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(QUESTIONS))


def compiled(arch, code=CODE):
    from cuda.core import Program, ProgramOptions

    cubin = bytes(Program(code, "c++", ProgramOptions(arch=arch)).compile("cubin").code)
    found = read_cubin(cubin, "test")
    words = {
        name: np.frombuffer(found.code(n), np.uint32).reshape(-1, 4) for n, name in enumerate(found.names)
    }  # fmt: skip
    return cubin, words


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"])
def test_trip_counts_are_those_of_the_source_or_unknown(arch):
    _, words = compiled(arch)
    for name, wanted in TRIPS.items():
        found = module("executed_trips").trip_counts(words[name], int(arch[3:]))
        assert sorted(found.values(), key=str) == sorted(wanted, key=str), (name, found)


def test_an_unknown_start_is_taken_for_zero_only_if_asked_for():
    code = r"""extern "C" __global__ void strided(unsigned *o) {
      #pragma unroll 1
      for (unsigned i = threadIdx.x; i < 4096; i += 128) o[i] = o[i] * 3 + 1;
    }"""
    _, words = compiled("sm_90", code)
    trips = module("executed_trips").trip_counts
    assert list(trips(words["strided"], 90).values()) == [32]
    assert list(trips(words["strided"], 90, guess_start=False).values()) == [None]


def nvdisasm(cubin, folder):
    """Each kernel's instructions as NVIDIA's disassembler writes them."""
    tools = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/**/bin/nvdisasm"))
    assert tools, "this test needs the package nvidia-cuda-nvdisasm (extra dev)"
    (folder / "cubin").write_bytes(cubin)
    text = subprocess.run([tools[0], folder / "cubin"], capture_output=True, text=True, check=True).stdout
    found, name = {}, None
    for line in text.splitlines():
        if title := re.match(r"\.text\.(\w+):", line):
            name = title[1]
            found[name] = []
        elif name and (row := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;", line)):
            found[name].append(row[1])
    return found


def turns_of_nested(words):
    """By hand: what lies in the inner loop runs 37 * 11 times, in the outer 37 times, the rest once."""
    (inner, outer) = sorted(module("executed_trips").loops_of(words, 90), key=lambda loop: loop[1] - loop[0])
    counts = np.ones(len(words))
    counts[outer[0] : outer[1] + 1] = 37
    counts[inner[0] : inner[1] + 1] = 37 * 11
    return counts * 8  # warps


HEADS = {
    "2025": ('"#","Address","Source","Warp Stall Sampling (All Samples)","# Samples","Instructions Executed",'
             '"Thread Instructions Executed"',
             '"{n}","0x7f00{n:04x}","{text}","0","3","{count:,.0f}","{threads:,.0f}"'),
    "2022": ('"Address","Source","Warp Stall Sampling (All Cycles)","Warp Stall Sampling (Not-issued Cycles)",'
             '"Instructions Executed","# Samples","Instructions Executed","Thread Instructions Executed","Access Size"',
             '"0x7f{n:04x}","      {text} ","42","42","{count:.0f}","42","{count:.0f}","{threads:.0f}","-"'),
    "older": ('"Address","Source","# Inst Executed","# Thread Inst Executed"',
              '"{n}","{text}","{count:.0f}","{threads:.0f}"'),
    "metric": ('"#","Source","inst_executed","thread_inst_executed_true"',
               '"{n}","{text}","{count:.0f}","{threads:.0f}"'),
}  # fmt: skip


def page(kernel, texts, counts, style="2025"):
    head, row = HEADS[style]
    lines = [f'"Kernel Name","{kernel}"', f"  {kernel} (8, 1, 1)x(32, 1, 1), Context 1, Stream 7", head]
    if style == "2022":
        lines = [f'"Kernel Name","void {kernel}<(int)8>(float *, int)",', head]
    for n, (text, count) in enumerate(zip(texts, counts, strict=False)):
        lines.append(row.format(n=n, text=text.replace('"', '""'), count=count, threads=32 * count))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("style", HEADS)
def test_a_page_of_instructions_is_read_and_joined_to_the_code(style, tmp_path):
    cubin, words = compiled("sm_90")
    texts, join = nvdisasm(cubin, tmp_path), module("executed_join")
    counts = {name: np.arange(len(code)) * 1000.0 for name, code in words.items()}
    given = join.tables("".join(page(name, texts[name], counts[name], style) for name in TRIPS))
    assert [name in table.title for name, table in zip(TRIPS, given, strict=True)] == [True] * len(TRIPS)
    for name, table in zip(TRIPS, given, strict=True):
        assert join.executed(table, words[name]).tolist() == counts[name].tolist()


def test_a_page_without_padding_is_joined_and_one_of_other_code_is_refused(tmp_path):
    cubin, words = compiled("sm_90")
    texts, join = nvdisasm(cubin, tmp_path), module("executed_join")
    kept = len(texts["down"])
    while texts["down"][kept - 1].startswith(("NOP", "BRA")):
        kept -= 1
    assert kept < len(words["down"])
    [table] = join.tables(page("down", texts["down"][:kept], [5.0] * kept))
    assert join.executed(table, words["down"]).sum() == 5 * kept
    [half] = join.tables(page("down", texts["down"][: kept // 2], [5.0] * kept))
    for wrong, code in ((table, words["nested"]), (half, words["down"])):
        with pytest.raises(DataError, match="compiled"):
            join.executed(wrong, code)


def test_what_is_no_page_of_instructions_is_none():
    join = module("executed_join")
    assert join.tables("") == []
    assert join.tables("==ERROR== nothing was profiled\n") == []
    assert join.tables('"Source","Samples"\n"IMAD R1, R2","5"\n') == []


def test_sums_by_opcode_are_read():
    text = (
        '"ID","Kernel Name","sass__inst_executed_per_opcode"\n"","","inst"\n'
        '"0","nested","1,234 (IMAD: 1,000; LOP3: 200; IMAD.WIDE: 34)"\n"1","down","7 (EXIT: 7)"\n"2","none","0"\n'
    )
    assert list(module("executed_join").by_opcode(text)) == [
        ("nested", {"IMAD": 1034.0, "LOP3": 200.0}), ("down", {"EXIT": 7.0})
    ]  # fmt: skip


def kernel(words, name="nested", family="a", executed=None, label="mining"):
    counts = turns_of_nested(words[name]) if executed is None else executed
    return module("executed_rules").Kernel(name, f"{family}-native", label, family, words[name], 90, counts)


def test_the_right_rule_is_nearest_and_no_rule_is_nearer_than_nothing():
    _, words = compiled("sm_90")
    rules, one = module("executed_rules"), kernel(words)
    assert rules.distance(one, lambda k: k.executed) == 0
    by_trips, present, once = (
        rules.distance(one, rules.rules()[name])
        for name in (
            "trip counts where the code shows them, else 6", "the present constants", "every instruction once"
        )
    )  # fmt: skip
    assert by_trips == pytest.approx(0, abs=1e-9)
    assert by_trips < present < once < 1
    for share in (rules.shares(one, one.executed), rules.shares(one, np.ones(len(one.words)))):
        assert share.sum() == pytest.approx(1)
    assert rules.distance(one, lambda k: np.zeros(len(k.words))) == pytest.approx(0.5)


def test_constants_are_fitted_without_the_family_that_they_are_measured_on():
    """A family whose loops run 37 and 11 times, and one whose do not run at all: each gets what suits the other."""
    _, words = compiled("sm_90")
    rules = module("executed_rules")
    flat = np.ones(len(words["nested"]))
    mixed = rules.compared([kernel(words), kernel(words, family="b", executed=flat)])
    alike = rules.compared([kernel(words), kernel(words, family="b")])
    assert mixed["a fitted constant"]["mean"] > alike["a fitted constant"]["mean"]
    fit = min(rules.distance(kernel(words), rule) for rule in rules.fitted()["a fitted constant"])
    assert alike["a fitted constant"]["distances"] == pytest.approx([fit, fit])
    assert alike["a fitted constant"]["mean_by_label"] == {"mining": pytest.approx(fit)}
    assert mixed["every instruction once"]["worst_kernel"] == "a-native: nested"


def test_ratios_between_depths_are_those_of_the_loops():
    _, words = compiled("sm_90")
    ratios = module("executed_rules").depth_ratios([kernel(words)])
    assert ratios["1 over 0"]["p50"] == pytest.approx(37)
    assert ratios["2 over 1"]["p50"] == pytest.approx(11)
    assert ratios["1 over 0"]["kernels"] == 1


def test_one_launch_of_each_kernel_is_profiled_and_told_before():
    child, log = module("executed_child"), []
    engine = SimpleNamespace(launch=lambda launch: log.append(launch.kernel), wait=lambda: None)
    one, two = (NativeLaunch("source", name, (1,), (32,), (), "V=1") for name in ("one", "two"))
    fill = Fill("", "", (), (), ())
    child.profiled("name", engine, [fill, one, one, two, one], log.append, (
        lambda: log.append("on"), lambda: log.append("off")))  # fmt: skip
    rows = [row for row in log if isinstance(row, dict)]
    assert [row["kernel"] for row in rows] == ["one", "two"]
    assert rows[0] == {"workload": "name", "source": "source", "kernel": "one", "variant": "V=1"}
    words = [row if isinstance(row, str) else "told" for row in log]
    assert words == ["", "told", "on", "one", "off", "one", "told", "on", "two", "off", "one"]


def test_families_come_first_and_what_is_too_large_is_left_out():
    executed = module("executed")
    names = executed.chosen()
    families = [executed.find(name).family for name in names]
    different = len(set(families))
    assert len(set(families[:different])) == different > 15
    assert "scrypt-native" not in names


NCU = """#!{python}
import json, re, sys
from pathlib import Path
words = sys.argv[1:]
if "--import" in words:
    if {refuses!r} in words:
        print("==ERROR== unrecognised option")
        raise SystemExit(1)
    said = json.loads(Path(words[words.index("--import") + 1]).read_text())
    print(said[words[words.index("--page") + 1]])
    raise SystemExit(0)
if {refuses!r} in " ".join(words):
    print("==ERROR== Failed to find metric")
    raise SystemExit(1)
at = next(n for n, word in enumerate(words) if word.endswith("executed_child.py"))
order, names = Path(words[at + 1]), words[at + 3:]
given = json.loads(Path({given!r}).read_text())
order.write_text("".join(json.dumps(row) + "\\n" for row in given["order"] if row["workload"] in names))
pages = given["pages"] if "SourceCounters" in words else given["pages"] | {{"source": ""}}
Path(words[words.index("--export") + 1]).write_text(json.dumps(pages))
"""
RUN = """
import json, sys
sys.path.insert(0, {folder!r})
import answer
answer.gpu_count = lambda: 1
answer.describe = lambda: {{"gpu": "Stand-in", "compute_capability": "9.0"}}
import executed
executed.chosen = lambda: ["sha256d-native"]
raise SystemExit(executed.main())
"""


@pytest.fixture
def measured(tmp_path):
    def run(*, refuses="no such words", ncu=True, wrong=False):
        executed = module("executed")
        row = {"workload": "sha256d-native", "source": "sha256d_midstate", "kernel": "sha256d_scan",
               "variant": "HASHES=4"}  # fmt: skip
        words, _ = executed.code_of(row, "sm_90")
        names = [module("executed_join").isa.mnemonic(first & 0xFFF) or "X" for first in words[:, 0].tolist()]
        counts = np.ones(len(names))
        counts[23:2585] = 4  # its one loop, as trip counts and the source have it: HASHES=4
        given = {"order": [row], "pages": {"source": page("sha256d_scan", names[: 9 if wrong else None], counts),
                                           "raw": ""}}  # fmt: skip
        (tmp_path / "given").write_text(json.dumps(given))
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        if ncu:
            (folder / "ncu").write_text(
                NCU.format(python=sys.executable, refuses=refuses, given=str(tmp_path / "given"))
            )
            (folder / "ncu").chmod(0o755)
        python_path = os.pathsep.join([str(QUESTIONS.parent), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-c", RUN.format(folder=str(QUESTIONS)), "--out", str(tmp_path / "out")],
            env=os.environ | {"PYTHONPATH": python_path, "PATH": str(folder)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done, json.loads((tmp_path / "out" / "executed.json").read_text())

    return run


@pytest.mark.parametrize("refuses", ["no such words", "thread_inst_executed_true", "--print-source", "details"])
def test_the_whole_of_it_also_where_a_version_knows_fewer_words(measured, refuses, tmp_path):
    done, found = measured(refuses=refuses)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = found["results"]["weighting"]["rules"]
    assert rows["trip counts where the code shows them, else 6"]["mean"] == pytest.approx(0, abs=1e-9)
    assert rows["every instruction once"]["mean"] > 0
    assert found["results"]["weighting"]["depth_ratios"]["1 over 0"]["p50"] == pytest.approx(4)
    assert found["results"]["weighting"]["kernels"][0]["loops_with_trip_count"] == 1
    assert all(one.startswith("weighting: ") for one in found["answers"])
    assert any("nearest in the mean is: trip counts" in one for one in found["answers"])
    assert any("training" in why for why in found["open"])
    assert refuses not in found["results"]["batch 0"]["collected"].replace(",", " ").split()
    with gzip.open(tmp_path / "out" / "executed.csv.gz", "rt") as file:
        order, source, _, _ = file.read().split("\f\n")
    assert json.loads(order)[0]["kernel"] == "sha256d_scan"
    assert "LOP3" in source


def test_where_only_sums_by_opcode_are_to_be_had_nothing_is_answered(measured):
    _, found = measured(refuses="SourceCounters")
    assert found["answers"] == []
    assert found["results"]["batch 0"]["collected"] == "--metrics sass__inst_executed_per_opcode"
    assert any("0 tables of instructions of 1 launches" in why for why in found["open"])


def test_code_that_is_not_what_was_compiled_is_open_and_no_answer(measured):
    done, found = measured(wrong=True)
    assert "Traceback" not in done.stderr
    assert found["answers"] == []
    assert any("sha256d_scan" in why and "compiled" in why for why in found["open"])


def test_without_ncu_everything_is_open(measured):
    done, found = measured(ncu=False)
    assert done.returncode == 1
    assert found["open"] == ["everything: ncu (Nsight Compute) is not installed"]


def test_a_kernel_that_a_source_does_not_have_is_an_error():
    row = {"source": "sha256d_midstate", "variant": "HASHES=4", "kernel": "nothing"}
    with pytest.raises(HashwardenError, match="sha256d_scan"):
        module("executed").code_of(row, "sm_90")
