"""The oracle of all networks here: reverse differentiation in NumPy over a dozen primitive operations.

It shares no formula with the kernels: their layers are written here as sums, products and exponentials, and the
gradients follow from those by the chain rule (Griewank and Walther, Evaluating Derivatives, chapter 3). Numbers
are float64 unless the network is so large that float32 has to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Value", "attention", "concatenate", "convolve", "gelu", "layer_norm", "rms_norm", "silu"]

_Floats = NDArray[Any]
_Pull = Callable[[_Floats], _Floats]


def _like(gradient: _Floats, shape: tuple[int, ...]) -> _Floats:
    """Add up what broadcasting repeated."""
    gradient = gradient.sum(tuple(range(gradient.ndim - len(shape))))
    repeated = tuple(axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis] != 1)
    return np.asarray(gradient.sum(repeated, keepdims=True))


@final
class Value:
    """An array that remembers how it was computed.

    Parameters
    ----------
    data : array of float
        The numbers.
    sources : sequence of (Value, callable)
        What it was computed from, each with the map from this value's gradient to the gradient of that one.
    """

    __array_ufunc__ = None

    def __init__(self, data: _Floats, sources: Sequence[tuple[Value, _Pull]] = ()) -> None:
        self.data, self._sources = np.asarray(data), sources
        self.gradient: _Floats = np.zeros((), self.data.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.data.shape

    def backward(self) -> None:
        """Give every value that this scalar depends on its gradient."""
        order: list[Value] = []
        seen: set[int] = set()
        stack: list[tuple[Value, bool]] = [(self, False)]
        while stack:
            value, done = stack.pop()
            if done:
                order.append(value)
            elif id(value) not in seen:
                seen.add(id(value))
                stack.append((value, True))
                stack.extend((source, False) for source, _ in value._sources)
        self.gradient = np.ones_like(self.data)
        for value in reversed(order):
            for source, pull in value._sources:
                source.gradient = source.gradient + pull(value.gradient)

    def __add__(self, other: Value | float | _Floats) -> Value:
        """Sum, with broadcasting."""
        if not isinstance(other, Value):
            return Value(self.data + other, ((self, lambda g: _like(g, self.shape)),))
        pulls = ((self, lambda g: _like(g, self.shape)), (other, lambda g: _like(g, other.shape)))
        return Value(self.data + other.data, pulls)

    def __mul__(self, other: Value | float | _Floats) -> Value:
        """Product, with broadcasting."""
        if not isinstance(other, Value):
            return Value(self.data * other, ((self, lambda g: _like(g * other, self.shape)),))
        mine, its = self.data, other.data
        pulls = ((self, lambda g: _like(g * its, mine.shape)), (other, lambda g: _like(g * mine, its.shape)))
        return Value(mine * its, pulls)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Value:
        """Negative."""
        return self * -1.0

    def __sub__(self, other: Value | float | _Floats) -> Value:
        """Difference."""
        return self + (-other)

    def __truediv__(self, other: Value | float) -> Value:
        """Quotient."""
        return self * (other.power(-1.0) if isinstance(other, Value) else 1.0 / other)

    def __matmul__(self, other: Value) -> Value:
        """Matrix product over the last two axes."""
        mine, its = self.data, other.data
        left: _Pull = lambda g: _like(g @ its.swapaxes(-1, -2), mine.shape)  # noqa: E731
        right: _Pull = lambda g: _like(mine.swapaxes(-1, -2) @ g, its.shape)  # noqa: E731
        return Value(mine @ its, ((self, left), (other, right)))

    def _map(self, data: _Floats, slope: _Floats) -> Value:
        return Value(data, ((self, lambda g: g * slope),))

    def power(self, exponent: float) -> Value:
        """Each number to a power."""
        return self._map(self.data**exponent, exponent * self.data ** (exponent - 1))

    def exp(self) -> Value:
        """Exponential."""
        data = np.exp(self.data)
        return self._map(data, data)

    def log(self) -> Value:
        """Natural logarithm."""
        return self._map(np.log(self.data), 1 / self.data)

    def tanh(self) -> Value:
        """Hyperbolic tangent."""
        data = np.tanh(self.data)
        return self._map(data, 1 - data * data)

    def relu(self) -> Value:
        """Positive part."""
        return self._map(np.maximum(self.data, 0), (self.data > 0).astype(self.data.dtype))

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Value:
        """Sum over axes, which stay with length 1; over everything, a scalar."""
        shape = self.shape
        data = np.asarray(self.data.sum(axis, keepdims=axis is not None))
        return Value(data, ((self, lambda g: np.broadcast_to(g, shape)),))

    def mean(self, axis: int | tuple[int, ...] | None = None) -> Value:
        """Mean over axes, as `sum`."""
        total = self.sum(axis)
        return total * (total.data.size / self.data.size)

    def reshape(self, *shape: int) -> Value:
        """The same numbers in another shape."""
        old = self.shape
        return Value(self.data.reshape(shape), ((self, lambda g: g.reshape(old)),))

    def transpose(self, *axes: int) -> Value:
        """Axes in another order."""
        back = tuple(int(axis) for axis in np.argsort(axes))
        return Value(self.data.transpose(axes), ((self, lambda g: g.transpose(back)),))

    def take(self, places: Any) -> Value:  # noqa: ANN401  whatever indexes an array
        """What an index selects; repeated places add up in the gradient."""
        shape, kind = self.shape, self.data.dtype

        def pull(gradient: _Floats) -> _Floats:
            whole = np.zeros(shape, kind)
            np.add.at(whole, places, gradient)
            return whole

        return Value(self.data[places], ((self, pull),))

    def pad(self, *widths: tuple[int, int]) -> Value:
        """Zeros around."""
        inside = tuple(slice(low, low + size) for (low, _), size in zip(widths, self.shape, strict=True))
        return Value(np.pad(self.data, widths), ((self, lambda g: g[inside]),))

    def window(self, *slices: slice) -> Value:
        """A rectangular part, without repeated places."""
        shape, kind = self.shape, self.data.dtype

        def pull(gradient: _Floats) -> _Floats:
            whole = np.zeros(shape, kind)
            whole[slices] = gradient
            return whole

        return Value(self.data[slices], ((self, pull),))

    def softmax(self) -> Value:
        """Softmax over the last axis."""
        powers: Value = (self - self.data.max(-1, keepdims=True)).exp()
        return powers / powers.sum(-1)

    def surprise(self, labels: NDArray[Any]) -> Value:
        """Cross-entropy of each row of logits against its label."""
        shifted: Value = self - self.data.max(-1, keepdims=True)
        total = shifted.exp().sum(-1).log().reshape(len(labels))
        return total - shifted.take((np.arange(len(labels)), labels))


def concatenate(parts: Sequence[Value]) -> Value:
    """Join along the last axis."""
    ends = np.cumsum([0, *(part.shape[-1] for part in parts)])

    def pull(low: int, high: int) -> _Pull:
        return lambda g: g[..., low:high]

    pulls = [(part, pull(int(low), int(high))) for part, low, high in zip(parts, ends, ends[1:], strict=False)]
    return Value(np.concatenate([part.data for part in parts], -1), pulls)


def gelu(x: Value) -> Value:
    """GELU in its tanh form (Hendrycks and Gimpel, 2016)."""
    bend: Value = ((x + x * x * x * 0.044715) * float(np.sqrt(2 / np.pi))).tanh()
    return x * 0.5 * (bend + 1.0)


def silu(x: Value) -> Value:
    """``x`` times its logistic function."""
    return x * ((x * 0.5).tanh() * 0.5 + 0.5)


def layer_norm(x: Value, gain: Value, shift: Value) -> Value:
    """Each row with mean 0 and variance 1, then gain and shift."""
    centred = x - x.mean(-1)
    return centred / ((centred * centred).mean(-1) + 1e-5).power(0.5) * gain + shift


def rms_norm(x: Value, gain: Value) -> Value:
    """Each row divided by its root mean square, then gain."""
    return x / ((x * x).mean(-1) + 1e-5).power(0.5) * gain


def attention(q: Value, k: Value, v: Value, heads: int, mask: NDArray[Any] | None = None) -> Value:
    """Scaled dot products of (batch, tokens, width) values; ``mask`` is added to the scores."""
    batch, tokens, width = q.shape
    size = width // heads
    split = [x.reshape(batch, -1, heads, size).transpose(0, 2, 1, 3) for x in (q, k, v)]
    scores = split[0] @ split[1].transpose(0, 1, 3, 2) * (1 / float(np.sqrt(size)))
    shares = (scores if mask is None else scores + mask).softmax()
    return (shares @ split[2]).transpose(0, 2, 1, 3).reshape(batch, tokens, width)


def convolve(x: Value, weights: Value, edge: int = 3) -> Value:
    """Convolution of (batch, height, width, channels) with weights (edge * edge * channels, filters), zeros around."""
    _, height, width, _ = x.shape
    rim = edge // 2
    wide = x.pad((0, 0), (rim, rim), (rim, rim), (0, 0))
    whole = slice(None)
    windows = [
        wide.window(whole, slice(y, y + height), slice(z, z + width), whole) for y in range(edge) for z in range(edge)
    ]
    return concatenate(windows) @ weights
