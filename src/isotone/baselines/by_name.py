"""Statistical baselines: what a tone curve has to beat.

A normalizer has a `name`, learns from reference images in `fit` and returns a new image from `transform`.
All but `Clahe` only rewrite the image's tone table. A baseline of your own is a class like this one, added to
`BASELINES`:

>>> class Gamma:
...     name = "gamma"
...
...     def fit(self, reference):
...         return self
...
...     def transform(self, radiograph):
...         return radiograph.map_tone(lambda x: x**0.5)
>>> BASELINES["gamma"] = Gamma
>>> baseline("gamma").name
'gamma'
>>> del BASELINES["gamma"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from isotone.baselines.baseline import Baseline, read_body
from isotone.baselines.clahe import Clahe
from isotone.baselines.constant_curve import ConstantCurve
from isotone.baselines.histogram_matching import HistogramMatching
from isotone.baselines.nyul import Nyul
from isotone.baselines.rescaling import DisplayWindow, FullRange, MinMax, Percentile, ZScore
from isotone.errors import ModelError, UsageError
from isotone.imaging.radiograph import Radiograph


class Normalizer(Protocol):
    """What every baseline does."""

    name: str

    def fit(self, reference: Iterable[Radiograph]) -> Self:
        """Learn from images of the reference domain."""

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """Return the normalized image."""


@runtime_checkable
class SourceNormalizer(Normalizer, Protocol):
    """A baseline that learns from images of the scanners to be normalized, too."""

    def fit_source(self, source: Iterable[Radiograph]) -> Self:
        """Learn from images of the other domains, of each apart."""


BASELINES: dict[str, Callable[[], Normalizer]] = {
    "full-range": FullRange,
    "display-window": DisplayWindow,
    "min-max": MinMax,
    "percentile": Percentile,
    "z-score": ZScore,
    "histogram-matching": HistogramMatching,
    "histogram-matching-all-pixels": partial(HistogramMatching, foreground=False),
    "constant-curve": ConstantCurve,
    "nyul": Nyul,
    "clahe": Clahe,
}
"""The names that ``evaluate --baseline`` takes."""


def baseline(name: str) -> Normalizer:
    """An unfitted baseline by its name.

    Raises
    ------
    UsageError
        No such baseline.
    """
    if name not in BASELINES:
        raise UsageError(f"no baseline {name!r}", next_step=f"Name one of: {', '.join(BASELINES)}, all.")
    return BASELINES[name]()


def load_baseline(folder: str | Path) -> Normalizer:
    """The fitted baseline that its `save` wrote.

    Raises
    ------
    ModelError
        E_MODEL: damaged, altered, foreign or of a later schema.
    UsageError
        E_READ: no such folder.
    """
    build = BASELINES.get(str(read_body(folder).get("name")))
    known = None if build is None else build()
    if not isinstance(known, Baseline):
        raise ModelError("E_MODEL", "holds a baseline that is not known here", file=folder)
    return type(known).load(folder)


__all__ = [
    "BASELINES",
    "Clahe",
    "ConstantCurve",
    "DisplayWindow",
    "FullRange",
    "HistogramMatching",
    "MinMax",
    "Normalizer",
    "Nyul",
    "Percentile",
    "SourceNormalizer",
    "ZScore",
    "baseline",
    "load_baseline",
]
