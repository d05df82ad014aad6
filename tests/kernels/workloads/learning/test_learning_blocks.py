"""Building blocks of the networks on the CPU, at shapes that no tile divides."""

import math

import numpy as np
import pytest

from hashwarden.errors import CheckError, UsageError
from hashwarden.kernels.workloads.engines.cpu import CpuEngine
from hashwarden.kernels.workloads.learning import elementwise, int8, rows
from hashwarden.kernels.workloads.learning.attention import head_size
from hashwarden.kernels.workloads.learning.checks import check_output
from hashwarden.kernels.workloads.learning.elementwise import fill_random
from hashwarden.kernels.workloads.learning.gemm import gemm, gemm_nn, gemm_nt, gemm_tn, gemv
from hashwarden.kernels.workloads.learning.program import Program
from hashwarden.kernels.workloads.learning.recommender import random_table
from hashwarden.kernels.workloads.plan import Launch, Plan, Work

RANDOM = np.random.default_rng(2)


def carried_out(arrays, *launches):
    engine = CpuEngine(Plan(arrays, lambda _: launches, Work(1), lambda _: None))
    engine.step()
    return engine


def floats(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 3), (33, 34, 9), (40, 30, 64)])
@pytest.mark.parametrize("body", [gemm_nn, gemm_nt, gemm_tn], ids=["nn", "nt", "tn"])
def test_products_at_any_shape(body, shape, more):
    m, n, k = shape
    a, b, before = floats(m, k), floats(k, n), floats(m, n)
    held = {
        "a": np.ascontiguousarray(a.T if body is gemm_tn else a).ravel(),
        "b": np.ascontiguousarray(b.T if body is gemm_nt else b).ravel(),
        "c": before.ravel(),
    }
    engine = carried_out(held, gemm(body, ("a", "b", "c"), m, n, k, more))
    wanted = a.astype(float) @ b + (before if more else 0)
    np.testing.assert_allclose(engine.read("c").reshape(m, n), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 130), (8, 40, 257)])
def test_products_of_few_rows(shape):
    m, n, k = shape
    x, w, before = floats(m, k), floats(k, n), floats(m, n)
    held = {"x": x.ravel(), "w": w.ravel(), "part": np.zeros(-(-k // 128) * m * n, np.float32), "y": before.ravel()}
    engine = carried_out(held, *gemv(("x", "w", "part", "y"), m, n, k, more=True))
    np.testing.assert_allclose(engine.read("y").reshape(m, n), x.astype(float) @ w + before, rtol=1e-4, atol=1e-4)


def test_integer_products_are_exact_at_the_extremes():
    m, n, k = 5, 18, 48
    a, b = (RANDOM.choice(np.array([-127, 127, 3], np.int8), shape) for shape in ((m, k), (n, k)))
    held = {"a": a.ravel(), "b": b.ravel(), "c": np.zeros(m * n, np.int32)}
    sizes = (np.int64(m), np.int64(n), np.int64(k))
    engine = carried_out(held, Launch(int8.gemm_int8, int8.gemm_threads(m, n), ("a", "b", "c", *sizes)))
    np.testing.assert_array_equal(engine.read("c").reshape(m, n), a.astype(np.int32) @ b.T.astype(np.int32))


@pytest.mark.parametrize("columns", [1, 31, 33, 100])
def test_softmax_of_extreme_rows(columns):
    x = floats(3, columns) * 3
    x[1] += 1e4
    x[2] = -3e38
    x[2, 0] = 5
    names = ("x", "partial", "y", np.int64(columns))
    held = {"x": x.ravel(), "partial": np.zeros(3 * 64, np.float32), "y": np.zeros(x.size, np.float32)}
    engine = carried_out(
        held,
        Launch(rows.extremes, 96, ("x", "partial", np.int64(columns))),
        Launch(rows.softmax, 96, names),
    )
    powers = np.exp(x.astype(float) - x.max(1, keepdims=True))
    np.testing.assert_allclose(
        engine.read("y").reshape(3, columns), powers / powers.sum(1, keepdims=True), rtol=1e-3, atol=1e-7
    )


@pytest.mark.parametrize("kind", [elementwise.NONE, elementwise.RELU, elementwise.GELU, elementwise.SILU])
def test_activations_and_their_derivatives(kind):
    formulas = {
        elementwise.NONE: lambda x: x,
        elementwise.RELU: lambda x: max(x, 0.0),
        elementwise.GELU: lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        elementwise.SILU: lambda x: x / (1 + math.exp(-x)),
    }
    f = formulas[kind]
    for x in (-3.0, -0.7, 0.3, 2.5):
        assert elementwise.value_of(np.float32(x), kind) == pytest.approx(f(x), abs=1e-6)
        quotient = (f(x + 1e-5) - f(x - 1e-5)) / 2e-5
        assert elementwise.slope_of(np.float32(x), kind) == pytest.approx(quotient, abs=1e-5)


def test_filling_equals_its_formula_and_is_uniform():
    count, seed = 10_001, 0xFFFFFF01
    arguments = ("x", np.int64(count), np.uint32(seed), np.float32(0.25))
    engine = carried_out({"x": np.zeros(count, np.float32)}, Launch(fill_random, -(-count // 4), arguments))
    x = engine.read("x")
    np.testing.assert_array_equal(x, random_table(np.arange(count), seed))
    assert abs(float(x.mean())) < 0.01
    assert float(x.std()) == pytest.approx(0.5 / math.sqrt(12), rel=0.02)


def test_a_value_used_twice_gets_both_gradients():
    from hashwarden.kernels.workloads.learning import layers

    program = Program(1, training=True)
    x = program.input("x", floats(4, 6))
    y = layers.linear(program, x, "one", 5)
    z = layers.add(program, y, y, scale=2.0)
    labels = program.host("labels", np.arange(4, dtype=np.int32))
    layers.cross_entropy(program, z, labels)
    program.backward()
    engine = carried_out(program.arrays, *program.steps(0))
    np.testing.assert_allclose(engine.read(f"d_{y.name}"), 3 * engine.read(f"d_{z.name}"), rtol=1e-6)


def test_widths_of_heads():
    assert (head_size(16), head_size(112), head_size(128), head_size(144), head_size(4096)) == (16, 16, 64, 16, 64)
    with pytest.raises(UsageError, match="width = 20"):
        head_size(20)


def test_a_comparison_finds_nan_and_small_differences():
    expected = np.array([1.0, -4.0])
    check_output("x", np.array([1.0, -4.001]), expected)
    for wrong in ([1.0, -4.02], [np.nan, -4.0]):
        with pytest.raises(CheckError):
            check_output("x", np.array(wrong), expected)
