"""From the torch network to one ONNX file with its record inside, proved equal."""

from __future__ import annotations

import base64
import logging
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import torch

from hashwarden.errors import ModelError
from hashwarden.model.kernel.features import FEATURE_NAMES
from hashwarden.model.kernel.metadata import KEY, SCHEMA, KernelMetadata, feature_hash
from hashwarden.model.kernel.network import KernelNet
from hashwarden.model.kernel.rule import FileRule
from hashwarden.model.runtime import onnxruntime
from hashwarden.training.kernel.fold import folded
from hashwarden.version import __version__

__all__ = ["export", "record_of"]

OPSET: Final = 20
TOLERANCE: Final = 1e-4
F32 = npt.NDArray[np.float32]


def record_of(  # noqa: PLR0913, PLR0917  a record tells of everything
    families: list[str],
    group_of_family: npt.NDArray[np.int64],
    plain_mean: F32,
    rule: FileRule,
    data: dict[str, str],
    seed: int,
) -> KernelMetadata:
    """The record that the model file carries."""
    return KernelMetadata(
        model="kernel",
        schema_version=SCHEMA,
        version=__version__,
        features_sha256=feature_hash(),
        features=list(FEATURE_NAMES),
        families=families,
        group_of_family=group_of_family.tolist(),
        plain_mean=base64.b64encode(plain_mean.astype("<f4").tobytes()).decode(),
        calibration={name: float(value) for name, value in asdict(rule.calibration).items()},
        thresholds={name: float(value) for name, value in asdict(rule.thresholds).items()},
        innocent_mining=rule.innocent.mining,
        innocent_hashing=rule.innocent.hashing,
        training_data=data,
        seed=seed,
    )


def export(network: KernelNet, record: KernelMetadata, sample: F32, output: Path) -> float:
    """Write the ONNX file, in one piece.

    Parameters
    ----------
    network : KernelNet
        In evaluation mode.
    record : KernelMetadata
    sample : float32 array, shape (N, features)
        Real kernels on which both must agree.
    output : Path
        Replaced only when the new file has proved equal.

    Returns
    -------
    float
        The largest difference of any output.

    Raises
    ------
    ModelError
        If the graph differs from the network by more than 1e-4.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of packages that no graph here needs
    example = torch.from_numpy(sample[:2])
    program = torch.onnx.export(
        folded(network),
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["features"],
        output_names=["groups", "families", "novelty"],
        dynamic_shapes=({0: torch.export.Dim("kernels", min=1)},),
        verbose=False,
    )
    model = program.model_proto  # type: ignore[union-attr]
    del model.metadata_props[:]
    for part in (model.graph, *model.graph.node):
        del part.metadata_props[:]  # paths of the exporting machine
        part.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        value.doc_string = ""
    onnx.helper.set_model_props(model, {KEY: record.model_dump_json()})
    onnx.checker.check_model(model)
    worst = _difference(network, model.SerializeToString(), sample)
    if not worst <= TOLERANCE:
        raise ModelError(
            f"an ONNX graph that differs by {worst:.2g}", f"at most {TOLERANCE}", "Report this.", where=str(output)
        )
    _replace(output, model.SerializeToString(deterministic=True))
    return worst


def _difference(network: KernelNet, data: bytes, sample: F32) -> float:
    session = onnxruntime().InferenceSession(data, providers=["CPUExecutionProvider"])
    got = session.run(["groups", "families", "novelty"], {"features": sample})
    with torch.no_grad():
        wanted = network(torch.from_numpy(sample))
    return max(float(np.abs(g - w.numpy()).max()) for g, w in zip(got, wanted, strict=True))


def _replace(output: Path, data: bytes) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part = Path(name)
    part.chmod(0o644)
    part.replace(output)
