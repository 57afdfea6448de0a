"""Every image is decoded once; all methods see it while it is in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isotone._runtime.run_options import RunOptions
from isotone.baselines.grey_levels import GreyLevels
from isotone.curves.tone_curve import quantize
from isotone.data.descriptors.foreground import regions
from isotone.data.identity import pixel_identity
from isotone.data.images import map_images
from isotone.data.known import Arrays
from isotone.data.manifests.manifest import Row
from isotone.data.sample import SIZE, TakeSample
from isotone.errors import IsotoneError
from isotone.evaluation.kept_scores import KeptScores
from isotone.imaging.radiograph import Radiograph

Floats = NDArray[np.float64]

BATCH = 64
"""Images whose prepared inputs are held at a time, for all methods."""
BINS = 512
"""Of the histograms of foreground grey levels."""
GRID = np.linspace(0, 1, 65)
"""Grey levels at which the curve of each image is noted."""
Ask = Callable[[Any, Sequence[NDArray[np.uint16]], Sequence[bool]], list[Arrays]]
"""`KeptScores.ask`."""
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


@dataclass(eq=False)
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
    identity : str
        `isotone.data.identity` of the image, where it was asked for; else "".
    prepared : dict of method to uint16 array of shape (S, S)
        The classifier's input × 65535; dropped once it is classified.
    histograms : dict of method to float32 array of shape (`BINS`,)
        Shares of the foreground's grey levels.
    curves : dict of method to float32 array of shape (65,)
        What the method made of the grey levels `GRID`; absent where it is no map of grey levels.
    refused : dict of method to str
        Error code.
    same : dict of method to str
        Methods that left the image as it was, to the first of them: it is classified once.
    probabilities : dict of method to float64 array of shape (C,)
        What the classifier said.
    features : dict of method to float32 array of shape (D,)
        Of the frozen classifier, where `embedded`.
    row : Row
        Where the image is; never written anywhere.
    embedded : bool
        Whether its features are wanted.
    """

    image: str
    view: str
    statistics: Floats
    identity: str = ""
    prepared: dict[str, NDArray[np.uint16]] = field(default_factory=dict)
    histograms: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    curves: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    probabilities: dict[str, Floats] = field(default_factory=dict)
    features: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    row: Row = field(init=False)
    embedded: bool = False


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
            pixel_identity(radiograph) if self.identify else "",
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
                seen.curves[name] = tone_map(radiograph, result).astype(np.float32)
        return seen


def tone_map(before: Radiograph, after: Radiograph, at: Floats = GRID) -> Floats:
    """What became of grey levels, by the tone tables of an image before and after; in the shape of `at`."""
    order = np.argsort(before.tone, kind="stable")
    return np.asarray(np.interp(at, before.tone[order], after.tone[order]))


def observe(
    rows: Sequence[Row],
    methods: Mapping[str, Transform],
    classifier: Any,
    *,
    classifiers: Mapping[str, Mapping[str, Any]] | None = None,
    embedded: Collection[int] = (),
    label: str = "evaluating",
    run: RunOptions = RunOptions(),
) -> list[Observation | IsotoneError]:
    """Read the rows once, run every method, classify.

    Parameters
    ----------
    rows : sequence of Row
    methods : mapping of name to object with ``transform``
    classifier : Classifier
        The frozen one. Where it has a record of its training, images get their `identity`.
    classifiers : mapping of method to mapping of domain to Classifier, optional
        Methods that come with a classifier of their own; on other domains they have nothing to say.
    embedded : collection of int
        Positions of rows whose frozen features are wanted.
    label : str
        Of the progress bar.
    run : RunOptions
        `workers`, `quiet`, and `kept`: where scores are kept.

    Returns
    -------
    list
        What was seen in each row's image, or why it could not be read.

    Raises
    ------
    ModelError
        E_MODEL: the classifier gives a score that is not finite.
    """
    own = classifiers or {}
    found: list[Observation | IsotoneError] = []
    waiting: list[Observation] = []
    look = Observe(classifier.prepare, methods, getattr(classifier, "trained_on", None) is not None)
    read = map_images(rows, look, workers=run.workers, label=label, quiet=run.quiet)
    ask = KeptScores(run.kept).ask
    for position, (row, seen) in enumerate(read):
        found.append(seen)
        if isinstance(seen, IsotoneError):
            continue
        seen.row, seen.embedded = row, position in embedded
        waiting.append(seen)
        if len(waiting) == BATCH:
            _classify(waiting, methods, ask, classifier, own)
            waiting.clear()
    _classify(waiting, methods, ask, classifier, own)
    if run.kept is not None:
        run.kept.trim()
    return found


def _classify(
    images: Sequence[Observation], methods: Iterable[str], ask: Ask, frozen: Any, own: Mapping[str, Mapping[str, Any]]
) -> None:
    """Fill in what the classifiers say of a batch."""
    for method in methods:
        if method in own:
            for domain, network in own[method].items():
                _ask(ask, network, method, [seen for seen in images if seen.row.domain == domain])
        else:
            # What leaves an image as it was is not asked again.
            changed = [seen for seen in images if seen.same.get(method, method) == method]
            _ask(ask, frozen, method, changed, features=True)
    for seen in images:
        for method, first in seen.same.items():
            if method not in own:
                seen.probabilities[method] = seen.probabilities[first]
                if first in seen.features:
                    seen.features[method] = seen.features[first]
        seen.prepared.clear()


def _ask(ask: Ask, network: Any, method: str, images: Sequence[Observation], *, features: bool = False) -> None:
    """Fill in what one network says of one method's images."""
    prepared = [(seen, seen.prepared.get(seen.same.get(method, method))) for seen in images]
    there = [(seen, given) for seen, given in prepared if given is not None]
    if not there:
        return
    said = ask(network, [given for _, given in there], [features and seen.embedded for seen, _ in there])
    for (seen, _), (probabilities, *embedding) in zip(there, said, strict=True):
        seen.probabilities[method] = probabilities
        if features and seen.embedded:
            seen.features[method] = embedding[0]


def _histogram(radiograph: Radiograph, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    small = radiograph.decimated(SIZE)
    levels = small.tone[small.stored[mask]]
    counts = np.bincount(np.minimum((levels * BINS).astype(int), BINS - 1), minlength=BINS)
    shares: NDArray[np.float32] = (counts / max(counts.sum(), 1)).astype(np.float32)
    return shares
