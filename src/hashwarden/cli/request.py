"""What one call of ``hashwarden scan`` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import final

from hashwarden.kernels.sass.limits import Limits
from hashwarden.serve.scan.levels import FailOn

__all__ = ["Format", "Request"]


class Format(StrEnum):
    """Forms of the report."""

    TABLE = "table"
    JSON = "json"
    SARIF = "sarif"


@final
@dataclass(frozen=True, slots=True)
class Request:
    """The flags of ``hashwarden scan``, read; ``--help`` says what each means."""

    targets: tuple[str, ...]
    pids: tuple[int, ...] = ()
    form: Format = Format.TABLE
    output: Path | None = None
    explain: bool = False
    kernels: bool = False
    fail_on: FailOn = FailOn.MINING
    jobs: int | None = None
    cache: bool = True
    quiet: bool = False
    limits: Limits = Limits()  # noqa: RUF009  frozen
