"""Scores jobs with the ONNX files of the job model: one step a sample, or whole sequences; no torch.

N = batch, T = steps, C = len(CHANNELS), S = state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.model.answers_file import answers_path, check_same
from hashwarden.model.job.known_answers import read_answers
from hashwarden.model.runtime import onnxruntime
from hashwarden.serve.job_graphs import OUTPUTS, open_sequence, open_step, sequence_path
from hashwarden.serve.job_input import check_shapes, check_state, cleaned
from hashwarden.serve.onnx_session import shipped

__all__ = ["JobScorer", "Scores", "shipped_job_model"]

F32 = npt.NDArray[np.float32]
Array = npt.NDArray[np.generic]

ROWS: Final = 512
"""Samples that go through a graph at once: by its shapes, the largest tensor between its nodes then has 1.1 MB."""
MEMORY_MIB: Final = 1024


def shipped_job_model() -> Path:
    """The step graph of the installed package."""
    return shipped("job.onnx")


@final
@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says; with a time axis after the first if it is of sequences.

    Attributes
    ----------
    probabilities : float32 array, shape (N, 6)
        Of `hashwarden.model.job.taxonomy.CLASSES`, calibrated.
    families : float32 array, shape (N, 12)
        Of ``MINING_FAMILIES``, given that the job mines.
    novelty : float32 array, shape (N,)
        Squared distance to all that training saw; its mean there is 1.
    state : float32 array, shape (N, S), or OrtValue on the device
        To be handed to the next step; never to be read.
    """

    probabilities: F32
    families: F32
    novelty: F32
    state: Any


