"""What a recorded run is called: from the words of the workloads to the classes and families of the job model.

The workloads themselves are another part of the house, which nothing on a node imports; a test holds this table
against their registry, so that a new family of workloads cannot be recorded before someone has said what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hashwarden.errors import UsageError
from hashwarden.model.job.taxonomy import CLASSES, MINING_FAMILIES, STRATEGIES

__all__ = ["FAMILY_OF", "checked_label", "labels_of"]

FAMILY_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sha256d": "integer-hash",
        "sha512": "integer-hash",
        "keccak": "integer-hash",
        "blake2b": "integer-hash",
        "blake3": "integer-hash",
        "kheavyhash": "heavyhash",
        "ethash": "ethash",
        "progpow": "progpow",
        "autolykos": "autolykos2",
        "octopus": "octopus",
        "fishhash": "fishhash",
        "equihash": "equihash",
        "cuckoo": "cuckoo",
        "scratchpad-aes": "scratchpad",
        "scratchpad-chacha": "scratchpad",
        "scrypt": "scratchpad",
        "verthash": "scratchpad",  # random reads of a table that every hash shares; the kernel scores count it so too
        "tilepow": "matmul-pow",
        "btx-matmul": "matmul-pow",  # over a field of 31 bits: the same proof, on integer lanes
        "poseidon2-pow": "field-pow",
    }
)
"""From the family of a mining workload to the family that is left out together. What does not mine keeps its own."""


def labels_of(label: str, family: str, evasion: str) -> tuple[str, str, str]:
    """Label, family and strategy of a run of a workload.

    Parameters
    ----------
    label, family : str
        As the workload says.
    evasion : str
        What hid it, or empty.

    Raises
    ------
    UsageError
        If the taxonomy has no place for it.
    """
    if label not in CLASSES or (label == "mining" and family not in FAMILY_OF):
        expected = "a family of hashwarden.serve.labels.FAMILY_OF" if label == "mining" else ", ".join(CLASSES)
        raise UsageError(f"the workload family {family!r} labelled {label!r}", expected, "Add it to the table.")
    strategy = evasion or "plain"
    if strategy not in STRATEGIES:
        raise UsageError(f"the evasion {evasion!r}", "one of " + ", ".join(STRATEGIES), "Add it to the taxonomy.")
    return label, FAMILY_OF[family] if label == "mining" else family, strategy


def checked_label(label: str, family: str, strategy: str, labelled_by: str) -> None:
    """Refuse a label that an operator cannot mean.

    Raises
    ------
    UsageError
        If the words are not of the taxonomy, or nobody stands for them.
    """
    if not label:
        if family or labelled_by or strategy != "plain":
            raise UsageError("a family, strategy or labeller without a label", "all or none", "Add --label.")
        return
    if label not in CLASSES:
        raise UsageError(f"the label {label!r}", "one of " + ", ".join(CLASSES), "Choose one of them.")
    if strategy not in STRATEGIES:
        raise UsageError(f"the strategy {strategy!r}", "one of " + ", ".join(STRATEGIES), "Choose one of them.")
    if label == "mining" and family not in MINING_FAMILIES:
        raise UsageError(f"the mining family {family!r}", "one of " + ", ".join(MINING_FAMILIES), "Add --family.")
    kind, colon, name = labelled_by.partition(":")
    if kind != "operator" or not colon or not name.strip():
        remedy = "Say who knows it, for example --labelled-by operator:jane. Training takes no other label."
        raise UsageError(f"a label by {labelled_by!r}", "operator:NAME", remedy)
