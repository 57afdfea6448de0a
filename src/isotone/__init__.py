"""isotone: one transparent, monotone tone curve from one vendor's X-ray images to another's.

The public names load on first use (PEP 562), so that reading and applying need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isotone._version import __version__

if TYPE_CHECKING:
    from isotone.curves import Certificate, ToneCurve
    from isotone.errors import IsotoneError

_HOME = {
    "Certificate": "curves",
    "IsotoneError": "errors",
    "ToneCurve": "curves",
}

__all__ = ["Certificate", "IsotoneError", "ToneCurve", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'isotone' has no attribute {name!r}")
    return getattr(import_module(f"isotone.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
