"""Pages that lie elsewhere in the repository and are linked from here: they become pages of the site.

Pages are written to be read in the repository, where ``../SECURITY.md`` is a link like any other. For the site such
files are copied to ``_outside`` and the links are turned there; files that are no pages are offered for download.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

__all__ = ["setup"]

LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=[)#])")
FOLDER = "_outside"


def _source_of(page: Path, docs: Path) -> Path:
    """Where a page lies in the repository."""
    inner = page.relative_to(docs)
    return docs.parent / inner.relative_to(FOLDER) if inner.parts[0] == FOLDER else page


def _turned(text: str, source: Path, page: Path, docs: Path) -> tuple[str, set[Path]]:
    """The text with links that hold from `page`, and the files that it needs there."""
    needed: set[Path] = set()

    def turn(match: re.Match[str]) -> str:
        target = match[1]
        if "://" in target or target.startswith("mailto:"):
            return target
        there = (source.parent / target).resolve()
        if not there.is_relative_to(docs.parent):
            raise ExtensionError(f"{source}: {target} leads out of the repository")
        inside = there.is_relative_to(docs)
        place = there if inside else docs / FOLDER / there.relative_to(docs.parent)
        if not inside and there.is_file():
            needed.add(there)
        return os.path.relpath(place, page.parent)

    return LINK.sub(turn, text), needed


def _read(app: Sphinx, name: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(name))
    content[0], _ = _turned(content[0], _source_of(page, Path(app.srcdir)), page, Path(app.srcdir))
    if name.startswith(FOLDER):
        content[0] = f"---\norphan: true\n---\n{content[0]}"  # reached by links alone


def _gather(app: Sphinx) -> None:
    """Copy what is linked, and what those pages link in turn."""
    docs = Path(app.srcdir)
    shutil.rmtree(docs / FOLDER, ignore_errors=True)
    waiting, done = [page for page in docs.rglob("*.md") if "_build" not in page.parts], set()
    while waiting:
        source = waiting.pop()
        page = source if source.is_relative_to(docs) else docs / FOLDER / source.relative_to(docs.parent)
        for target in _turned(source.read_text(), source, page, docs)[1] - done:
            done.add(target)
            copy = docs / FOLDER / target.relative_to(docs.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target, copy)
            if target.suffix == ".md":
                waiting.append(target)


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.connect("builder-inited", _gather, priority=100)
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
