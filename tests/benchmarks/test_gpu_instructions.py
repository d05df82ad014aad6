"""What GPM counts: the loops are of the wanted machine code, and the measuring goes well on stand-ins for the GPU.

Here are no NVIDIA driver and no CuPy with a device: NVML is tests/serve/sources/nvml_stand_in.c, CuPy a few lines
below. The kernels are compiled for real, by NVRTC.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = ROOT / "benchmarks" / "gpu" / "questions"
STAND_IN = ROOT / "tests" / "serve" / "sources" / "nvml_stand_in.c"


@pytest.fixture(scope="module")
def kinds():
    spec = importlib.util.spec_from_file_location("instructions_kinds", QUESTIONS / "instructions_kinds.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["instructions_kinds"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cubins(kinds):
    return {source: kinds.compiled(source, kinds.arch_of(source, "9.0")) for source in (kinds.PLAIN, kinds.WGMMA)}


@pytest.fixture(scope="module")
def loops(kinds, cubins):
    return {name: loop for cubin in cubins.values() for name, loop in kinds.hot_loops(cubin).items()}


@pytest.fixture(scope="module")
def texts(cubins, tmp_path_factory):
    """What NVIDIA's disassembler says of each kernel."""
    tools = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/**/bin/nvdisasm"))
    assert tools, "this test needs the package nvidia-cuda-nvdisasm (extra dev)"
    found = {}
    for source, cubin in cubins.items():
        path = tmp_path_factory.mktemp("cubins") / source
        path.write_bytes(cubin)
        said = subprocess.run([tools[0], "-c", path], capture_output=True, text=True, check=True).stdout
        pieces = re.split(r"^(\w+_loop):$", said, flags=re.MULTILINE)
        found |= dict(zip(pieces[1::2], pieces[2::2], strict=True))
    return found


LEAST = {"mma_e4m3": 0.15, "mma_f64": 0.45}
COUNT = {"global_read_loop": 32, "shared_read_loop": 32, "mma_e4m3_loop": 16}
NAMES = [
    "lop3", "imad", "wgmma_s8", "wgmma_e4m3", "wgmma_f16", "mma_s8", "mma_f16", "mma_e4m3", "shf", "iadd3", "dp4a",
    "ffma", "imad_wide", "hfma2", "dfma", "dram_read", "l2_read", "shared_read", "popc", "mufu", "mma_f64",
]  # fmt: skip


def test_all_classes_are_there(kinds, loops):
    assert list(kinds.KINDS) == NAMES
    assert {kind.kernel for kind in kinds.KINDS.values()} == set(loops)


@pytest.mark.parametrize("name", NAMES)
def test_the_loop_consists_of_the_wanted_instruction(kinds, loops, texts, name):
    """At least 70 % of the loop, but for the two kernels of LEAST, and exactly as often as the source says."""
    kind = kinds.KINDS[name]
    loop = loops[kind.kernel]
    assert kinds.share(kind, loop) >= LEAST.get(name, 0.7)
    assert kind.least == LEAST.get(name, 0.7)
    wanted = kinds.wanted(kind, loop)
    matrix = name.startswith(("mma", "wgmma"))
    assert wanted == COUNT.get(kind.kernel, 64 if matrix else 128)
    lines = re.findall(r"/\*[0-9a-f]{4}\*/\s+(?:@!?U?P\w+ )?([\w.]+)", texts[kind.kernel])
    exact = [line for line in lines if line == kind.mnemonic or line.startswith(kind.mnemonic + ".")]
    assert wanted <= len(exact) <= wanted + 16  # what comes before the loop


def test_no_loop_spills_and_none_waits_between_products_of_a_warpgroup(kinds, loops, texts):
    for kernel, loop in loops.items():
        assert not {"LDL", "STL"} & set(kinds.named(loop)), kernel
    for kind in kinds.KINDS.values():
        if kind.source == kinds.WGMMA:
            assert kinds.named(loops[kind.kernel])["WARPGROUP"] == 2  # one fence, one wait
            assert texts[kind.kernel].count("WARPGROUP.ARRIVE") == 1


