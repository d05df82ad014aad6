"""Metric sets, held against Perfworks' host library: every metric exists on every chip, every set is one pass.

The library comes with CUPTI and needs no GPU and no driver. What is called is its public API (nvperf_host.h,
nvperf_cuda_host.h of the package nvidia-cuda-cupti).
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hashwarden.errors import NoDeviceError, UsageError
from hashwarden.kernels.streams import metric_sets

TEXT, SIZE, POINTER, FLAG = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_uint8
NO_LIBRARY = "libnvperf_host is not installed: pip install nvidia-cuda-cupti"


class Request(ctypes.Structure):
    """NVPW_MetricEvalRequest: a metric with its rollup and submetric."""

    _fields_ = (("metric", SIZE), ("kind", FLAG), ("rollup", FLAG), ("submetric", ctypes.c_uint16))


class RawRequest(ctypes.Structure):
    """NVPA_RawMetricRequest: one hardware counter."""

    _fields_ = (("size", SIZE), ("private", POINTER), ("name", TEXT), ("isolated", FLAG), ("instances", FLAG))


REQUEST_BYTES, RAW_REQUEST_BYTES = 12, 26
"""Sizes up to and including the last field, as the API counts them."""


class Perfworks:
    """The host library, as far as the tests need it."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.call("NVPW_InitializeHost")

    def call(self, function: str, **fields: tuple[Any, Any]) -> Any:
        """Call with a parameter structure of the given (type, value) fields; a failure raises LookupError."""
        layout = [("size", SIZE), ("private", POINTER), *((name, kind) for name, (kind, _) in fields.items())]
        parameters = type("Parameters", (ctypes.Structure,), {"_fields_": layout})()
        for name, (_, value) in fields.items():
            setattr(parameters, name, value)
        parameters.size = ctypes.sizeof(parameters)
        status = getattr(self.library, function)(ctypes.byref(parameters))
        if status:
            raise LookupError(f"{function}: status {status}")
        return parameters

    def evaluator(self, chip: str) -> tuple[int, Any]:
        name = (TEXT, chip.encode())
        sized = self.call(
            "NVPW_CUDA_MetricsEvaluator_CalculateScratchBufferSize", chip=name, image=(POINTER, None), bytes=(SIZE, 0)
        )
        room = ctypes.create_string_buffer(sized.bytes)
        made = self.call(
            "NVPW_CUDA_MetricsEvaluator_Initialize", room=(POINTER, ctypes.addressof(room)), bytes=(SIZE, sized.bytes),
            chip=name, image=(POINTER, None), data=(POINTER, None), data_bytes=(SIZE, 0), evaluator=(POINTER, None),
        )  # fmt: skip
        return made.evaluator, room

    def counters(self, chip: str, metrics: Sequence[str]) -> list[bytes]:
        """Hardware counters that the metrics are computed from."""
        evaluator, _room = self.evaluator(chip)
        requests = (Request * len(metrics))()
        for request, metric in zip(requests, metrics, strict=True):
            try:
                self.call(
                    "NVPW_MetricsEvaluator_ConvertMetricNameToMetricEvalRequest", evaluator=(POINTER, evaluator),
                    metric=(TEXT, metric.encode()), request=(POINTER, ctypes.addressof(request)),
                    bytes=(SIZE, REQUEST_BYTES),
                )  # fmt: skip
            except LookupError:
                raise LookupError(f"{chip} has no {metric}") from None
        known: dict[str, tuple[Any, Any]] = {
            "evaluator": (POINTER, evaluator),
            "requests": (POINTER, ctypes.addressof(requests)),
            "count": (SIZE, len(metrics)),
            "bytes": (SIZE, REQUEST_BYTES),
            "stride": (SIZE, ctypes.sizeof(Request)),
        }
        rest = {"optional": (POINTER, None), "optionals": (SIZE, 0)}
        ask = "NVPW_MetricsEvaluator_GetMetricRawDependencies"
        count = self.call(ask, **known, names=(POINTER, None), found=(SIZE, 0), **rest).found
        names = (TEXT * count)()
        self.call(ask, **known, names=(POINTER, ctypes.addressof(names)), found=(SIZE, count), **rest)
        return [name for name in names if name]

    def description(self, chip: str, counter: str) -> str:
        """What the library says that a counter counts."""
        evaluator, _room = self.evaluator(chip)
        asked = {"evaluator": (POINTER, evaluator)}
        found = self.call("NVPW_MetricsEvaluator_GetMetricNames", **asked, kind=(FLAG, 0), names=(POINTER, None),
                          begins=(POINTER, None), count=(SIZE, 0))  # fmt: skip
        begins = ctypes.cast(found.begins, ctypes.POINTER(SIZE))
        for place in range(found.count):
            if ctypes.string_at(found.names + begins[place]).decode() == counter:
                ask = "NVPW_MetricsEvaluator_GetCounterProperties"
                said = self.call(ask, **asked, place=(SIZE, place), text=(TEXT, None), unit=(ctypes.c_uint32, 0))
                return str(said.text.decode())
        raise LookupError(f"{chip} has no {counter}")

    def passes(self, chip: str, metrics: Sequence[str], activity: int) -> int:
        """Passes that collecting the metrics together takes."""
        counters = self.counters(chip, metrics)
        requests = (RawRequest * len(counters))(*((RAW_REQUEST_BYTES, None, name, 1, 0) for name in counters))
        made = self.call(
            "NVPW_CUDA_RawMetricsConfig_Create_V2", activity=(ctypes.c_uint32, activity), chip=(TEXT, chip.encode()),
            image=(POINTER, None), config=(POINTER, None),
        )  # fmt: skip
        config = {"config": (POINTER, made.config)}
        self.call("NVPW_RawMetricsConfig_BeginPassGroup", **config, most=(SIZE, 2**64 - 1))
        at = ctypes.addressof(requests)
        self.call("NVPW_RawMetricsConfig_AddMetrics", **config, requests=(POINTER, at), count=(SIZE, len(counters)))
        self.call("NVPW_RawMetricsConfig_EndPassGroup", **config)
        found = self.call("NVPW_RawMetricsConfig_GetNumPasses", **config, pipelined=(SIZE, 0), isolated=(SIZE, 0))
        self.call("NVPW_RawMetricsConfig_Destroy", **config)
        return int(found.pipelined + found.isolated)


