"""isotone: one transparent, monotone tone curve from one vendor's X-ray images to another's.

The public names load on first use (PEP 562), so that reading and applying need no torch.
"""

from __future__ import annotations

from isotone._version import __version__

TYPE_CHECKING = False  # for type checkers it is true; typing itself would double the time that this import takes
if TYPE_CHECKING:
    from typing import Any

    from isotone.baselines.by_name import DisplayWindow, FullRange, HistogramMatching, Nyul, ZScore
    from isotone.curves.tone_curve import Certificate, ToneCurve
    from isotone.data.manifests.manifest import Manifest
    from isotone.data.phantom.make_phantom import make_phantom
    from isotone.deployment.apply import apply
    from isotone.deployment.check import check
    from isotone.deployment.encoding import Encoding
    from isotone.deployment.restore import restore
    from isotone.errors import IsotoneError
    from isotone.estimation.settings import ScannerSettings
    from isotone.evaluation.audit import audit
    from isotone.evaluation.compare import compare
    from isotone.evaluation.evaluate import evaluate
    from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
    from isotone.imaging.inspect import inspect
    from isotone.imaging.radiograph import Radiograph
    from isotone.imaging.read import read_radiograph
    from isotone.networks.classifier import Classifier
    from isotone.networks.gdce import GDCE
    from isotone.networks.training.fit_gdce import GDCESettings
    from isotone.networks.training.train import TrainSettings, train_classifier

_HOME = {
    "Certificate": "curves.tone_curve",
    "Classifier": "networks.classifier",
    "DisplayWindow": "baselines.by_name",
    "Encoding": "deployment.encoding",
    "FullRange": "baselines.by_name",
    "GDCE": "networks.gdce",
    "GDCESettings": "networks.training.fit_gdce",
    "HistogramMatching": "baselines.by_name",
    "IsotoneError": "errors",
    "Manifest": "data.manifests.manifest",
    "Nyul": "baselines.by_name",
    "Radiograph": "imaging.radiograph",
    "ScannerSettings": "estimation.settings",
    "ToneCurve": "curves.tone_curve",
    "ToneCurveHarmonizer": "harmonizer.harmonizer",
    "TrainSettings": "networks.training.train",
    "ZScore": "baselines.by_name",
    "apply": "deployment.apply",
    "audit": "evaluation.audit",
    "check": "deployment.check",
    "compare": "evaluation.compare",
    "evaluate": "evaluation.evaluate",
    "inspect": "imaging.inspect",
    "make_phantom": "data.phantom.make_phantom",
    "read_radiograph": "imaging.read",
    "restore": "deployment.restore",
    "train_classifier": "networks.training.train",
}

__all__ = [
    "GDCE",
    "Certificate",
    "Classifier",
    "DisplayWindow",
    "Encoding",
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
    "apply",
    "audit",
    "check",
    "compare",
    "evaluate",
    "inspect",
    "make_phantom",
    "read_radiograph",
    "restore",
    "train_classifier",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'isotone' has no attribute {name!r}")
    return getattr(_module(_HOME[name]), name)


def load_transforms() -> None:
    """Load what `ToneCurveHarmonizer.transform` takes beside arrays: its room may not import the one that has it."""
    _module("interop.dicom")


def _module(name: str) -> Any:
    from importlib import import_module

    return import_module(f"isotone.{name}")


def __dir__() -> list[str]:
    return __all__
