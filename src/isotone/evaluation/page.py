"""What every page that isotone writes has in common: its templates, and the policy that lets nothing in."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(package: str) -> Environment:
    """The templates of a package; what they lack is an error, and text is escaped."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def template_text(name: str) -> str:
    """A file beside the templates of this package."""
    return files("isotone.evaluation").joinpath("templates", name).read_text(encoding="utf-8")


def content_policy(style: str, script: str | None = None) -> str:
    """Only this page's own style and script, by their hashes; data URLs for images; no request to anywhere."""
    sources = f"style-src {_hash(style)};" + (f" script-src {_hash(script)};" if script is not None else "")
    return f"default-src 'none'; {sources} img-src data:; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
