"""Scores of every kernel of the tables by networks that never learned its family: what synthesised jobs carry.

A job of a mining family that is left out must not bring along a kernel score that was learned on that family. So the
folds here follow the families of the job model: all kernels of one of them, whoever wrote them and whichever compiler
made them, are scored by a network fitted without any of them. What does not mine is held out by source.

    python -m hashwarden.training.synthesise.score_kernels data/kernel_mix data/job/kernel_scores.parquet
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hashwarden.model.kernel.features import features_of_counts
from hashwarden.model.kernel.joint import Calibration, own_log_odds, sigmoid
from hashwarden.model.kernel.taxonomy import MINING
from hashwarden.training.kernel.calibrate import calibrate
from hashwarden.training.kernel.crossval import cross_validate
from hashwarden.training.kernel.dataset import Dataset, load, tables
from hashwarden.training.kernel.fit import Recipe, family_groups, fit

__all__ = ["FAMILY_OF_KERNEL", "folds_by_job_family", "main", "scores"]

_log = logging.getLogger(__name__)
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

_FAMILIES: Final = {
    "heavyhash": "kheavyhash",
    "ethash": "ethash",
    "progpow": "progpow",
    "autolykos2": "autolykos2",
    "octopus": "octopus",
    "fishhash": "fishhash-karlsen",
    "equihash": "equihash chia-pos",
    "cuckoo": "cuckoo-cycle",
    "scratchpad": "cryptonight xelishash scrypt lyra2 neoscrypt argon2 verthash wildkeccak",
    "matmul-pow": "pearl-matmul btx-matmul",
    "field-pow": "poseidon2-pow nexapow qhash",
}
FAMILY_OF_KERNEL: Final = {kernel: family for family, names in _FAMILIES.items() for kernel in names.split()}
"""The job model's family of each mining family of the kernel tables; one that is not here is an ``integer-hash``."""


def folds_by_job_family(data: Dataset, seed: int = 0) -> tuple[I64, list[str]]:
    """One fold for each family of mining of the job model; the sources of the rest are dealt out over them.

    Returns
    -------
    fold : int64 array, shape (kernels,)
    names : list of str
        The family that each fold holds out.
    """
    names = [*_FAMILIES, "integer-hash"]
    rest = data.group != MINING
    sources = sorted(set(data.source[rest]))
    np.random.default_rng(seed).shuffle(sources)
    of_source = {name: index % len(names) for index, name in enumerate(sources)}
    of_family = {name: names.index(FAMILY_OF_KERNEL.get(str(name), "integer-hash")) for name in set(data.family)}
    pairs = zip(rest, data.source, data.family, strict=True)
    return np.array([of_source[s] if other else of_family[f] for other, s, f in pairs]), names


def scores(folder: Path, recipe: Recipe) -> pa.Table:
    """The scores of every kernel of the tables of a folder.

    Parameters
    ----------
    folder : Path
        Kernel mix tables.
    recipe : Recipe
        Of every fit.

    Returns
    -------
    pa.Table
        One row per kernel, in the order of the tables: ``table``, ``row``, what names the kernel, ``fold`` (the family
        held out with it), and ``p_hash``, ``p_mining``, ``novelty`` in sample and, ending in ``_out``, from a network
        that had not seen the family or the source.
    """
    torch.use_deterministic_algorithms(True)
    data = load(folder)
    fold, names = folds_by_job_family(data, recipe.seed)
    groups, far = cross_validate(data, fold, recipe, _log.info)
    fitted = calibrate(data, groups, data.usable & ~data.own)
    columns = _names(folder, data) | {"fold": pa.array(np.array(names)[fold])}
    columns |= _columns(*_in_sample(data, recipe), fitted, "") | _columns(groups, far, fitted, "_out")
    return pa.table(columns)


def _in_sample(data: Dataset, recipe: Recipe) -> tuple[F32, F32]:
    """Log-probabilities and novelty from one network that saw every usable row."""
    network = fit(data, np.flatnonzero(data.usable), *family_groups(data), recipe)
    with torch.no_grad():
        groups, _, far = network(torch.from_numpy(features_of_counts(data.counts)))
    return groups.numpy(), far.numpy()


def _columns(groups: F32, far: F32, fitted: Calibration, ending: str) -> dict[str, pa.Array]:
    hashing, mining, _ = own_log_odds(groups, fitted)
    values = {"p_hash": sigmoid(hashing), "p_mining": sigmoid(mining), "novelty": far.astype(np.float64)}
    return {f"{name}{ending}": pa.array(np.round(value, 5).astype(np.float32)) for name, value in values.items()}


def _names(folder: Path, data: Dataset) -> dict[str, pa.Array]:
    sizes = [(path.name, pq.read_metadata(path).num_rows) for path in tables(folder)]
    text = {name: pa.array(data.table.text[name].astype(str)) for name in ("source", "family", "role", "code_sha1")}
    return {
        "table": pa.array(np.repeat([name for name, _ in sizes], [rows for _, rows in sizes])).dictionary_encode(),
        "row": pa.array(np.concatenate([np.arange(rows) for _, rows in sizes]).astype(np.int32)),
        **{name: column if name == "code_sha1" else column.dictionary_encode() for name, column in text.items()},
        "arch": pa.array(data.table.scalars["arch"].astype(np.int16)),
    }


def main(arguments: list[str]) -> None:
    """Score the tables of a folder into a Parquet file."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder, output = (Path(argument) for argument in arguments)
    torch.set_num_threads(1)
    output.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(scores(folder, Recipe()), output, compression="zstd", compression_level=9)


if __name__ == "__main__":
    main(sys.argv[1:])
