"""Every image is decoded once; all methods see it while it is in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isotone.baselines.grey_levels import GreyLevels
from isotone.curves.tone_curve import quantize
from isotone.data.descriptors.foreground import regions
from isotone.data.identity import pixel_identity
from isotone.data.images import map_images
from isotone.data.manifests.manifest import Row
from isotone.data.sample import SIZE, TakeSample
from isotone.errors import IsotoneError, ModelError
from isotone.imaging.radiograph import Radiograph

Floats = NDArray[np.float64]

BATCH = 64
"""Images whose prepared inputs are held at a time, for all methods."""
BINS = 512
"""Of the histograms of foreground grey levels."""
GRID = np.linspace(0, 1, 65)
"""Grey levels at which the curve of each image is noted."""
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


class Transform(Protocol):
    """Anything that maps an image: a normalizer, a harmonizer, other people's."""

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """Return the image as the classifier should see it."""


class Unchanged:
    """Method "none": the image at full range, as the classifier was trained."""

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The same image."""
        return radiograph


@dataclass(frozen=True)
class Observation:
    """What is kept of one image.

    Attributes
    ----------
    image : str
        SHA-256 of the decoded pixels, first 16 hexadecimals.
    view : str
        "" where the header has none.
    statistics : array of shape (9,)
        Mean, standard deviation and `PERCENTILES` of all grey levels at full range.
    prepared : dict of method to uint16 array of shape (S, S)
        The classifier's input × 65535.
    histograms : dict of method to float32 array of shape (`BINS`,)
        Shares of the foreground's grey levels.
    curves : dict of method to float32 array of shape (65,)
        What the method made of the grey levels `GRID`; absent where it is no map of grey levels.
    refused : dict of method to str
        Error code.
    same : dict of method to str
        Methods that left the image as it was, to the first of them: it is classified once.
    identity : str
        `isotone.data.identity` of the image, where it was asked for; else "".
    """

    image: str
    view: str
    statistics: Floats
    prepared: dict[str, NDArray[np.uint16]] = field(default_factory=dict)
    histograms: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    curves: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    identity: str = ""


@dataclass(frozen=True)
class Observe:
    """Run all methods on an image; picklable where `prepare` and the methods are."""

    prepare: Callable[[Radiograph], NDArray[np.float32]]
    methods: Mapping[str, Transform]
    identify: bool = False

    def __call__(self, radiograph: Radiograph) -> Observation:
        """Raises RadiographError E_EMPTY_IMAGE where the image has fewer than two grey levels."""
        levels = GreyLevels.of(radiograph)
        seen = Observation(
            hashlib.sha256(radiograph.stored.tobytes()).hexdigest()[:16],
            radiograph.header.view or "",
            np.array([levels.mean, levels.std, *levels.percentiles(PERCENTILES)]),
            identity=pixel_identity(radiograph) if self.identify else "",
        )
        mask = regions(TakeSample()(radiograph)).foreground
        for name, method in self.methods.items():
            try:
                result = method.transform(radiograph)
            except IsotoneError as error:
                seen.refused[name] = error.code
                continue
            seen.histograms[name] = _histogram(result, mask)
            if result.stored is radiograph.stored and np.array_equal(result.tone, radiograph.tone):
                seen.same[name] = next(iter(seen.same), name)
            if seen.same.get(name, name) == name:
                seen.prepared[name] = quantize(self.prepare(result).clip(0, 1), 16).astype(np.uint16)
            if result.stored is radiograph.stored:
                seen.curves[name] = tone_map(radiograph, result)
        return seen


def tone_map(before: Radiograph, after: Radiograph) -> NDArray[np.float32]:
    """What became of the grey levels `GRID`, by the tone tables of an image before and after, shape (65,)."""
    order = np.argsort(before.tone, kind="stable")
    return np.interp(GRID, before.tone[order], after.tone[order]).astype(np.float32)


@dataclass(frozen=True)
class Observed:
    """The images of some rows, in their order; None where an image could not be read.

    Attributes
    ----------
    images : list of Observation or None
        Without their prepared inputs.
    refused : dict of int to IsotoneError
        By position in the rows.
    probabilities : dict of method to float64 array of shape (rows, C)
        NaN where there are none.
    features : dict of method to dict of int to float array of shape (D,)
        Of the rows asked for.
    """

    images: list[Observation | None]
    refused: dict[int, IsotoneError]
    probabilities: dict[str, Floats]
    features: dict[str, dict[int, NDArray[np.float32]]]


def observe(
    rows: Sequence[Row],
    methods: Mapping[str, Transform],
    classifier: Any,
    *,
    classifiers: Mapping[str, Mapping[str, Any]] | None = None,
    embedded: frozenset[int] = frozenset(),
    workers: int = 1,
    label: str = "evaluating",
    quiet: bool = False,
) -> Observed:
    """Read the rows once, run every method, classify.

    Parameters
    ----------
    rows : sequence of Row
    methods : mapping of name to object with ``transform``
    classifier : Classifier
        The frozen one. Where it has a record of its training, images get their `identity`.
    classifiers : mapping of method to mapping of domain to Classifier, optional
        Methods that come with a classifier of their own; on other domains they have nothing to say.
    embedded : set of int
        Positions of rows whose frozen features are wanted.

    Raises
    ------
    ModelError
        E_MODEL: the classifier gives a score that is not finite.
    """
    own = classifiers or {}
    result = Observed([], {}, {}, {name: {} for name in methods})
    shape = (len(rows), len(classifier.config.classes))
    result.probabilities.update({name: np.full(shape, np.nan) for name in methods})
    waiting: list[tuple[int, Observation]] = []
    look = Observe(classifier.prepare, methods, getattr(classifier, "trained_on", None) is not None)
    read = map_images(rows, look, workers=workers, label=label, quiet=quiet)
    for position, (_, seen) in enumerate(read):
        if isinstance(seen, IsotoneError):
            result.refused[position] = seen
            result.images.append(None)
        else:
            waiting.append((position, seen))
            result.images.append(seen)
        if waiting and (len(waiting) == BATCH or position == len(rows) - 1):
            _classify(waiting, rows, result, classifier, own, embedded)
            waiting.clear()
    return result


def _classify(
    waiting: Sequence[tuple[int, Observation]],
    rows: Sequence[Row],
    result: Observed,
    frozen: Any,
    own: Mapping[str, Mapping[str, Any]],
    embedded: frozenset[int],
) -> None:
    for name, table in result.probabilities.items():
        there = [
            (i, seen.prepared[first])
            for i, seen in waiting
            if (first := seen.same.get(name, name)) in seen.prepared and (first == name or name in own)
        ]
        by_domain: dict[str | None, list[tuple[int, NDArray[np.uint16]]]] = {}
        for i, prepared in there:
            by_domain.setdefault(rows[i].domain if name in own else None, []).append((i, prepared))
        for domain, items in by_domain.items():
            network = own[name].get(domain or "") if name in own else frozen
            if network is None:
                continue
            positions = [i for i, _ in items]
            table[positions] = finite(network.predict(_as_grey(p for _, p in items)))
            wanted = [item for item in items if item[0] in embedded]
            if wanted and name not in own:
                features = frozen.embed(_as_grey(p for _, p in wanted))
                result.features[name].update(zip((i for i, _ in wanted), features, strict=True))
    for i, seen in waiting:
        for name, first in seen.same.items():
            if name != first and name not in own:
                result.probabilities[name][i] = result.probabilities[first][i]
                if i in result.features[first]:
                    result.features[name][i] = result.features[first][i]
        seen.prepared.clear()


def finite(scores: Floats) -> Floats:
    """The scores themselves.

    Raises
    ------
    ModelError
        One of them is NaN or infinite.
    """
    if not np.isfinite(scores).all():
        raise ModelError("E_MODEL", "the classifier's scores are not all finite")
    return scores


def _as_grey(prepared: Any) -> NDArray[np.float32]:
    stacked: NDArray[np.float32] = np.stack(list(prepared)).astype(np.float32) / np.float32(65535)
    return stacked


def _histogram(radiograph: Radiograph, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    small = radiograph.decimated(SIZE)
    levels = small.tone[small.stored[mask]]
    counts = np.bincount(np.minimum((levels * BINS).astype(int), BINS - 1), minlength=BINS)
    shares: NDArray[np.float32] = (counts / max(counts.sum(), 1)).astype(np.float32)
    return shares
