"""The oracle of the networks against difference quotients, and against torch where it is installed."""

import numpy as np
import pytest

from hashwarden.kernels.workloads.learning import oracle
from hashwarden.kernels.workloads.learning.oracle import Value

RANDOM = np.random.default_rng(5)
LABELS = np.array([1, 0, 3])

FUNCTIONS = {
    "product": lambda x, y: (x @ y.transpose(1, 0)).tanh(),
    "broadcast": lambda x, y: x * y.take(1) + y.sum(1) / 3.0 - 2.0,
    "quotient": lambda x, y: x / (y * y + 1.0),
    "exponentials": lambda x, y: (x.exp() + 2.0).log() + (y * y + 1.0).power(-0.5),
    "softmax": lambda x, y: x.softmax() * y,
    "surprise": lambda x, y: (x + y).surprise(LABELS),
    "repeated rows": lambda x, y: x.take(np.array([0, 2, 2])) * y,
    "join": lambda x, y: oracle.concatenate([x, y * 2.0]).tanh(),
    "gelu": lambda x, y: oracle.gelu(x) * oracle.silu(y),
    "norms": lambda x, y: oracle.layer_norm(x, y.take(0), y.take(1)) + oracle.rms_norm(y, x.take(2)),
    "attention": lambda x, y: oracle.attention(x.reshape(1, 3, 4), y.reshape(1, 3, 4), (x * y).reshape(1, 3, 4), 2),
    "convolution": lambda x, y: oracle.convolve(x.reshape(1, 3, 4, 1), y.reshape(12, 1).take(slice(9))),
}


def scalar(name: str, x: np.ndarray, y: np.ndarray) -> tuple[Value, Value, Value]:
    left, right = Value(x), Value(y)
    result = FUNCTIONS[name](left, right)
    weights = np.cos(np.arange(result.data.size)).reshape(result.shape)
    return (result * weights).sum(), left, right


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_of_difference_quotients(name):
    x, y = RANDOM.standard_normal((3, 4)), RANDOM.standard_normal((3, 4))
    total, left, right = scalar(name, x, y)
    total.backward()
    for value, first in ((left, True), (right, False)):
        gradient = np.broadcast_to(value.gradient, (3, 4))
        for place in np.ndindex(3, 4):
            bump = np.zeros((3, 4))
            bump[place] = 1e-6
            high, low = ((x + bump, y), (x - bump, y)) if first else ((x, y + bump), (x, y - bump))
            quotient = (scalar(name, *high)[0].data - scalar(name, *low)[0].data) / 2e-6
            assert gradient[place] == pytest.approx(quotient, rel=1e-5, abs=1e-7)


def test_a_value_used_twice_gets_both_gradients():
    x = Value(np.array([3.0]))
    (x * x + x).sum().backward()
    assert x.gradient.tolist() == [7.0]


def test_layers_equal_those_of_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x, gain, shift = (RANDOM.standard_normal(shape) for shape in ((2, 5, 8), (8,), (8,)))
    tensor = torch.from_numpy(x)
    wanted = functional.layer_norm(tensor, (8,), torch.from_numpy(gain), torch.from_numpy(shift))
    got = oracle.layer_norm(Value(x), Value(gain), Value(shift))
    np.testing.assert_allclose(got.data, wanted.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        oracle.gelu(Value(x)).data, functional.gelu(tensor, approximate="tanh").numpy(), rtol=1e-9
    )
    heads = tensor.reshape(2, 5, 2, 4).transpose(1, 2)
    wanted = functional.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).reshape(2, 5, 8)
    np.testing.assert_allclose(oracle.attention(Value(x), Value(x), Value(x), 2).data, wanted.numpy(), rtol=1e-9)


def test_convolution_equals_torch():
    torch = pytest.importorskip("torch")
    x, weights = RANDOM.standard_normal((2, 4, 6, 3)), RANDOM.standard_normal((9 * 3, 5))
    kernel = torch.from_numpy(weights.reshape(3, 3, 3, 5)).permute(3, 2, 0, 1)
    image = torch.from_numpy(x).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.conv2d(image, kernel, padding=1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(oracle.convolve(Value(x), Value(weights)).data, wanted, rtol=1e-9, atol=1e-12)