def test_fp8_by_mma_sync_is_half_precision_and_sums_on_sm_90(kinds, loops, texts):
    loop = kinds.named(loops["mma_e4m3_loop"])
    assert (loop["HMMA"], loop["FADD"]) == (16, 32)  # two and four for each of eight products
    assert sum(loop[name] for name in ("HMMA", "FADD", "F2FP", "IADD3")) >= 0.9 * loops["mma_e4m3_loop"].total()
    assert "QMMA" not in texts["mma_e4m3_loop"].replace("QGMMA", "")


def test_two_bits_that_the_mnemonics_leave_open(texts):
    assert "LDG.E.128.STRONG.SYS" in texts["global_read_loop"]  # passes L1 by
    assert "LOP3.LUT" in texts["lop3_loop"]
    assert "0x96" in texts["lop3_loop"]  # all three operands count


@pytest.mark.parametrize(
    ("capability", "plain", "wgmma"), [("9.0", "sm_90", "sm_90a"), ("10.0", "sm_100", ""), ("12.0", "sm_120", "")]
)
def test_the_architecture_follows_the_card(kinds, capability, plain, wgmma):
    assert (kinds.arch_of(kinds.PLAIN, capability), kinds.arch_of(kinds.WGMMA, capability)) == (plain, wgmma)
    loops = kinds.hot_loops(kinds.compiled(kinds.PLAIN, plain))
    assert kinds.share(kinds.KINDS["lop3"], loops["lop3_loop"]) > 0.9


def test_what_no_compiler_takes_is_an_error_that_says_so(kinds):
    from hashwarden.errors import HashwardenError

    with pytest.raises(HashwardenError, match="sm_10000"):
        kinds.compiled(kinds.PLAIN, "sm_10000")


