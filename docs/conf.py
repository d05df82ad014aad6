"""How Sphinx makes the site from these pages: ``make site``, then build/site/index.html. It needs no network."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_site"))

from hashwarden.version import __version__

project = "hashwarden"
version = release = __version__
copyright = "the hashwarden authors"  # noqa: A001  Sphinx's name for it

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "commands",  # _site/commands.py: the program's commands and flags
    "outside",  # _site/outside.py: pages that lie elsewhere in the repository
]
exclude_patterns = ["_site/*.py", "_build"]
templates_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # fields of data classes are listed once
python_use_unqualified_type_names = True
autodoc_type_aliases = {name: name for name in ("Array", "F32", "F64", "I64", "Bools")}
smartquotes = False  # -- begins a flag

html_theme = "furo"
html_title = f"hashwarden {__version__}"
html_static_path: list[str] = []
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {"navigation_with_keys": True}

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

suppress_warnings = ["myst.header"]  # pages made by programs begin where it suits their text
