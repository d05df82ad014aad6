"""Pictures without a screen: SVG that stands in a page by itself, the same bytes for the same numbers.

Letters are drawn as outlines, so that a picture looks the same everywhere. Colours are those of Okabe and Ito, which
people who see fewer colours tell apart; in a page they follow its light or dark mode.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from html import escape
from types import MappingProxyType
from typing import Any, Final

from hashwarden.errors import MissingExtraError
from hashwarden.serve.scan.text import shorten

__all__ = [
    "BAND", "CLASS_COLOURS", "INK", "MUTED", "PALETTE", "RULE", "STATE_COLOURS", "figure", "moment", "plain", "svg_of",
    "themed", "time_axis",
]  # fmt: skip

INK: Final = "#1b1b1b"
MUTED: Final = "#5f6368"
RULE: Final = "#d9d9d6"
BAND: Final = "#faf0d3"

CLASS_COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mining": "#d55e00", "hash-other": "#e69f00", "training": "#0072b2", "inference": "#56b4e9",
        "hpc-other": "#009e73", "idle": "#9a9a9a", "unknown": "#cc79a7",
    }
)  # fmt: skip

STATE_COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "abstain": "#c9c9c9", "clear": "#009e73", "watching": "#f0e442", "suspect": "#e69f00",
        "confirmed": "#d55e00",
    }
)  # fmt: skip

PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

_VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {INK: "--ink", MUTED: "--muted", RULE: "--rule", BAND: "--band"}
)
"""What changes in the dark; the other colours are seen on both."""

_SETTINGS: Final = {
    "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 8.5, "axes.edgecolor": RULE,
    "axes.labelcolor": INK, "axes.titlesize": 9, "axes.titlecolor": INK, "axes.grid": False, "text.color": INK,
    "xtick.color": MUTED, "ytick.color": MUTED, "grid.color": RULE, "grid.linewidth": 0.6, "axes.spines.top": False,
    "axes.spines.right": False, "axes.axisbelow": True, "legend.frameon": False, "axes.linewidth": 0.8,
    "lines.solid_capstyle": "butt", "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a kernel may be called $\\frac
}  # fmt: skip


@contextmanager
def figure(width: float, height: float, name: str) -> Iterator[Any]:
    """A figure in inches, while its settings hold; `name` makes what is in it different from other pictures.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError.of("matplotlib", "report") from None
    settings: dict[Any, Any] = {**mpl.rcParamsDefault, **_SETTINGS, "svg.hashsalt": name}
    with mpl.rc_context(settings):
        yield Figure(figsize=(width, height), layout="constrained")


def svg_of(drawn: Any, name: str, alt: str) -> str:  # noqa: ANN401  matplotlib has no types
    """A figure as SVG for a page; to be called while its settings hold.

    Parameters
    ----------
    drawn : matplotlib Figure
    name : str
        Letters; begins the name of everything in it.
    alt : str
        What it shows, for those who cannot see it.
    """
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Type": None,
                                                                    "Format": None})  # fmt: skip
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    box = re.search(r'viewBox="([^"]*)"', text)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box[1] if box else ""}" role="img" aria-label="{escape(alt)}" '
        'style="stroke-linejoin: round; stroke-linecap: butt">'
    )
    return head + text[text.index(">") + 1 :].strip()


def themed(svg: str) -> str:
    """The same with colours that follow the page."""
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg


def plain(text: str, width: int) -> str:
    """A name that any font can draw, not too long."""
    return shorten(text.encode("ascii", "backslashreplace").decode(), width)


def moment(unix_s: float) -> datetime:
    """A time as matplotlib takes it."""
    return datetime.fromtimestamp(min(max(unix_s, 0.0), 4e9), UTC)


def time_axis(axes: Any) -> None:  # noqa: ANN401  matplotlib has no types
    """Times below a picture, UTC, without saying the same twice."""
    from matplotlib import dates as found

    dates: Any = found  # partly typed
    locator = dates.AutoDateLocator(tz=UTC, minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=UTC))
