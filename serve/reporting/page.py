"""The page of a report: one HTML file with everything in it, no script, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from hashwarden.errors import MissingExtraError
from hashwarden.serve.reporting.case_report import CaseReport
from hashwarden.serve.reporting.drawing import themed
from hashwarden.serve.reporting.lay import CLASSES, STATES, blind_words, clock, date, duration, hours, percent, plural
from hashwarden.serve.reporting.period_report import PeriodReport

__all__ = ["page"]

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"


def page(report: CaseReport | PeriodReport, pictures: Mapping[str, str], *, paper: bool = False) -> str:
    """Render it.

    Parameters
    ----------
    report : CaseReport or PeriodReport
    pictures : mapping of str to str
        SVG by name.
    paper : bool
        For a PDF: colours as they are, fonts that are brought along, where a page has colours of the reader's mode.

    Raises
    ------
    MissingExtraError
        If Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtraError.of("jinja2", "report") from None
    found = Environment(
        loader=PackageLoader("hashwarden.serve.reporting", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.globals |= {"states": STATES, "classes": CLASSES, "policy": _POLICY}
    found.filters |= {
        "clock": clock, "date": date, "duration": duration, "percent": percent, "hours": hours, "plural": plural,
        "blind": blind_words, "amount": _amount,
    }  # fmt: skip
    drawn = {name: Markup(svg if paper else themed(svg)) for name, svg in pictures.items()}  # noqa: S704  made here
    values: dict[str, Any] = {"report": report, "pictures": drawn, "style": Markup(_style(paper=paper)),  # noqa: S704
                              "paper": paper}  # fmt: skip
    return found.get_template(f"{report.kind}.html.j2").render(values)


def _style(*, paper: bool) -> str:
    folder = files("hashwarden.serve.reporting")
    names = ("report.css", "paper.css" if paper else "screen.css")
    return "\n".join((folder / name).read_text("utf-8") for name in names)


def _amount(value: float, unit: str, high: float = 1.0) -> str:
    """A measured value with its unit, as people read it."""
    if unit == "ratio" and high <= 1:
        return f"{100 * value:.3g} %"
    words = {"mib/s": "MiB/s", "1/s": "per second", "ratio": "", "count": "", "celsius": "°C"}.get(unit, unit)
    return f"{value:,.4g} {words}".strip()
