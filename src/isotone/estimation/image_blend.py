"""The mean of a scanner's curve and an image's own histogram matching, if matching hardly changes the scores.

Matching each image to the reference removes differences in exposure and processing between images. It also removes the
information about anatomy that brightness carries. On chests the first counts for more, on breasts the second. The
classifier shows which: its scores on images of the reference change little through matching, or much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from isotone.curves.stages import Affine, Knots
from isotone.curves.tone_curve import ToneCurve
from isotone.data.classifier_scores import scores_of
from isotone.data.known import Arrays
from isotone.data.sample import Sample
from isotone.estimation.report import Blend
from isotone.estimation.settings import FrozenClassifier
from isotone.estimation.stored_arrays import Json, StoredArrays, damaged
from isotone.estimation.transport import FLATTEST

Floats = NDArray[np.float64]

SHARE = 0.5
"""Of the image's own matching. Raised, more of what differs from image to image is removed, and more of what
distinguishes the classes. Chosen among 0.25 and 0.5 on half of the pairs of benchmarks/real_pairs.py."""
AGREEING = 0.9
"""Correlation of the classifier's probabilities before and after, from which on images are blended. Real chests have
0.88 to 0.99, half of them 0.96 or more, phantoms of breasts 0.24 to 0.44 (benchmarks/real_pairs.py). Lowered, images
are blended in which brightness distinguishes the classes. Taken from an earlier study, not chosen here."""
PARTS = 256
"""Into which pixels are divided: of a distribution the grey levels between two parts are kept, and so of a curve."""
FEWEST = 10
"""Images that the classifier is asked about, at least."""
FULL = 65535
"""White, in the pixels of a sample."""


@dataclass(frozen=True, eq=False)
class ImageBlend(StoredArrays):
    """Gives each image a curve of its own: increasing, for it is the mean of an increasing curve and of another.

    Attributes
    ----------
    levels : float64 array of shape (k,)
        Grey levels of the reference, increasing.
    below : float64 array of shape (k,)
        Shares of its pixels, air included, at or below them; images weigh alike.
    share : float
        Of the image's own matching, in (0, 1).
    """

    SHAPES: ClassVar = {"levels": "k", "below": "k", "share": ""}

    levels: Floats
    below: Floats
    share: float = SHARE

    @classmethod
    def fit(cls, reference: Sequence[Sample]) -> Self:
        """Of the pixels of the reference's images."""
        total = np.zeros(FULL + 1)
        for sample in reference:
            counts = _counts(sample)
            total += counts / max(counts.sum(), 1)
        return cls(*_distribution(total))

    def curve(self, sample: Sample, scanner: ToneCurve) -> ToneCurve:
        """The curve of an image: `share` of its own histogram matching, the rest that of its scanner.

        The matching leads a grey level at or below which a share p of the image's pixels lies to that at or below which
        the share p of the reference's lies, as scikit-image's ``match_histograms`` does.
        """
        counts = _counts(sample)
        if np.count_nonzero(counts) < 2:
            return scanner
        grey, below = _distribution(counts)
        matched = np.interp(below, self.below, self.levels)
        return _through(grey, (1 - self.share) * scanner(grey) + self.share * matched)

    @classmethod
    def from_json(cls, entry: Json) -> Self:
        """What `to_json` gave.

        Raises
        ------
        ModelError
            E_MODEL: not such numbers.
        """
        found = cls(**cls.numbers(entry))
        damaged(not 0 < found.share < 1)
        for numbers in (found.levels, found.below):
            damaged(bool((np.diff(numbers) <= 0).any()) or numbers[0] < 0 or numbers[-1] > 1)
        return found


def image_blend(
    reference: Sequence[Sample], classifier: FrozenClassifier | None
) -> tuple[ImageBlend | None, Blend | None]:
    """The blend, where it hardly changes the classifier's scores on images of the reference; and how far they agree.

    Parameters
    ----------
    reference : sequence of Sample
        All images; the classifier is asked about those of split "val" on which it was not trained. Labels are not read.
    classifier : FrozenClassifier or None

    Returns
    -------
    blend : ImageBlend or None
        None: each image gets its scanner's curve.
    report : Blend or None
        None: no classifier, or fewer than ten images to ask it about.
    """
    asked = [s for s in reference if s.split == "val" and not s.trained and s.prepared is not None]
    if classifier is None or len(asked) < FEWEST:
        return None, None
    blend = ImageBlend.fit(reference)
    before = [s.prepared for s in asked if s.prepared is not None]
    after = [blend.curve(s, ToneCurve())(image) for s, image in zip(asked, before, strict=True)]
    agreement = _correlation(scores_of(before, classifier), scores_of(after, classifier))
    admitted = agreement >= AGREEING
    return (blend if admitted else None), Blend(share=SHARE if admitted else 0.0, agreement=agreement)


def _counts(sample: Sample) -> NDArray[np.intp]:
    """How many pixels have each grey level, shape (`FULL` + 1,)."""

    def work() -> Arrays:
        counts = np.bincount(sample.pixels[sample.valid], minlength=FULL + 1)
        present = np.flatnonzero(counts)
        return present.astype(np.uint16), counts[present].astype(np.uint32)

    levels, times = sample.known.of("counts", work)
    counts = np.zeros(FULL + 1, np.intp)
    counts[levels] = times
    return counts


def _distribution(counts: NDArray[np.floating] | NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Grey levels that divide pixels into `PARTS`, and the last before each, with the shares at or below them."""
    present = np.flatnonzero(counts)
    below = np.cumsum(counts[present])
    below = below / below[-1]  # not by counts.sum(), which rounds in another order, so that shares would exceed 1
    at = np.searchsorted(below, np.linspace(0, 1, PARTS + 1) * (1 - 1e-9))
    kept = np.unique(np.concatenate([at, at - 1]).clip(0))
    return present[kept] / FULL, np.asarray(below[kept])


def _through(x: Floats, y: Floats) -> ToneCurve:
    """Straight lines through points and, beyond them, to black and white, slopes kept above zero."""
    grid = np.concatenate([[0.0][: int(x[0] > 0)], x, [1.0][: int(x[-1] < 1)]])
    levels = np.concatenate([[0.0][: int(x[0] > 0)], y, [1.0][: int(x[-1] < 1)]])
    levels = FLATTEST * grid + (1 - FLATTEST) * np.maximum.accumulate(levels)
    low, high = float(levels[0]), float(levels[-1])
    knots = (levels - low) / (high - low)
    return ToneCurve([Knots(tuple(grid.tolist()), tuple(knots.tolist())), Affine(high - low, low)])


def _correlation(before: Floats, after: Floats) -> float:
    """Of the probabilities of a class, mean over the classes; 0 where one is the same for all images."""
    ours, theirs = (said - said.mean(0) for said in (before, after))
    size = np.sqrt((ours**2).sum(0) * (theirs**2).sum(0))
    return float(np.divide((ours * theirs).sum(0), size, out=np.zeros(len(size)), where=size > 0).mean())