def test_without_a_gpu_nothing_is_answered(tmp_path):
    command = [sys.executable, str(QUESTIONS / "instructions.py"), "--out", str(tmp_path)]
    environment = os.environ | {"LD_LIBRARY_PATH": "", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 6
    found = json.loads((tmp_path / "instructions.json").read_text())
    assert (found["results"], found["answers"]) == ({}, [])
    assert found["open"] == ["everything: no NVIDIA GPU, or no driver"]
    assert done.stdout.splitlines()[-1].startswith("0 ran")


# What CuPy does for instructions_child.py. A kernel that starts tells the stand-in of NVML what GPM then reads.
CUPY = """
import os, sys, time, types
import numpy as np
from pathlib import Path

SAYS = {"lop3_loop": "metric 4 98.5\\nmetric 2 99.5\\n",
        "wgmma_e4m3_loop": "metric 5 97\\nmetric 7 61\\nmetric 2 99\\n"}

class Memory:
    def __add__(self, offset): return self
    def copy_from_device(self, other, size): assert size > 0

class Array:
    data = Memory()
    def __getitem__(self, part): return self
    def set(self, values): assert values.dtype == np.uint8

def empty(size, dtype): return Array()

class Event:
    def record(self): self.at = time.monotonic()
    def synchronize(self): pass

runtime = types.SimpleNamespace(
    cudaDevAttrMultiProcessorCount=16, cudaDevAttrGlobalMemoryBusWidth=37,
    deviceGetAttribute=lambda number, device: {16: 132, 37: 5120}[number])
cuda = types.SimpleNamespace(Event=Event, runtime=runtime, get_elapsed_time=lambda a, b: (b.at - a.at) * 1e3)

class RawModule:
    def __init__(self, path): assert Path(path).read_bytes()[:4] == b"\\x7fELF"
    def get_function(self, name):
        if name == "popc_loop":
            sys.exit("CUDA_ERROR_ILLEGAL_INSTRUCTION")
        Path(os.environ["HASHWARDEN_STAND_IN"]).write_text("gpus 1\\nrefuse 6 3\\n" + SAYS.get(name, ""))
        def launch(grid, block, arguments):
            assert [type(a) for a in arguments[2:]] == [np.uint64, np.uint32, np.int32, np.int32]
            assert arguments[-1] == 0
            time.sleep(0.001)
        return launch
"""
RUN = """
import sys
sys.path.insert(0, {folder!r})
import answer
answer.gpu_count = lambda: 1
answer.describe = lambda: {{"gpu": "Stand-in", "compute_capability": "9.0"}}
import instructions
raise SystemExit(instructions.main())
"""


@pytest.fixture
def measured(tmp_path):
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", tmp_path / "libnvidia-ml.so.1", STAND_IN], check=True)
    (tmp_path / "cupy.py").write_text(CUPY)
    control = tmp_path / "control"

    def run(*flags, control_text="gpus 1\nrefuse 6 3\n"):
        control.write_text(control_text)
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        stand_in = {"LD_LIBRARY_PATH": str(tmp_path), "HASHWARDEN_STAND_IN": str(control), "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", RUN.format(folder=str(QUESTIONS)), "--out", str(tmp_path / "out"), *flags],
            env=os.environ | stand_in, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done, json.loads((tmp_path / "out" / "instructions.json").read_text())

    return run


def test_a_class_that_fails_hides_no_other_and_answers_follow_from_the_rows(measured):
    done, found = measured("--windows", "3", "--only", "lop3", "popc", "wgmma_e4m3", "dram_read")
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1].startswith("5 ran")
    assert list(found["results"]) == ["metrics", "idle", "lop3", "wgmma_e4m3", "dram_read"]
    assert "6" in found["results"]["metrics"]["refused"].split()
    row = found["results"]["lop3"]
    assert (row["windows"], row["power_w"], row["sm_clock_mhz"]) == (3, 350.0, 1410.0)
    assert row["metrics"]["4 INTEGER_UTIL"] == 98.5
    assert row["metrics"]["9 IMMA_TENSOR_UTIL"] == 9
    assert row["warps"] == 132 * 4 * 8
    assert row["loop"]["LOP3"] == 128
    rate = 128 * row["rounds"] * row["warps"] * row["launches"] / row["seconds"]
    assert row["units_per_s"] == pytest.approx(32 * rate)
    assert row["share_of_published"] == pytest.approx(32 * rate / (64 * 132 * 1410e6))
    assert found["results"]["dram_read"]["published_units_per_s"] == pytest.approx(2 * 2619e6 * 5120 / 8)
    first, *_ = found["answers"]
    assert first == (
        "4 INTEGER_UTIL, in percentage points above idle, rises with lop3 (94.5); by less than 5 with: "
        "wgmma_e4m3, dram_read."
    )
    assert any(a.startswith("wgmma_e4m3 (QGMMA") and "HMMA_TENSOR_UTIL 61.0 %" in a for a in found["answers"])
    told = "\n".join(found["open"])
    assert "popc: HashwardenError: its process ended with 1: CUDA_ERROR_ILLEGAL_INSTRUCTION" in told
    assert "6 DFMA_TENSOR_UTIL: the driver gives no value on this GPU" in told
    assert "dram_read: SM_UTIL was 2 % only" in told


def test_without_gpm_it_says_so_and_measures_nothing(measured):
    done, found = measured(control_text="gpus 1\ngpm 0\n")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert found["results"] == {}
    assert "no GPM" in found["open"][0]


def test_without_time_the_classes_are_named_as_open(measured):
    done, found = measured("--limit", "6", "--windows", "2")
    assert done.returncode == 0
    assert list(found["results"]) == ["metrics", "idle"]
    assert sum("no time" in why for why in found["open"]) == len(NAMES)
    assert found["answers"] == []


def test_a_value_that_is_a_sentinel_or_not_a_number_is_no_answer(kinds):
    sys.path.insert(0, str(QUESTIONS))
    try:
        import instructions
    finally:
        sys.path.remove(str(QUESTIONS))
    assert instructions.median([9223372036854775794.0, float("nan"), None, 4.0, 6.0]) == 5.0
    assert instructions.median([140737488355328.0]) is None
    gpm = SimpleNamespace(supported=[4, 9], names={4: "INTEGER_UTIL", 9: "IMMA_TENSOR_UTIL"})
    window = dict.fromkeys(("power_w", "sm_clock_mhz", "memory_clock_mhz", "reasons"))
    seen = [window | {"seconds": 0.2, "at": at, "metrics": {4: 1e15, 9: 0.0}} for at in (0.0, 0.2)]
    row = instructions.summed(gpm, seen)
    assert (row["metrics"], row["no_answer"]) == ({}, ["4 INTEGER_UTIL"])
