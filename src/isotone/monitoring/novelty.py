"""Does an image, or the layout of a batch, look like those of the fit? A number, and the limit that it should keep.

A source domain is described on the scale of its own presentation values: by the looks
(`isotone.data.descriptors.appearance`) of its own images, and by those of the reference domain taken back through the
inverse of the curve. So the reference lends its classes: one that the source never showed in the fit is expected to
look like that class of the reference.

A look is compared with the nearest mix of classes, in units of the spread within a class. A change of the class mix
is therefore no difference, and a response that differs is one even where it makes images darker as a class would:
the layout, which no response changes, says how bright an image should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from isotone.data.descriptors.appearance import LAYOUT, SIZE, through
from isotone.estimation.class_prior import nearest_mix
from isotone.estimation.fit_source import SourceFit
from isotone.estimation.stored_arrays import Json, StoredArrays, damaged, positive_definite

Floats = NDArray[np.float64]

LIMIT = 2.75
"""Smallest limit of an image; for normal looks, one image of 10,000 exceeds it. Another anatomy exceeds 4."""
QUANTILE = 0.98
ALLOWANCE = 1.25
"""The limit is this many times the quantile above of the fit's own images, held out, where that is more."""
BATCH = 20
"""Fewer images are no batch."""
LAYOUT_LIMIT = 1.9
"""Of a batch; what was measured at this limit is in docs/results_gate.md."""
MARGIN = 0.01
"""Variance allowed to a batch mean itself, in units of the within-class variance."""
NOISE = 0.004
"""Standard deviation that every number of a look has at least."""
COMB = 1.5
"""How many bits of depth an image may lack beside those of the fit."""
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Novelty(StoredArrays):
    """What the images of one source domain look like.

    Attributes
    ----------
    centres : float64 array of shape (k, `SIZE`)
        Mean look of each class of the reference on the source's scale, shifted so that the nearest mix of them is the
        mean of the source.
    within : float64 array of shape (`SIZE`, `SIZE`)
        Covariance within a class, of source and reference together; positive definite. For single images.
    own : float64 array of shape (`SIZE`, `SIZE`)
        Covariance of the source, leaning on `within` where its images are few; positive definite. For batches.
    patients : float
        Of the source.
    per_patient : float
        Images of a patient; they count for one.
    depth : float
        The least of the source (`isotone.data.descriptors.appearance`).
    limit : float
        Of an image's score.
    air : bool
        Whether looks tell air from anatomy.
    """

    SHAPES: ClassVar = {
        "centres": "cs",
        "within": "ss",
        "own": "ss",
        **dict.fromkeys(("patients", "per_patient", "depth", "limit"), ""),
    }

    centres: Floats
    within: Floats
    own: Floats
    patients: float
    per_patient: float
    depth: float
    limit: float = LIMIT
    air: bool = True

    @classmethod
    def of_fit(cls, fit: SourceFit) -> Self:
        """Describe the images of a source scanner's fit, a class that it lacks as the reference's would look on it."""
        reference = fit.reference
        air, looks = reference.air, reference.given.looks_with(reference.air)
        lent = np.concatenate([through(looks, curve.inverse()) for curve in fit.curves])
        # Images of one class behind several curves are several kinds, of which any mix is no difference.
        kinds = [s.label and f"{s.label} {k}" for k in range(len(fit.curves)) for s in reference.given]
        patients = [s.patient for s in fit.images]
        return replace(cls.fit(fit.images.looks_with(air), patients, lent, kinds, reference.seed), air=air)

    @classmethod
    def fit(
        cls,
        source: Floats,
        patients: Sequence[str],
        reference: Floats,
        classes: Sequence[str | None],
        seed: int = 0,
    ) -> Self:
        """Describe a source domain.

        Parameters
        ----------
        source, reference : float64 arrays of shape (n, `SIZE` + 1) and (m, `SIZE` + 1)
            Looks, those of the reference on the source's scale.
        patients : sequence of str, length n
            Of the source.
        classes : sequence of str or None, length m
            Labels of the reference. Without them, quarters along the direction in which it varies most.
        seed : int
            Of the folds by patient that the limit comes from.
        """
        depth = round(float(source[:, SIZE].min()), 4)
        source, reference = source[:, :SIZE], reference[:, :SIZE]
        number = np.unique(np.asarray(patients), return_inverse=True)[1]
        fold = np.random.default_rng(seed).permutation(number.max() + 1)[number] % FOLDS
        groups = _groups(reference, classes)
        scores = [0.0]
        for k in range(FOLDS):
            out = fold == k
            if out.any() and (~out).sum() > 1:
                without = cls._describe(source[~out], number[~out], reference, groups, depth)
                scores += [without.score(x) for x in source[out]]
        whole = cls._describe(source, number, reference, groups, depth)
        limit = max(LIMIT, ALLOWANCE * float(np.quantile(scores, QUANTILE, method="higher")))
        return replace(whole, limit=round(limit, 4))

    @classmethod
    def _describe(
        cls, source: Floats, patients: NDArray[np.intp], reference: Floats, groups: NDArray[np.intp], depth: float
    ) -> Self:
        centres = np.stack([reference[groups == g].mean(0) for g in np.unique(groups)])
        mine, lent = source - source.mean(0), reference - centres[groups]
        scatter = mine.T @ mine / max(len(mine) - 1, 1)
        share = len(mine) / (len(mine) + SIZE)
        # A single image may be of a class that the source never showed: half of the spread stays the reference's.
        within = share / 2 * scatter + (1 - share / 2) * lent.T @ lent / max(len(lent) - len(centres), 1)
        within = _regular(within, len(mine) + len(lent))
        own = _regular(share * scatter + (1 - share) * within, len(mine))
        count = float(len(np.unique(patients)))
        rest = (np.round(within, 9), np.round(own, 9), count, len(mine) / count, depth)
        shift = cls(centres, *rest)._beyond(source.mean(0))
        # Rounded, so that the model does not depend on the last bit of somebody's linear algebra.
        return cls(np.round(centres + shift, 6), *rest)

    def score(self, look: Floats) -> float:
        """How far an image lies from the classes: root mean square of standard deviations.

        Of the layout, or of the brightness given the layout, whichever is more: pooled, one would water down the other.
        """
        z = self._whiten(self._beyond(look[:SIZE]))
        return float(max(np.sqrt((part**2).mean()) for part in (z[:LAYOUT], z[LAYOUT:])))

    def complaint(self, look: Floats) -> str | None:
        """Why an image is unlike those of the fit, in a clause with a number; None where it is not."""
        score = self.score(look)
        if score > self.limit:
            return f"it looks unlike the images of the fit: score {score:.1f}, limit {self.limit:.1f}"
        lacking = self.depth - float(look[SIZE])
        if lacking > COMB:
            return f"its grey levels lack {lacking:.1f} bits beside those of the fit, limit {COMB}"
        return None

    def layout(self, looks: Floats) -> float:
        """How far the mean layout of a batch is from the classes; its limit is `LAYOUT_LIMIT`.

        Parameters
        ----------
        looks : float64 array of shape (n, `SIZE` + 1)
        """
        return self.layout_of(looks.mean(0), len(looks))

    def layout_of(self, mean: Floats, images: int) -> float:
        """`layout` of a batch of so many images, by their mean look."""
        spread = self.own * (self.per_patient / images + 1 / self.patients) + MARGIN * self.within
        beyond = self._beyond(mean[:SIZE])[:LAYOUT]
        z = np.linalg.solve(np.linalg.cholesky(spread[:LAYOUT, :LAYOUT]), beyond)
        return float(np.sqrt((z**2).mean()))

    def to_json(self) -> dict[str, object]:
        """Numbers for JSON; no image can be made of them."""
        return {**super().to_json(), "air": self.air}

    @classmethod
    def from_json(cls, entry: Json) -> Self:
        """What `to_json` gave.

        Raises
        ------
        ModelError
            E_MODEL: the numbers are not those of a domain's looks.
        """
        found = cls.numbers(entry, s=SIZE)
        damaged(min(found["patients"], found["per_patient"]) <= 0)
        for name in ("within", "own"):
            positive_definite(found[name])
        return cls(**found, air=entry.get("air", True) is True)

    @cached_property
    def _factor(self) -> Floats:
        return np.asarray(np.linalg.cholesky(self.within), np.float64)

    def _whiten(self, looks: Floats) -> Floats:
        """Layout in standard deviations, then brightness given the layout (the factor is lower triangular)."""
        return np.asarray(np.linalg.solve(self._factor, looks.T).T)

    def _beyond(self, look: Floats) -> Floats:
        """What of a look no mix of classes explains."""
        return np.asarray(look - nearest_mix(self.centres, look, self._factor) @ self.centres)


def _regular(covariance: Floats, images: int) -> Floats:
    """Shrunk towards numbers that vary independently, the more the fewer images there are."""
    shrink = SIZE / (SIZE + images)
    diagonal = np.diag(np.diag(covariance))
    return np.asarray((1 - shrink) * covariance + shrink * diagonal + NOISE**2 * np.eye(SIZE))


def _groups(reference: Floats, classes: Sequence[str | None]) -> NDArray[np.intp]:
    """A class number for each image of the reference."""
    if all(c is not None for c in classes):
        return np.unique([str(c) for c in classes], return_inverse=True)[1]
    centred = (reference - reference.mean(0)) / (reference.std(0) + NOISE)
    first = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    return np.argsort(np.argsort(first, kind="stable"), kind="stable") * min(4, len(first)) // len(first)
