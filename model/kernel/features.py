"""The documented transform from counts to what the network reads.

Square roots of shares: a share of 1 % still weighs a tenth of the whole, so that padding, which divides
all shares by the same factor, moves the input slowly. Sizes enter as logarithms. Nothing depends on the
other kernels of a batch.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashwarden.kernels.sass.constants import PRIMITIVES
from hashwarden.kernels.sass.table import MixTable
from hashwarden.model.kernel.counts import BLOCKS, SCALAR_FIELDS, Counts, block, counts_of

__all__ = ["FEATURE_NAMES", "features_of", "features_of_counts"]

_DENOMINATOR: Final = {
    "op": "all",
    "op_weighted": "weighted",
    "op_immediate": "all",
    "lut": "all",
    "lut_weighted": "weighted",
    "rotate": "all",
    "rotate_weighted": "weighted",
    "mem": "all",
    "mem_weighted": "weighted",
    "mem_width": "all",
    "flow": "own",
    "flow_inner": "own",
}
"""What a block's counts are a share of: all instructions, all weighted instructions, all pairs of the block."""

_SHAPE: Final = (
    "log_n_instr", "log_n_loops", "max_depth", "in_loop_share", "regs", "log_shared",
    "log_alu_run", "alu_run_share", "log_chain", "chain_share",
)  # fmt: skip

FEATURE_NAMES: Final[tuple[str, ...]] = (
    *(f"{name}:{column}" for name, columns in BLOCKS.items() for column in columns),
    *(f"shape:{name}" for name in _SHAPE),
    *(f"{place}:{primitive}" for place in ("const_code", "const_module") for primitive in PRIMITIVES),
)
"""Names of the features, in order; written into the model file and checked when it is loaded."""

_FIELD: Final = {name: index for index, name in enumerate(SCALAR_FIELDS)}


def features_of(table: MixTable) -> npt.NDArray[np.float32]:
    """The features of every kernel of a table.

    Parameters
    ----------
    table : MixTable

    Returns
    -------
    float32 array, shape (kernels, features)
        Columns named by `FEATURE_NAMES`; shares 0 to 1, logarithms of counts above 0.
    """
    return features_of_counts(counts_of(table))


def features_of_counts(counts: Counts) -> npt.NDArray[np.float32]:
    """The features of counts, which need not be whole numbers."""
    total = {
        "all": np.maximum(counts.scalars[:, :1], 1),
        "weighted": np.maximum(counts.counts[:, block("op_weighted")].sum(1, keepdims=True), 1),
    }
    parts = []
    for name, of in _DENOMINATOR.items():
        part = counts.counts[:, block(name)]
        parts.append(np.sqrt(part / (total[of] if of in total else np.maximum(part.sum(1, keepdims=True), 1))))
    return np.concatenate([*parts, _shape(counts.scalars), np.log1p(counts.constants)], 1).astype(np.float32)


def _shape(scalars: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Sizes and shares that are no counts of instructions, in the order of `_SHAPE`."""
    field = {name: scalars[:, index] for name, index in _FIELD.items()}
    size = np.maximum(field["n_instr"], 1)
    columns = (
        np.log1p(size),
        np.log1p(field["n_loops"]),
        np.minimum(field["max_depth"], 6),
        field["in_loop"] / size,
        field["regs"] / 255,
        np.log1p(field["shared"]) / 2,
        np.log1p(field["longest_alu_run"]),
        field["longest_alu_run"] / size,
        np.log1p(field["longest_chain"]),
        field["longest_chain"] / size,
    )
    return np.stack(columns, 1).astype(np.float32)
