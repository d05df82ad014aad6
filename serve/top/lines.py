"""Lines on the screen, with a cursor to choose one: only those that changed are sent to the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

__all__ = ["Choices", "Lines"]

_CURSOR: Final = "reverse"
_NO_BARS: Final = re.compile("[^▁▂▃▄▅▆▇█]+")
"""A bar that is reversed would say the contrary."""


class Lines(Widget, can_focus=False):
    """Lines of text; those that do not fit can be scrolled to."""

    DEFAULT_CSS = "Lines { height: auto; width: 100%; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._texts: Sequence[Text] = []
        self._strips: list[Strip] = []
        self.top = 0

    def show(self, texts: Sequence[Text], *, height: int | None = None) -> None:
        """Show these; as high as they are, or as is said."""
        self._texts = list(texts)
        wanted = len(self._texts) if height is None else height
        if self.styles.height is None or self.styles.height.value != wanted:
            self.styles.height = wanted
        self._draw()

    def render_line(self, y: int) -> Strip:
        """A line, for Textual."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)

    def on_resize(self) -> None:
        """Draw anew."""
        self._strips = []
        self._draw()
        self.refresh()

    @property
    def room(self) -> int:
        """Lines of text that there is room for."""
        return max(self.size.height, 1)

    def scroll_lines(self, count: int) -> None:
        """Down by so many lines, up if it is negative."""
        self.top = max(0, min(self.top + count, len(self._texts) - self.room))
        self._draw()

    def _visible(self) -> list[Text]:
        self.top = max(0, min(self.top, len(self._texts) - self.room))
        return list(self._texts[self.top : self.top + self.room])

    def _draw(self) -> None:
        width, old = self.size.width, self._strips
        new = [_strip(text, width, self) for text in self._visible()]
        self._strips = new
        for y in range(max(len(old), len(new))):
            if y >= len(old) or y >= len(new) or list(old[y]) != list(new[y]):
                self.refresh(Region(0, y, width, 1))


class Choices(Lines):
    """A heading, and rows of which one is chosen; the choice follows its row when the order changes."""

    DEFAULT_CSS = "Choices { height: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._heading = Text()
        self._keys: list[object] = []
        self.cursor = 0

    @property
    def chosen(self) -> object | None:
        """Key of the row under the cursor; None if there is none."""
        return self._keys[self.cursor] if self.cursor < len(self._keys) else None

    @property
    def place(self) -> str:
        """``3/120``."""
        return f"{min(self.cursor + 1, len(self._keys))}/{len(self._keys)}"

    @property
    def room(self) -> int:
        """Rows that there is room for."""
        return max(self.size.height - 1, 1)

    def choose_from(self, heading: Text, keys: Sequence[object], texts: Sequence[Text]) -> None:
        """Show these rows; of `texts` only those that can be seen are asked for."""
        before = self.chosen
        self._heading, self._keys, self._texts = heading, list(keys), texts
        self.cursor = self._keys.index(before) if before in self._keys else min(self.cursor, max(len(keys) - 1, 0))
        self._draw()

    def move(self, count: int) -> None:
        """The cursor, by so many rows."""
        self.cursor = max(0, min(self.cursor + count, len(self._keys) - 1))
        self._draw()

    def go(self, key: object) -> None:
        """The cursor, to a row."""
        if key in self._keys:
            self.cursor = self._keys.index(key)
            self._draw()

    def _visible(self) -> list[Text]:
        room = self.room
        self.top = min(self.top, max(len(self._texts) - room, 0), self.cursor)
        self.top = max(self.top, self.cursor - room + 1, 0)
        shown = []
        for place, text in enumerate(self._texts[self.top : self.top + room], self.top):
            if place == self.cursor:
                text = text.copy()  # noqa: PLW2901
                for part in _NO_BARS.finditer(text.plain):
                    text.stylize(_CURSOR, part.start(), part.end())
            shown.append(text)
        return [self._heading, *shown]


def _strip(text: Text, width: int, widget: Widget) -> Strip:
    line = text.copy()
    line.end = ""
    line.stylize_before(text.style)  # rich leaves the style of a text out that has no other
    return Strip(line.render(widget.app.console)).simplify().adjust_cell_length(width)
