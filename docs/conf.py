"""Sphinx: MyST pages and notebooks, furo, nothing fetched."""

import os

from isotone import __version__

project = "isotone"
author = copyright = "the isotone authors"
version = release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
# CI runs the tutorials anew; elsewhere a build takes a minute less and shows the outputs that are stored.
nb_execution_mode = "force" if os.environ.get("CI") else "off"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 120  # seconds a cell; the longest takes about ten
html_theme = "furo"
html_title = f"isotone {__version__}"
exclude_patterns = ["_build"]
napoleon_google_docstring = False
autodoc_typehints = "description"
autodoc_member_order = "bysource"
suppress_warnings = ["myst.xref_missing", "ref.python"]
