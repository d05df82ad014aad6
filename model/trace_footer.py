"""The entry of a trace's Parquet footer: schema version, units of the channels, provenance of each run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticSerializationError

from hashwarden.errors import DataError
from hashwarden.model.channels import CHANNELS, INDEX, schema_hash
from hashwarden.model.trace import KEY, SCHEMA, RunInfo

__all__ = ["MAX_JSON", "Footer", "footer_json", "parse_footer"]

MAX_JSON: Final = 16 * 2**20
"""Bytes of the JSON: provenance of some 30,000 runs."""

_ANEW: Final = "Write it with hashwarden; DuckDB and pandas leave the footer out of what they write."


@final
class Footer(BaseModel):
    """What lies under `hashwarden.model.trace.KEY`.

    Attributes
    ----------
    version : int
        ``schema`` in JSON.
    channels : str
        `schema_hash` of the writer's table; another one is no fault, as tables grow.
    units : dict of str to str
        Unit of each channel that is a column.
    runs : dict of str to RunInfo
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(alias="schema")
    channels: str = Field(max_length=64)
    units: dict[str, str]
    runs: dict[str, RunInfo]


class _Version(BaseModel):
    """The part that every version has."""

    version: int = Field(alias="schema")


def footer_json(columns: tuple[str, ...], runs: Mapping[str, RunInfo], where: str) -> bytes:
    """The entry as JSON.

    Raises
    ------
    DataError
        If the provenance cannot be told in JSON, or is too long.
    """
    units = {name: CHANNELS[INDEX[name]].unit for name in columns}
    footer = Footer(schema=SCHEMA, channels=schema_hash(), units=units, runs=dict(runs))
    try:
        text = footer.model_dump_json(by_alias=True).encode()
    except (PydanticSerializationError, ValueError) as error:
        got = f"provenance that is no JSON ({str(error)[:100]})"
        raise DataError(got, "numbers, text, lists and dicts", "Look at RunInfo.parameters.", where=where) from error
    if len(text) > MAX_JSON:
        got = f"{len(text):,} bytes of provenance of {len(runs):,} runs"
        raise DataError(got, f"up to {MAX_JSON:,}", "Write several files.", where=where)
    return text


def parse_footer(metadata: Mapping[bytes, bytes] | None, where: str) -> Footer:
    """Read the entry.

    Parameters
    ----------
    metadata : mapping of bytes to bytes, or None
        The key-value pairs of the Parquet file.
    where : str

    Raises
    ------
    DataError
        If it is missing, too long, of another version, or of another shape or another unit.
    """
    text = (metadata or {}).get(KEY.encode())
    if text is None:
        raise DataError(f"no entry {KEY!r} in the footer", "a trace with its provenance", _ANEW, where=where)
    if len(text) > MAX_JSON:
        raise DataError(
            f"a footer entry of {len(text):,} bytes", f"up to {MAX_JSON:,}", "Do not trust it.", where=where
        )
    try:
        version = _Version.model_validate_json(text).version
        if version != SCHEMA:
            remedy = "Read it with the version of hashwarden that wrote it."
            raise DataError(f"trace schema {version}", f"schema {SCHEMA}", remedy, where=where)
        footer = Footer.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"]) or "its whole"
        raise DataError(
            f"a footer that breaks its schema ({place}: {first['msg'][:100]})",
            "the provenance of each run", _ANEW, where=where,
        ) from error  # fmt: skip
    _check_units(footer, where)
    return footer


def _check_units(footer: Footer, where: str) -> None:
    for name, unit in footer.units.items():
        expected = CHANNELS[INDEX[name]].unit if name in INDEX else unit
        if unit != expected:
            remedy = "The channel changed its unit: record it again, or convert it."
            raise DataError(f"{name} in {unit[:20]!r}", f"it in {expected!r}", remedy, where=f"{where}!{name}")
