"""The table of features as Markdown, for the documentation."""

from __future__ import annotations

from hashwarden.kernels.memory.features import FEATURES, Feature

__all__ = ["table"]


def table() -> str:
    """One row for each feature, in the order of the vector; the 32 single bits share one."""
    lines = ["| feature | unit | range | definition | source | every_warp | every_access | by_line |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for feature in FEATURES:
        if not feature.name.startswith("bit_entropy_") or not feature.name[-2:].isdigit():
            lines.append(_row(feature.name, feature.definition, feature))
        elif feature.name == "bit_entropy_05":
            text = "Binary entropy of bit 5, 6, ... 36 of the address, counted from the log's first 2 MiB page."
            lines.append(_row("bit_entropy_05 ... bit_entropy_36", text, feature))
    return "\n".join(lines) + "\n"


def _row(name: str, definition: str, feature: Feature) -> str:
    under = ("NaN" if one in feature.unknown else feature.note for one in ("every_warp", "every_access", "by_line"))
    ends = f"{feature.low:g} to {feature.high:g}"
    return f"| `{name}` | {feature.unit} | {ends} | {definition} | {feature.source} | " + " | ".join(under) + " |"
