"""Answers inference requests, whichever protocol they came by: finds the model, reads, scores, writes, counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar, final

from hashwarden.serve.api.asked import Asked, Limits, read_asked
from hashwarden.serve.api.models import Served
from hashwarden.serve.api.ports import quoted
from hashwarden.serve.api.refusal import RefusedError
from hashwarden.serve.api.replies import Reply, reply_of
from hashwarden.serve.api.statistics import Statistics
from hashwarden.version import __version__

__all__ = ["EXTENSIONS", "NAME", "Engine"]

T = TypeVar("T")

NAME: Final = "hashwarden"
EXTENSIONS: Final = ("binary_tensor_data", "model_repository", "model_configuration", "statistics")
"""Extensions of the protocol, by Triton's names; of the repository only its index."""


@final
class Engine:
    """The served models.

    Parameters
    ----------
    models : sequence of Served
        Each of another name, checked (`hashwarden.serve.api.models.load_models`).
    limits : Limits, optional
    """

    def __init__(self, models: Sequence[Served], limits: Limits | None = None) -> None:
        self.models = {model.name: model for model in models}
        self.limits = limits or Limits()
        self._statistics = {name: Statistics() for name in self.models}

    @property
    def ready(self) -> bool:
        """Whether every model may judge."""
        return not any(model.fault for model in self.models.values())

    def find(self, name: str, version: str = "") -> Served:
        """The model with this name, and this version if one is given.

        Raises
        ------
        RefusedError
            404 if there is none.
        """
        model = self.models.get(name)
        if model is None:
            raise RefusedError(f"a model named {quoted(name)}", " or ".join(self.models), "Ask for one of them.",
                               status=HTTPStatus.NOT_FOUND)  # fmt: skip
        if version and version not in model.versions:
            raise RefusedError(f"version {quoted(version)}", " or ".join(model.versions),
                               "Leave it out for the newest.", where=f"model {name}",
                               status=HTTPStatus.NOT_FOUND)  # fmt: skip
        return model

    def answer(self, model: Served, body: memoryview, json_length: int | None) -> Reply:
        """Answer an HTTP request.

        Raises
        ------
        RefusedError
        """
        return self.counted(
            model, lambda: read_asked(body, json_length, model, self.limits), lambda *each: reply_of(model, *each)
        )

    def counted(self, model: Served, read: Callable[[], Asked], write: Callable[[Asked, dict[str, Any]], T]) -> T:
        """Read, score and write, and count how long each took.

        Raises
        ------
        RefusedError
        """
        statistics, began = self._statistics[model.name], time.perf_counter_ns()
        try:
            asked = read()
            was_read = time.perf_counter_ns()
            found = model.score(asked.tensors, tuple(asked.outputs))
            scored = time.perf_counter_ns()
            written = write(asked, found)
        except RefusedError:
            statistics.failed(time.perf_counter_ns() - began)
            raise
        rows = len(next(iter(asked.tensors.values())))
        statistics.succeeded(rows, (began, was_read, scored, time.perf_counter_ns()))
        return written

    def metadata(self) -> dict[str, Any]:
        """The answer to a request for the server's metadata."""
        return {"name": NAME, "version": __version__, "extensions": list(EXTENSIONS)}

    def index(self, ready_only: bool = False) -> list[dict[str, str]]:
        """The index of the repository: one entry for each model."""
        return [
            {"name": model.name, "version": model.versions[0], "state": "UNAVAILABLE" if model.fault else "READY",
             "reason": model.fault}
            for model in self.models.values() if not (ready_only and model.fault)
        ]  # fmt: skip

    def statistics(self, models: Sequence[Served]) -> dict[str, Any]:
        """Counters of these models."""
        return {
            "model_stats": [
                {"name": model.name, "version": model.versions[0], **self._statistics[model.name].told()}
                for model in models
            ]
        }

    def config(self, model: Served) -> dict[str, Any]:
        """The configuration of a model in the words of Triton's."""

        def tensor(name: str, width: int | None) -> dict[str, Any]:
            shape: dict[str, Any] = {} if width else {"reshape": {"shape": []}}
            return {"name": name, "data_type": "TYPE_FP32", "dims": [width or 1], **shape}

        return {
            "name": model.name, "platform": "onnxruntime_onnx", "backend": "onnxruntime",
            "max_batch_size": self.limits.rows,
            "input": [{**tensor(each.name, each.width), "optional": each.optional} for each in model.inputs],
            "output": [tensor(each.name, each.width) for each in model.outputs],
        }  # fmt: skip
