"""A network as a list of launches: what it allocates, computes, differentiates, counts and updates.

The layers (`hashwarden.kernels.workloads.learning.layers`) append launches to a `Program` and, where it trains,
leave on its tape what appends the launches of their gradient. Nothing runs here: the result is a Plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from hashwarden.kernels.workloads.learning.elementwise import fill, fill_random
from hashwarden.kernels.workloads.learning.embedding import bag, bag_back, copy_run, gather, gather_labels, scatter
from hashwarden.kernels.workloads.learning.optimiser import adam_launch
from hashwarden.kernels.workloads.plan import Arrays, Empty, Launch, Plan, Work

__all__ = ["Check", "Program", "Tensor"]

Check = Callable[[Mapping[str, NDArray[Any]]], None]

_HOST_ELEMENTS: Final = 1 << 19
"""Larger weights are not made on the host; a set-up launch fills them."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A matrix of float32 in an array of the plan."""

    name: str
    rows: int
    columns: int

    @property
    def size(self) -> int:
        """Elements."""
        return self.rows * self.columns


@final
class Program:
    """A network in the making.

    Parameters
    ----------
    seed : int
        For the weights.
    training : bool
        Whether gradients and updates follow.
    """

    def __init__(self, seed: int, training: bool = False) -> None:
        self.random = np.random.default_rng(seed)
        self.training = training
        self.arrays: dict[str, NDArray[Any] | Empty] = {}
        self.setup: list[Launch] = []
        self.tape: list[Callable[[], None]] = []
        self.weights: dict[str, Tensor] = {}
        self.float_ops, self.int_ops, self.moved = 0.0, 0.0, 0.0
        self._launches: list[Callable[[int], Launch | None]] = []
        self._gradients: dict[str, str] = {}
        self._written: set[str] = set()
        self._inputs: set[str] = set()
        self._count = 0

    def fresh(self, word: str) -> str:
        """A name that is not used yet."""
        self._count += 1
        return f"{word}_{self._count}"

    def host(self, name: str, contents: NDArray[Any]) -> str:
        """An array with contents, flat."""
        self.arrays[name] = np.ascontiguousarray(contents).reshape(-1)
        return name

    def scratch(self, word: str, size: int, dtype: Any = np.float32) -> str:  # noqa: ANN401  a NumPy type
        """An array of zeros under a fresh name."""
        name = self.fresh(word)
        self.arrays[name] = Empty((size,), dtype)
        return name

    def tensor(self, word: str, rows: int, columns: int) -> Tensor:
        """A matrix of zeros under a fresh name."""
        return Tensor(self.scratch(word, rows * columns), rows, columns)

    def input(self, name: str, contents: NDArray[Any]) -> Tensor:
        """A matrix from the host that needs no gradient."""
        self.host(name, contents.astype(np.float32))
        return self.freeze(Tensor(name, contents.shape[0], contents.shape[1]))

    def freeze(self, tensor: Tensor) -> Tensor:
        """Mark a matrix that needs no gradient."""
        self._inputs.add(tensor.name)
        return tensor

    def weight(self, name: str, rows: int, columns: int, scale: float | None = None, centre: float = 0.0) -> Tensor:
        """A parameter, uniform within ``scale`` of ``centre``; by default 1.5 / sqrt(rows) around 0."""
        scale = 1.5 / float(np.sqrt(rows)) if scale is None else scale
        tensor = self.weights[name] = Tensor(name, rows, columns)
        if tensor.size > _HOST_ELEMENTS and not self.training:
            self.arrays[name] = Empty((tensor.size,), np.float32)
            seed = np.uint32(self.random.integers(1 << 32))
            arguments = (name, np.int64(tensor.size), seed, np.float32(scale))
            self.setup.append(Launch(fill_random, -(-tensor.size // 4), arguments))
        else:
            self.host(name, (centre + self.random.uniform(-scale, scale, tensor.size)).astype(np.float32))
        if self.training:
            for prefix in ("d_", "m_", "v_"):
                self.arrays[prefix + name] = Empty((tensor.size,), np.float32)
        return tensor

    def launch(self, launch: Launch | Callable[[int], Launch | None], float_ops: float = 0.0) -> None:
        """Append a launch, or what makes it (or none) from the number of the step."""
        self._launches.append((lambda _: launch) if isinstance(launch, Launch) else launch)
        self.float_ops += float_ops

    def run(self, body: Any, threads: int, *arguments: str | int | float | np.generic, ops: float = 0.0) -> None:  # noqa: ANN401  a compiled function
        """Append a launch of a body; a Python int is passed as int64, a float as float32."""
        self.launch(Launch(body, threads, tuple(_scalar(item) for item in arguments)), ops)

    def zero(self, name: str, size: int) -> None:
        """Append the launch that clears an array."""
        self.run(fill, -(-size // 4), name, size, 0.0)

    def wants_gradient(self, tensor: Tensor) -> bool:
        """Whether something before this matrix can learn."""
        return tensor.name not in self._inputs

    def gradient(self, tensor: Tensor) -> str:
        """Array of the gradient of a matrix."""
        name = self._gradients.setdefault(tensor.name, f"d_{tensor.name}")
        if name not in self.arrays:
            self.arrays[name] = Empty((tensor.size,), np.float32)
        return name

    def share_gradient(self, tensor: Tensor, other: Tensor) -> bool:
        """Let ``tensor`` have the gradient of ``other`` where nobody else adds to it; return whether that worked."""
        if tensor.name in self._gradients:
            return False
        self._gradients[tensor.name] = self.gradient(other)
        return True

    def writes(self, tensor: Tensor) -> bool:
        """Note a contribution to a gradient; return whether one is there already, so that this one is added."""
        self.gradient(tensor)
        before = tensor.name in self._written
        self._written.add(tensor.name)
        return before

    def backward(self) -> None:
        """Append the launches of all gradients, last layer first."""
        while self.tape:
            self.tape.pop()()

    def update(self) -> None:
        """Append Adam for every parameter."""
        for name, tensor in self.weights.items():
            self.launch(partial(adam_launch, name=name, size=tensor.size), 14.0 * tensor.size)

    def steps(self, step: int) -> Sequence[Launch]:
        """All launches of a step."""
        made = (launch(step) for launch in self._launches)
        return [launch for launch in made if launch is not None]

    def plan(self, units: float, check: Check) -> Plan:
        """The plan; a step moves every argument of every launch once, of a table what is looked up in it."""
        moved = self.moved
        for launch in self.steps(0):
            most = launch.threads * _looked_up(launch) * 4
            sizes = (self.arrays[name].nbytes for name in launch.arguments if isinstance(name, str))
            moved += sum(min(size, most) if most else size for size in sizes)
        work = Work(units, dram_bytes=moved, int_ops=self.int_ops, float_ops=self.float_ops)
        arrays: Arrays = self.arrays
        return Plan(arrays, self.steps, work, check, tuple(self.setup))


def _looked_up(launch: Launch) -> int:
    """Numbers of a table that a thread touches; 0 for a body that goes through whole arrays."""
    if launch.body in {bag, bag_back}:
        return int(launch.arguments[4])
    return {gather: 4, gather_labels: 1, copy_run: 1, scatter: 1}.get(launch.body, 0)


def _scalar(item: str | int | float | np.generic) -> str | np.generic:
    if isinstance(item, str | np.generic):
        return item
    return np.float32(item) if isinstance(item, float) else np.int64(item)
