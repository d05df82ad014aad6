"""A page as a PDF: tagged, with the fonts in it, the same bytes for the same report. Nothing is fetched for it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from hashwarden.errors import MissingExtraError

__all__ = ["NATIVE", "pdf_of"]

NATIVE: Final = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
"""What WeasyPrint loads from the system, as Debian calls it."""

_FONTS: Final[Mapping[tuple[str, str, str], str]] = MappingProxyType(
    {
        ("Report Sans", "normal", "normal"): "DejaVuSans.ttf",
        ("Report Sans", "bold", "normal"): "DejaVuSans-Bold.ttf",
        ("Report Sans", "normal", "italic"): "DejaVuSans-Oblique.ttf",
        ("Report Mono", "normal", "normal"): "DejaVuSansMono.ttf",
        ("Report Serif", "normal", "normal"): "STIXGeneral.ttf",
        ("Report Serif", "bold", "normal"): "STIXGeneralBol.ttf",
        ("Report Serif", "normal", "italic"): "STIXGeneralItalic.ttf",
    }
)
"""Brought along by matplotlib, under free licences: a node need not have any."""

_SCHEME: Final = "report-font:"
_FACES: Final = "\n".join(
    f"@font-face {{ font-family: '{family}'; font-weight: {weight}; font-style: {style}; src: url({_SCHEME}{name}) }}"
    for (family, weight, style), name in _FONTS.items()
)


def pdf_of(html: str) -> bytes:
    """Lay out a page.

    Parameters
    ----------
    html : str
        As `hashwarden.serve.reporting.page.page` makes it for paper.

    Raises
    ------
    MissingExtraError
        If matplotlib, WeasyPrint, or what that needs of the system, is not installed.
    """
    weasyprint, folder = _library(), _font_folder()
    from weasyprint.text.fonts import FontConfiguration

    logging.getLogger("weasyprint").setLevel(logging.CRITICAL)
    logging.getLogger("fontTools").setLevel(logging.CRITICAL)
    fonts, fetcher = FontConfiguration(), _fetcher(weasyprint, folder)
    sheet = weasyprint.CSS(string=_FACES, font_config=fonts, url_fetcher=fetcher)
    page = weasyprint.HTML(string=html, url_fetcher=fetcher)
    identifier = hashlib.sha256(html.encode("utf-8", "backslashreplace")).digest()[:16]
    found: bytes = page.write_pdf(
        stylesheets=[sheet], font_config=fonts, pdf_variant="pdf/ua-1", pdf_identifier=identifier
    )  # fmt: skip
    return found


def _fetcher(weasyprint: Any, folder: Path) -> Any:  # noqa: ANN401  it has no types
    """What gives a page its fonts and what is in it, and refuses all else."""
    known = frozenset(_FONTS.values())

    class Refusing(weasyprint.urls.URLFetcher):  # type: ignore[misc]  # its base has no types
        """Takes data URIs, and the names of our own fonts."""

        def fetch(self, url: str, headers: Any = None) -> Any:  # noqa: ANN401
            name = url.removeprefix(_SCHEME)
            if url.startswith(_SCHEME) and name in known:
                return weasyprint.urls.URLFetcherResponse(url, (folder / name).read_bytes())
            if not url.lower().startswith("data:"):
                message = "nothing but what is in the page is loaded"
                raise ValueError(message)
            return super().fetch(url, headers)

    return Refusing(allowed_protocols=["data"])


def _font_folder() -> Path:
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtraError.of("matplotlib", "report") from None
    return Path(mpl.get_data_path()) / "fonts" / "ttf"


def _library() -> Any:  # noqa: ANN401  it has no types
    try:
        import weasyprint
    except ImportError:
        raise MissingExtraError.of("weasyprint", "report") from None
    except OSError as error:
        raise MissingExtraError(
            f"WeasyPrint finds no {str(error).partition(':')[0]}", "Pango on this machine",
            f"Install it (Debian: apt install {NATIVE}), or write HTML: --output report.html",
        ) from error  # fmt: skip
    return weasyprint
