"""Typed settings: flags over environment over a TOML file over defaults; unknown keys are refused.

The environment spells a key ``PREFIX__SECTION__KEY``; lists and tables are JSON there.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hashwarden.errors import MissingExtraError, UsageError

__all__ = ["MOST_BYTES", "Section", "load_settings"]

MOST_BYTES: Final = 1 << 20

S = TypeVar("S", bound=BaseModel)


class Section(BaseModel):
    """A table of a file of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def load_settings(
    kind: type[S], path: Path | None, prefix: str, flags: Mapping[str, Any] | None = None, ask: str = "--help"
) -> S:
    """Read settings.

    Parameters
    ----------
    kind : type
        A `Section` of sections.
    path : Path, optional
        No file if None.
    prefix : str
        Of the names in the environment, with its ``__``.
    flags : mapping, optional
        What the command line says, by the names of `kind`.
    ask : str
        What tells all keys, for the error.

    Raises
    ------
    UsageError
        If the file cannot be read, is no TOML, or a key or value is not known.
    """
    merged = _over(_over({} if path is None else _read(path), _environment(kind, prefix)), flags or {})
    try:
        return kind(**merged)
    except ValidationError as error:
        raise _refused(kind, error, str(path or ""), ask) from None


def _environment(kind: type[S], prefix: str) -> dict[str, Any]:
    """What the environment says; where it says nothing, the library that reads it (40 ms, 3 MB) is not loaded."""
    if not any(name.upper().startswith(prefix) for name in os.environ):
        return {}
    try:
        from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError
    except ImportError:
        raise MissingExtraError.of("pydantic-settings", "node") from None
    both: Any = type("Environment", (BaseSettings, kind), {
        "model_config": SettingsConfigDict(env_prefix=prefix, env_nested_delimiter="__")})  # fmt: skip
    try:
        return EnvSettingsSource(both)()
    except SettingsError as error:
        raise UsageError(str(error), "JSON for lists and tables in the environment", "Correct it.") from None


def _over(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """`low` with what `high` says put over it, section by section."""
    merged = dict(low)
    for name, value in high.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _over(merged[name], value) if both else value
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise UsageError("more than 1 MiB", "a configuration", "Name another file.", where=str(path))
        return tomllib.loads(raw.decode())
    except OSError as error:
        raise UsageError(
            f"it cannot be read ({error.strerror})", "a TOML file", "Correct --config.", where=str(path)
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(str(error), "TOML", "Correct it.", where=str(path)) from None


def _refused(kind: type[BaseModel], error: ValidationError, where: str, ask: str) -> UsageError:
    """The first thing that is wrong; its place, and what was probably meant."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known(kind, first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, 1)
        remedy = f"Did you mean {near[0]!r}?" if near else f"See: {ask}"
        return UsageError(f"unknown key {place!r}", "one of " + ", ".join(known), remedy, where=where)
    value = repr(first["input"])[:80]
    return UsageError(f"{place} = {value}", first["msg"], "Correct it.", where=where)


def _known(kind: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    fields = kind.model_fields
    for part in place:
        fields = getattr(fields[str(part)].annotation, "model_fields", {})
    return sorted(fields)
