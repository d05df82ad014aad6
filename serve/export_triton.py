"""A model repository for Triton Inference Server: the ONNX files, their configurations, names of classes and columns.

https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_repository.md and
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md. Three models:
``kernel``; ``job``, whose state goes out with the answer and comes back with the next request; and ``job_stateful``,
the same file, where Triton keeps the state of each sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from hashwarden.model.channels import CHANNELS
from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.model.kernel.taxonomy import GROUPS
from hashwarden.serve.export_folder import beside
from hashwarden.serve.job_scorer import JobScorer
from hashwarden.serve.scorer import KernelScorer

__all__ = ["MAX_BATCH", "triton_files"]

MAX_BATCH: Final = 4096
_DELAY_US: Final = 500
"""So long a request may wait for others to share a batch with."""
_IDLE_US: Final = 3_600_000_000
"""So long Triton keeps the state of a sequence of which nothing comes."""

_TYPES: Final = {"tensor(float)": "TYPE_FP32"}

_COMMON: Final = """\
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: {most}
version_policy {{ latest {{ num_versions: 1 }} }}
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
parameters {{ key: "inter_op_thread_count" value {{ string_value: "1" }} }}
"""

_DYNAMIC: Final = f"dynamic_batching {{ max_queue_delay_microseconds: {_DELAY_US} }}\n"

_SEQUENCES: Final = """\
sequence_batching {{
  max_sequence_idle_microseconds: {idle}
  oldest {{ max_candidate_sequences: {most} max_queue_delay_microseconds: {delay} }}
  state [ {{
    input_name: "state"
    output_name: "next_state"
    data_type: TYPE_FP32
    dims: [ {size} ]
    initial_state [ {{ name: "nothing seen" data_type: TYPE_FP32 dims: [ {size} ] zero_data: true }} ]
  }} ]
}}
"""


def triton_files(job: JobScorer, kernel: KernelScorer) -> dict[str, bytes]:
    """The files of a model repository, by their path in it.

    Parameters
    ----------
    job, kernel : scorers
        Of the models to export; each has checked its file.

    Raises
    ------
    ModelError
        If a file cannot be read.
    """
    classes = {"classes.txt": job.metadata.classes, "families.txt": job.metadata.families}
    columns = {**classes, "channels.txt": [channel.name for channel in CHANNELS]}
    groups = {"groups.txt": GROUPS, "families.txt": kernel.metadata.families}
    own_kernel, own_job = beside(kernel.path, "kernel"), beside(job.path, "job")
    labels = {"logits": "classes.txt", "families": "families.txt"}
    sequences = _SEQUENCES.format(idle=_IDLE_US, most=MAX_BATCH, delay=_DELAY_US, size=job.metadata.state_size)
    kept = ("state", "next_state")
    return {
        **_model("kernel", _config("kernel", kernel, {"groups": "groups.txt", "families": "families.txt"}) + _DYNAMIC,
                 own_kernel, {**groups, "features.txt": FEATURE_NAMES}),
        **_model("job", _config("job", job, labels) + _DYNAMIC, own_job, columns),
        **_model("job_stateful", _config("job_stateful", job, labels, kept) + sequences, own_job, columns),
    }  # fmt: skip


def _model(
    name: str, config: str, own: Mapping[str, bytes], words: Mapping[str, Iterable[str]]
) -> dict[str, bytes]:  # fmt: skip
    """The folder of one model: the graph as version 1, beside it the card, the known answers and the names."""
    graph = next(iter(own))
    rest = {file: data for file, data in own.items() if not file.endswith(".onnx")}
    names = {file: "".join(f"{word}\n" for word in each).encode() for file, each in words.items()}
    files = {"config.pbtxt": config.encode(), "1/model.onnx": own[graph], **rest, **names}
    return {f"{name}/{file}": data for file, data in files.items()}


def _config(
    name: str, scorer: JobScorer | KernelScorer, labels: Mapping[str, str], left_out: Sequence[str] = ()
) -> str:
    """The text of config.pbtxt; what goes in and out is asked of the graph itself."""
    session = scorer.session
    parts = [f'name: "{name}"\n', _COMMON.format(most=MAX_BATCH)]
    for what, ends in (("input", session.get_inputs()), ("output", session.get_outputs())):
        tensors = [_tensor(end, labels.get(end.name, "")) for end in ends if end.name not in left_out]
        parts.append(f"{what} [\n" + ",\n".join(tensors) + "\n]\n")
    return "".join(parts)


def _tensor(end: Any, labels: str) -> str:  # noqa: ANN401  onnxruntime's
    """One tensor without the axis of the batch; Triton has none without any other axis, so that it is reshaped."""
    lengths = [length if isinstance(length, int) else -1 for length in end.shape[1:]]
    dims = ", ".join(map(str, lengths or [1]))
    words = [f'name: "{end.name}"', f"data_type: {_TYPES[end.type]}", f"dims: [ {dims} ]"]
    if not lengths:
        words.append("reshape { shape: [ ] }")
    if labels:
        words.append(f'label_filename: "{labels}"')
    return f"  {{ {' '.join(words)} }}"