@pytest.fixture(scope="module")
def perfworks() -> Perfworks:
    libraries = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/**/libnvperf_host.so*"))
    if not libraries:
        pytest.skip(NO_LIBRARY)
    return Perfworks(libraries[-1])


CHIPS = [(architecture, chip) for architecture, chips in metric_sets.ARCHITECTURES.items() for chip in chips]


@pytest.mark.parametrize("activity", [1, 2], ids=["profiler", "sampled"])
@pytest.mark.parametrize("width", ["wide", "core"])
@pytest.mark.parametrize(("architecture", "chip"), CHIPS)
def test_a_set_is_one_pass(
    perfworks: Perfworks, architecture: str, chip: str, width: metric_sets.Width, activity: int
) -> None:
    metrics = list(metric_sets.metric_set(architecture, width).values())
    assert perfworks.passes(chip, metrics, activity) == 1


def test_the_library_can_say_no(perfworks: Perfworks) -> None:
    suffix = ".avg.pct_of_peak_sustained_elapsed"
    with pytest.raises(LookupError, match="GH100 has no sm__bitcoins"):
        perfworks.counters("GH100", ["sm__bitcoins" + suffix])
    many = [f"smsp__warps_issue_stalled_{why}.avg" for why in ("barrier", "membar", "wait", "drain", "long_scoreboard")]
    many += [f"sm__inst_executed_pipe_{pipe}{suffix}" for pipe in ("adu", "cbu", "lsu", "uniform", "xu", "fp64", "alu")]
    assert perfworks.passes("GH100", many, 1) > 1


def reported() -> ModuleType:
    """What docs/gpu-findings.md tells of the library."""
    place = Path(__file__).parents[3] / "benchmarks" / "gpu" / "questions" / "reported.py"
    spec = importlib.util.spec_from_file_location("gpu_reported", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_what_the_page_says_that_tensor_counters_count(perfworks: Perfworks) -> None:
    counters = [(chip, *one) for chip, all_of in reported().TENSOR_COUNTERS.items() for one in all_of.items()]
    assert len(counters) == 10
    for chip, counter, instructions in counters:
        said = perfworks.description(chip, counter)
        assert f"tensor pipe was active ({instructions} ops)" in said, (chip, counter, said)
    with pytest.raises(LookupError, match="GH100 has no sm__bitcoins"):
        perfworks.description("GH100", "sm__bitcoins")


def test_chips_and_sets_belong_together() -> None:
    assert set(metric_sets.ARCHITECTURES) == set(metric_sets.METRIC_SETS)
    for architecture, chip in CHIPS:
        assert metric_sets.architecture_of(chip) == architecture
        assert set(metric_sets.CORE) <= set(metric_sets.METRIC_SETS[architecture])
    with pytest.raises(NoDeviceError, match="TU102"):
        metric_sets.architecture_of("TU102")
    for architecture, width in (("sm_75", "wide"), ("sm_90", "all")):
        with pytest.raises(UsageError):
            metric_sets.metric_set(architecture, width)  # type: ignore[arg-type]


def test_only_ga100_is_timed_by_its_clock() -> None:
    assert [a for a in metric_sets.ARCHITECTURES if metric_sets.times_by_clock(a)] == ["sm_80"]
