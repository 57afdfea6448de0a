"""isotone: one transparent, monotone tone curve from one vendor's X-ray images to another's.

The public names load on first use (PEP 562), so that reading and applying need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from isotone._version import __version__

if TYPE_CHECKING:
    from isotone.curves import Certificate, ToneCurve
    from isotone.data.cohorts.phantom import make_phantom
    from isotone.data.manifest import Manifest
    from isotone.errors import IsotoneError
    from isotone.evaluation.evaluate import evaluate
    from isotone.export.restore import restore
    from isotone.harmonizer import ToneCurveHarmonizer
    from isotone.imaging.radiograph import Radiograph
    from isotone.imaging.read import read_radiograph
    from isotone.models.classifier import Classifier
    from isotone.models.gdce import GDCE
    from isotone.normalizers import DisplayWindow, FullRange, HistogramMatching, Nyul, ZScore
    from isotone.scanner import ScannerSettings
    from isotone.training.fit_gdce import GDCESettings
    from isotone.training.train import TrainSettings, train_classifier

_HOME = {
    "Certificate": "curves",
    "Classifier": "models.classifier",
    "DisplayWindow": "normalizers",
    "FullRange": "normalizers",
    "GDCE": "models.gdce",
    "GDCESettings": "training.fit_gdce",
    "HistogramMatching": "normalizers",
    "IsotoneError": "errors",
    "Manifest": "data.manifest",
    "Nyul": "normalizers",
    "Radiograph": "imaging.radiograph",
    "ScannerSettings": "scanner",
    "ToneCurve": "curves",
    "ToneCurveHarmonizer": "harmonizer",
    "TrainSettings": "training.train",
    "ZScore": "normalizers",
    "evaluate": "evaluation.evaluate",
    "make_phantom": "data.cohorts.phantom",
    "read_radiograph": "imaging.read",
    "restore": "export.restore",
    "train_classifier": "training.train",
}

__all__ = [
    "GDCE",
    "Certificate",
    "Classifier",
    "DisplayWindow",
    "FullRange",
    "GDCESettings",
    "HistogramMatching",
    "IsotoneError",
    "Manifest",
    "Nyul",
    "Radiograph",
    "ScannerSettings",
    "ToneCurve",
    "ToneCurveHarmonizer",
    "TrainSettings",
    "ZScore",
    "__version__",
    "evaluate",
    "make_phantom",
    "read_radiograph",
    "restore",
    "train_classifier",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'isotone' has no attribute {name!r}")
    return getattr(import_module(f"isotone.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
