"""The page of all commands and their flags, made from the program itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from sphinx.application import Sphinx

__all__ = ["setup"]

PAGE = "commands.md"


def _cell(text: object) -> str:
    return " ".join(str(text or "").split()).replace("|", "\\|").replace("<", "&lt;")


def _flags(command: Any) -> Iterator[str]:  # noqa: ANN401
    rows = [p for p in command.params if getattr(p, "help", None) is not None and not getattr(p, "hidden", False)]
    if rows:
        yield "| flag | meaning |"
        yield "| --- | --- |"
    for one in rows:
        names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
        default = "" if one.default in (None, False, (), "") else f" Default: `{_cell(one.default)}`."
        yield f"| {names} | {_cell(one.help)}{default if isinstance(one.default, str | int | float) else ''} |"


def _sections(command: Any, name: str) -> Iterator[str]:  # noqa: ANN401
    yield f"## {name}\n"
    yield inspect.cleandoc(command.help or "").replace("\b", "") + "\n"
    yield from _flags(command)
    yield ""
    for word, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _sections(inner, f"{name} {word}")


def _write(app: Sphinx) -> None:
    from hashwarden.cli.app import app as program

    root = typer.main.get_command(program)
    text = ["# Commands\n", "Made from the program; `hashwarden COMMAND --help` says the same.\n"]
    for word, command in sorted(root.commands.items()):  # type: ignore[attr-defined]
        text += _sections(command, f"hashwarden {word}")
    page, content = Path(app.srcdir) / PAGE, "\n".join(text) + "\n"
    if not page.exists() or page.read_text() != content:
        page.write_text(content)


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build; before Sphinx looks which pages there are."""
    app.connect("builder-inited", _write, priority=50)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
