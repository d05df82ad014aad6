"""The two models as the protocol shows them: named tensors in, named tensors out, a version, and a check of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from hashwarden.errors import HashwardenError, UsageError
from hashwarden.model.channels import CHANNELS, NETWORK
from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.model.kernel.taxonomy import GROUPS
from hashwarden.serve.api.ports import FLOATS, Port
from hashwarden.serve.api.refusal import RefusedError
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.scorer import KernelScorer

__all__ = ["JobModel", "KernelModel", "Served", "load_models"]

Array = npt.NDArray[Any]
PLATFORM: Final = "onnxruntime_onnx"
"""What Triton and KServe call an ONNX file in onnxruntime."""

_PIN: Final = 12
"""Digits of the file's SHA-256 that name a version exactly."""

_CHUNK: Final = 2048
"""Kernels that go through the graph at once."""

_FEW: Final = 1024
"""Values of which a copy costs less than to be kept from warnings."""


class Served(ABC):
    """A model that can be asked.

    Attributes
    ----------
    name : str
    versions : tuple of str
        The model's version, then the first 12 digits of its file's SHA-256: both name the one that is loaded.
    inputs, outputs : tuple of Port
    identity : mapping
        Name, version, schema and SHA-256 of the model file.
    fault : str
        Why it may not judge; empty after a check that passed.
    """

    name: str
    identity: Mapping[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __init__(self) -> None:
        self.fault = "the known answers were not checked yet"

    @property
    def versions(self) -> tuple[str, ...]:
        """Names of the version that is loaded, the plain one first."""
        return self.identity["version"], self.identity["sha256"][:_PIN]

    @abstractmethod
    def self_test(self) -> None:
        """Give known answers again.

        Raises
        ------
        HashwardenError
            If they differ: then this installation must not judge anybody.
        """

    @abstractmethod
    def _run(self, tensors: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]: ...

    def check(self) -> str:
        """Run the self-test; gives why the model may not judge, empty if it may."""
        try:
            self.self_test()
        except HashwardenError as error:
            self.fault = str(error)
        else:
            self.fault = ""
        return self.fault

    def metadata(self) -> dict[str, Any]:
        """The answer to a request for the model's metadata."""
        return {
            "name": self.name, "versions": list(self.versions), "platform": PLATFORM,
            "inputs": [port.metadata() for port in self.inputs],
            "outputs": [port.metadata() for port in self.outputs], "parameters": dict(self.identity),
        }  # fmt: skip

    def score(self, tensors: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """Score a batch.

        Parameters
        ----------
        tensors : mapping of str to array
            Each of a type and shape that its port took.
        wanted : sequence of str
            Names of the outputs to give.

        Returns
        -------
        dict of str to float32 array
            One row for each row of the batch; all finite.

        Raises
        ------
        RefusedError
            400 if an input is missing, the numbers of rows differ, or a value cannot be meant; 503 if
            the model may not judge.
        """
        if self.fault:
            raise RefusedError(self.fault, "a model that gives its known answers", "Ask the operator.",
                          where=f"model {self.name}", status=HTTPStatus.SERVICE_UNAVAILABLE)  # fmt: skip
        missing = [port.name for port in self.inputs if not port.optional and port.name not in tensors]
        if missing:
            raise RefusedError(f"no input {', '.join(missing)}", "all inputs of the model", "Send it.",
                          where=f"model {self.name}")  # fmt: skip
        rows = {name: len(tensor) for name, tensor in tensors.items()}
        if len(set(rows.values())) > 1:
            raise RefusedError(f"tensors of {rows} rows", "as many rows in each", "Send whole batches.")
        try:
            found = self._run(tensors, wanted)
        except UsageError as error:
            raise (
                error if isinstance(error, RefusedError) else RefusedError(error.got, error.expected, error.remedy)
            ) from error
        for name, output in found.items():
            if not _finite(output):
                raise RefusedError(f"values for which {name} is not finite", "values as they are measured",
                              "Look at the scale of the inputs.", where=f"model {self.name}")  # fmt: skip
        return found


@final
class JobModel(Served):
    """One step of the job model: a sample of each of N jobs and their states in, verdicts and next states out."""

    name = "job"

    def __init__(self, scorer: JobScorer) -> None:
        super().__init__()
        self.scorer = scorer
        self.identity = dict(scorer.identity)
        size, record = scorer.metadata.state_size, scorer.metadata
        channels = tuple(channel.name for channel in CHANNELS)
        self.inputs = (
            Port("sample", len(channels), f"judged values of the channels, 0 or more; {len(NETWORK)} of them are read",
                 channels, FLOATS),
            Port("mask", len(channels), "1 where a value is known; left out: where the sample is not NaN", channels,
                 ("FP32", "BOOL", "UINT8"), optional=True),
            Port("dt", 1, "seconds since the job's sample before; 0 for its first", ("dt",), FLOATS),
            Port("state", size, "what the step before gave; left out: nothing was seen", optional=True),
        )  # fmt: skip
        self.outputs = (
            Port("probabilities", len(record.classes), "calibrated, 0 to 1", tuple(record.classes)),
            Port("families", len(record.families), "0 to 1, given that the job mines", tuple(record.families)),
            Port("novelty", None, "squared distance to all that training saw; its mean there is 1"),
            Port("state", size, "for the next step; never to be read"),
        )

    def self_test(self) -> None:  # noqa: D102
        self.scorer.self_test()

    def _run(self, tensors: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        sample = tensors["sample"]
        mask, state = tensors.get("mask"), tensors.get("state")
        if mask is None:
            mask = ~np.isnan(sample)
        if state is None:
            state = self.scorer.initial(len(sample))
        elif not _finite(state):
            raise RefusedError("a state that is not finite", "what the step before gave", "Hand it on as it came.")
        scores = self.scorer.step(sample, mask, tensors["dt"], state)
        return {name: getattr(scores, name) for name in wanted}


@final
class KernelModel(Served):
    """The kernel model: features of N kernels in; groups, families, novelty and calibrated probabilities out."""

    name = "kernel"

    def __init__(self, scorer: KernelScorer) -> None:
        super().__init__()
        self.scorer = scorer
        self.identity = dict(scorer.identity)
        families = tuple(scorer.metadata.families)
        self.inputs = (Port("features", len(FEATURE_NAMES), "square roots of shares, logarithms of sizes; 0 or more",
                            FEATURE_NAMES, FLOATS),)  # fmt: skip
        self.outputs = (
            Port("groups", len(GROUPS), "logarithms of probabilities, not calibrated", GROUPS),
            Port("families", len(families), "probabilities, 0 to 1", families),
            Port("novelty", None, "distance to all that training saw"),
            Port("p_hash", None, "calibrated probability of hash work of any kind, the kernel judged alone"),
            Port("p_mining", None, "calibrated probability of mining"),
            Port("p_kind", None, "calibrated probability that hash work is mining"),
        )

    def self_test(self) -> None:  # noqa: D102
        self.scorer.self_test()

    def _run(self, tensors: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        with np.errstate(over="ignore"):
            features = np.ascontiguousarray(tensors["features"], np.float32)
        if not _finite(features):
            column = int(np.argwhere(~np.isfinite(features))[0, 1])
            raise RefusedError(f"a value of {FEATURE_NAMES[column]} that is not finite", "finite features",
                          "A kernel's features are never missing.")  # fmt: skip
        found = dict(zip(("groups", "families", "novelty"), self._in_parts(features), strict=True))
        if {"p_hash", "p_mining", "p_kind"} & set(wanted):
            fitted = self.scorer.probabilities(found["groups"])
            found |= {
                name: p.astype(np.float32) for name, p in zip(("p_hash", "p_mining", "p_kind"), fitted, strict=True)
            }
        return {name: found[name] for name in wanted}

    def _in_parts(self, features: Array) -> list[Array]:
        """Any number of kernels, none included."""
        if 0 < len(features) <= _CHUNK:
            return list(self.scorer.run(features))
        widths = (len(GROUPS),), (len(self.scorer.metadata.families),), ()
        found: list[Array] = [np.empty((len(features), *width), np.float32) for width in widths]
        for rows in (slice(first, first + _CHUNK) for first in range(0, len(features), _CHUNK)):
            for whole, part in zip(found, self.scorer.run(features[rows]), strict=True):
                whole[rows] = part
        return found


def _finite(values: Array) -> bool:
    """Whether all are finite: their sum is then, and one pass without a copy is enough; or it is only too large."""
    if values.size <= _FEW:
        return bool(np.isfinite(values).all())
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.add.reduce(values, axis=None)) or np.isfinite(values).all())


def load_models(job: Path | None = None, kernel: Path | None = None) -> tuple[Served, ...]:
    """Both models, checked; one whose check fails is there and refuses to judge.

    Parameters
    ----------
    job, kernel : Path, optional
        Their files; the shipped ones if None.

    Raises
    ------
    ModelError
        If a file is missing, damaged, or made for another version.
    """
    models: tuple[Served, ...] = (JobModel(JobScorer(job)), KernelModel(KernelScorer(kernel)))
    for model in models:
        model.check()
    return models