@final
class JobScorer:
    """The job model, ready to score.

    Parameters
    ----------
    path : Path, optional
        The step graph; the sequence graph ``STEM_sequence.onnx`` and ``STEM_known_answers.json`` lie beside it. The
        shipped one if None.
    provider : str
        ``cpu``, or ``cuda``: then the state stays on the GPU.
    memory_mib : int
        What onnxruntime may hold of the GPU's memory.

    Raises
    ------
    ModelError
        If a file is missing, damaged, or made for other channels or classes.
    NoDeviceError
        If CUDA was asked for and cannot be used. The CPU never stands in silently.
    UsageError
        If there is no such provider.
    """

    def __init__(self, path: Path | None = None, provider: str = "cpu", memory_mib: int = MEMORY_MIB) -> None:
        self.path = path or shipped_job_model()
        self.provider = provider
        self._opened, self.metadata = open_step(self.path, provider, memory_mib)
        self.session = self._opened.session
        self._sequence: Any = None

    @property
    def identity(self) -> Mapping[str, str]:
        """Name, version and hash of the model file."""
        return self._opened.identity(self.metadata)

    def initial(self, n: int) -> Any:  # noqa: ANN401  an array or an OrtValue
        """The state of n jobs of which nothing was seen."""
        state = np.zeros((n, self.metadata.state_size), np.float32)
        return state if self.provider == "cpu" else onnxruntime().OrtValue.ortvalue_from_numpy(state, "cuda", 0)

    def step(self, sample: Array, mask: Array, dt: Array, state: Any) -> Scores:  # noqa: ANN401
        """Score one sample of each of N jobs.

        Parameters
        ----------
        sample : float array, shape (N, C)
            Judged by `hashwarden.model.validity`; what the mask leaves out may be anything, NaN included.
        mask : bool or 0/1 array, shape (N, C)
        dt : float array, shape (N, 1) or (N,)
            Seconds since the sample before; 0 for the first.
        state : what `initial` or the step before gave

        Raises
        ------
        UsageError
            If a shape does not fit, a value that the mask shows is not finite or below 0, or time runs backwards.
        """
        check_shapes(sample, mask, dt, axes=1)
        dt = dt.reshape(-1, 1)
        if self.provider != "cpu":
            return self._step_on_device(*cleaned(sample, mask, dt), state)
        check_state(state, len(sample), self.metadata.state_size)
        if not 0 < len(sample) <= ROWS:
            return self._in_parts(sample, mask, dt, state)
        samples, masks, dts = cleaned(sample, mask, dt)
        feed = {"sample": samples, "mask": masks, "dt": dts, "state": state}
        logits, families, novelty, after = self.session.run(OUTPUTS, feed)
        return Scores(np.exp(logits), np.exp(families), novelty, after)

    def sequence(self, samples: Array, masks: Array, dts: Array, state: F32 | None = None) -> Scores:
        """Score sequences, after each of their samples, in pieces of bounded memory. Always on the CPU.

        Parameters
        ----------
        samples, masks : array, shape (N, T, C)
        dts : array, shape (N, T)
        state : float32 array, shape (N, S), optional
            Where to go on from.

        Raises
        ------
        ModelError
            If the sequence graph is missing, or not of the same export as the step graph.
        UsageError
            As in `step`.
        """
        check_shapes(samples, masks, dts, axes=2)
        count, steps = samples.shape[0], samples.shape[1]
        dts = dts.reshape(count, steps)
        after = np.zeros((count, self.metadata.state_size), np.float32) if state is None else state.copy()
        check_state(after, count, self.metadata.state_size)
        probabilities, families, novelty = self._empty(count, steps)
        length = max(1, ROWS // max(1, min(count, ROWS)))
        for first in range(0, count, ROWS):
            rows = slice(first, first + ROWS)
            for start in range(0, steps, length):
                part = (rows, slice(start, start + length))
                found = self._run_sequence(samples[part], masks[part], dts[part], after[rows])
                probabilities[part], families[part], novelty[part], after[rows] = found
        return Scores(probabilities, families, novelty, after)

    def _run_sequence(self, samples: Array, masks: Array, dts: Array, state: F32) -> tuple[F32, F32, F32, F32]:
        if self._sequence is None:
            self._sequence = open_sequence(sequence_path(self.path), self._opened, self.metadata).session
        values, shown, times = cleaned(samples, masks, dts)
        feed = {"samples": values, "masks": shown, "dts": times, "state": state}
        logits, families, novelty, after = self._sequence.run(OUTPUTS, feed)
        return np.exp(logits), np.exp(families), novelty, after

    def self_test(self) -> None:
        """Give the known answers again, step by step and as sequences.

        They hold missing channels, empty samples and a long gap.

        Raises
        ------
        CheckError
            If an answer differs: then this installation must not judge anybody.
        ModelError
            If the known answers are missing, damaged or of another model.
        """
        known = read_answers(answers_path(self.path), self._opened.sha256)
        wanted = {"probabilities": known.probabilities, "families": known.families, "novelty": known.novelty}
        state, seen = self.initial(len(known.dts)), []
        for t in range(known.dts.shape[1]):
            scores = self.step(known.samples[:, t], known.masks[:, t], known.dts[:, t], state)
            state = scores.state
            seen.append((scores.probabilities, scores.families, scores.novelty))
        check_same([np.stack(each, 1) for each in zip(*seen, strict=True)], wanted, self.path, "step graph")
        whole = self.sequence(known.samples, known.masks, known.dts)
        check_same([whole.probabilities, whole.families, whole.novelty], wanted, self.path, "sequence graph")

    def _in_parts(self, samples: Array, masks: Array, dts: Array, state: F32) -> Scores:
        """Any number of samples, none included."""
        found = self._empty(len(samples))
        after = np.empty_like(state)
        for rows in (slice(first, first + ROWS) for first in range(0, len(samples), ROWS)):
            part = self.step(samples[rows], masks[rows], dts[rows], state[rows])
            for whole, piece in zip(found, (part.probabilities, part.families, part.novelty), strict=True):
                whole[rows] = piece
            after[rows] = part.state
        return Scores(*found, after)

    def _empty(self, *lead: int) -> tuple[F32, F32, F32]:
        """Room for probabilities, families and novelty."""
        widths = len(self.metadata.classes), len(self.metadata.families)
        return (
            np.empty((*lead, widths[0]), np.float32),
            np.empty((*lead, widths[1]), np.float32),
            np.empty(lead, np.float32),
        )

    def _step_on_device(self, samples: F32, masks: F32, dts: F32, state: Any) -> Scores:  # noqa: ANN401
        binding = self.session.io_binding()
        for name, array in (("sample", samples), ("mask", masks), ("dt", dts)):
            binding.bind_cpu_input(name, array)
        binding.bind_ortvalue_input("state", state)
        for name in OUTPUTS[:3]:
            binding.bind_output(name, "cpu")
        binding.bind_output(OUTPUTS[3], "cuda", 0)
        self.session.run_with_iobinding(binding)
        logits, families, novelty, after = binding.get_outputs()
        return Scores(np.exp(logits.numpy()), np.exp(families.numpy()), novelty.numpy(), after)
