"""What the agent says: one JSON object a line, or text for people; names of jobs only if the site wants them there."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from hashwarden.errors import MissingExtraError
from hashwarden.serve.scan.text import printable

if TYPE_CHECKING:
    from hashwarden.serve.agent.config import LogSection

__all__ = ["LOGGER", "said", "set_up"]

LOGGER: Final = logging.getLogger("hashwarden.agent")

_TEXT: Final = 500
"""Characters of one value at most: some of them were chosen by the owner of a job."""

_OWN: Final = frozenset({"job", "user", "account", "name", "namespace", "pod", "container", "tenant"})


class _Text(logging.Formatter):
    """``2026-11-22T10:00:00Z info  message key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{key}={value}" for key, value in getattr(record, "fields", {}).items())
        when = self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z")
        return f"{when} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip()


def _json() -> logging.Formatter:
    try:
        from pythonjsonlogger.json import JsonFormatter
    except ImportError:
        raise MissingExtraError.of("python-json-logger", "node") from None

    class _Json(JsonFormatter):
        def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
            super().add_fields(log_data, record, message_dict)
            log_data.pop("fields", None)
            log_data.update(getattr(record, "fields", {}))

    return _Json("{asctime}{levelname}{message}", style="{", json_ensure_ascii=True,
                 rename_fields={"asctime": "time", "levelname": "level"}, datefmt="%Y-%m-%dT%H:%M:%S%z")  # fmt: skip


class _Filter(logging.Filter):
    """Makes values printable and short, and leaves out what names a job or its owner, if so wanted."""

    def __init__(self, jobs: bool) -> None:
        super().__init__()
        self._jobs = jobs

    def filter(self, record: logging.LogRecord) -> bool:
        fields: dict[str, Any] = getattr(record, "fields", {})
        record.fields = {key: _shown(value) for key, value in fields.items() if self._jobs or key not in _OWN}
        return True


def _shown(value: object) -> object:
    if isinstance(value, bool | int | float) or value is None:
        return value
    return printable(str(value)[:_TEXT])


def set_up(section: LogSection, stream: TextIO | None = None) -> None:
    """Log to a stream from now on; what was set up before is replaced.

    Raises
    ------
    MissingExtraError
        If JSON is wanted and the package for it is not installed.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_json() if section.format == "json" else _Text())
    handler.addFilter(_Filter(section.jobs))
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(section.level.upper())
    LOGGER.propagate = False


def said(level: str, message: str, **fields: object) -> None:
    """Say something, with fields by name; the message is a constant, so that it can be searched for."""
    LOGGER.log(logging.getLevelNamesMapping()[level.upper()], message, extra={"fields": fields})
