"""Steps of the job model with everything on the GPU: samples that lie there already, the state, and the scores.

Nothing is copied to the host. Arrays are handed over by their address (``__cuda_array_interface__``: CuPy, torch and
Numba have it), so the caller keeps them alive, and has finished writing them before it asks for a step.

N = batch, C = len(CHANNELS), S = state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np

from hashwarden.errors import NoDeviceError, UsageError
from hashwarden.model.channels import CHANNELS
from hashwarden.model.runtime import onnxruntime
from hashwarden.serve.job_scorer import JobScorer

__all__ = ["DeviceSteps", "address"]

INTERFACES: Final[Mapping[str, str]] = {"cuda": "__cuda_array_interface__", "cpu": "__array_interface__"}


def address(array: object, shape: tuple[int, ...], device: str = "cuda") -> int:
    """Where a float32 array lies in the memory of a device.

    Parameters
    ----------
    array : object
        With the array interface of the device.
    shape : tuple of int
        What it has to be.
    device : str
        ``cuda`` or ``cpu``.

    Raises
    ------
    UsageError
        If it is of another kind, type or shape, or not in one piece.
    """
    interface = getattr(array, INTERFACES[device], None)
    if interface is None:
        raise UsageError(f"a {type(array).__name__}", f"an array in the memory of {device}", "Copy it there first.")
    found = (tuple(interface["shape"]), interface["typestr"])
    if found != (shape, "<f4"):
        raise UsageError(f"an array {found}", f"{(shape, '<f4')}", "Convert it.")
    strides, whole = interface.get("strides"), 4
    for size, stride in zip(reversed(shape), reversed(strides or ()), strict=False):
        if size > 1 and stride != whole:
            raise UsageError(f"a view with strides {strides}", "an array in one piece", "Copy it.")
        whole *= size
    return int(interface["data"][0])


@final
class DeviceSteps:
    """Steps of a fixed number of jobs on the device of a scorer.

    Parameters
    ----------
    scorer : JobScorer
        Opened with ``provider="cuda"``.
    batch : int
        Jobs, N.
    device : str
        ``cpu`` is for trying it without a GPU.

    Attributes
    ----------
    outputs : mapping of str to OrtValue
        ``logits`` (N, 6) and ``families`` (N, 12), log-probabilities, and ``novelty`` (N,), on the device; each step
        writes them anew. ``data_ptr()`` is where they lie.
    """

    def __init__(self, scorer: JobScorer, batch: int, device: str = "cuda") -> None:
        if device not in INTERFACES or (device == "cuda") != (scorer.provider == "cuda"):
            raise NoDeviceError(
                f"a scorer on {scorer.provider}", device, "Open the scorer with provider='cuda' for steps on the GPU."
            )
        record, self._session, self._device, self._batch = scorer.metadata, scorer.session, device, batch
        widths = {"logits": (len(record.classes),), "families": (len(record.families),), "novelty": ()}
        self.outputs = {name: self._value(batch, *width) for name, width in widths.items()}
        self._states = [self._value(batch, record.state_size) for _ in range(2)]
        self._shapes = {"sample": (batch, len(CHANNELS)), "mask": (batch, len(CHANNELS)), "dt": (batch, 1)}

    def step(self, sample: object, mask: object, dt: object) -> None:
        """Score one sample of each job; the results are in `outputs`.

        Nothing is checked but where the arrays lie and their shape: a look at their values would be a copy to the host.
        They have to be judged, 0 where the mask is 0.

        Parameters
        ----------
        sample, mask : float32 device array, shape (N, C)
        dt : float32 device array, shape (N, 1)
        """
        before, after = self._states
        binding = self._session.io_binding()
        for name, array in (("sample", sample), ("mask", mask), ("dt", dt)):
            shape = self._shapes[name]
            where = address(array, shape, self._device)
            binding.bind_input(name, self._device, 0, np.float32, shape, where)
        binding.bind_ortvalue_input("state", before)
        for name, value in self.outputs.items():
            binding.bind_ortvalue_output(name, value)
        binding.bind_ortvalue_output("next_state", after)
        self._session.run_with_iobinding(binding)
        self._states = [after, before]

    @property
    def state(self) -> Any:  # noqa: ANN401  onnxruntime ships no types
        """The state after the last step, an OrtValue on the device."""
        return self._states[0]

    def _value(self, *shape: int) -> Any:  # noqa: ANN401
        return onnxruntime().OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32), self._device, 0)
