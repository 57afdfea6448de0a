"""Make the reference's population the source's, by what both show apart from their tone.

Quantiles may only be matched between like populations (docs/method.md). `isotone.data.descriptors.structure` describes
images by numbers that no response changes, so two populations can be compared before anything is known of the response:
a model of the reference tells from them the class of an image and how bright it would be, and weights on the
reference images bring class mix and expected brightness to those of the source.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from isotone.data.descriptors.image_set import Descriptors
from isotone.data.descriptors.structure import NEVER, spread, standardized
from isotone.estimation.class_prior import estimate_mix, mixed
from isotone.estimation.tone_model import ToneModel, held_out

Floats = NDArray[np.float64]

COMPONENTS = 4
"""Principal components of the reference images' quantiles that are predicted from their structure."""
ODDEST = 4.0
"""Standard deviations to which an image's numbers are cut before they are averaged: a few odd images move no mean."""
APART = 1 / 3
"""Share of the numbers that may disagree, where the others compare the populations."""
EVEN = 1e-6
"""Added to variances, which images that are copies of one do not have."""
FEWEST = 5
"""Patients that a class must have in the reference to be told by structure."""


class Population:
    """What the reference's structure says of class and brightness.

    Parameters
    ----------
    reference : Descriptors
    seed : int
        Of the folds by which each image's own class and brightness are predicted from other patients' alone.
    apart : bool array of shape (d,), optional
        Numbers of the structure that are left out.

    Attributes
    ----------
    classes : list of str
        Classes that structure can tell; fewer than two: none.
    accuracy : float
        Mean recall over the classes on held-out patients; NaN without classes.
    """

    def __init__(self, reference: Descriptors, seed: int = 0, apart: NDArray[np.bool_] | None = None) -> None:
        from sklearn.covariance import LedoitWolf  # the train half
        from sklearn.linear_model import LogisticRegression

        self.reference = reference
        self._centre, self._scale = spread(reference.structure)
        if apart is not None:
            self._scale = np.where(apart, NEVER, self._scale)
        self._telling = self._scale < NEVER if (self._scale < NEVER).any() else np.ones(len(self._scale), bool)
        x = self._standardized(reference)
        self._tone = ToneModel(reference, COMPONENTS, seed, apart)
        patients = {str(c): reference.patients[reference.labels == c] for c in np.unique(reference.labels) if c}
        self.classes = [c for c, own in patients.items() if len(np.unique(own)) >= FEWEST]
        self.accuracy = float("nan")
        mean, counts = x.mean(0, keepdims=True), [len(np.unique(reference.patients))]
        residual = x - mean
        if len(self.classes) > 1:
            known = np.isin(reference.labels, self.classes)
            self._prior = np.array([np.mean(reference.labels[known] == c) for c in self.classes])
            self._class = LogisticRegression(C=0.1, max_iter=500)
            labels = reference.labels[known]
            held = held_out(self._class, x[known], labels, reference.patients[known], seed, proba=True)
            said = np.array(self.classes)[held.argmax(1)]
            self.accuracy = float(np.mean([np.mean(said[labels == c] == c) for c in self.classes]))
            self._class.fit(x[known], labels)
            # A mix is only as good as the probabilities behind it: vector scaling (Alexandari et al. 2020,
            # arXiv:1901.06852) makes those of the regularized model honest.
            self._honest = LogisticRegression(C=10.0, max_iter=500).fit(_log(held), labels)
            mean = np.stack([x[reference.labels == c].mean(0) for c in self.classes])
            residual = x[known] - mean[np.searchsorted(self.classes, labels)]
            counts = [len(np.unique(patients[c])) for c in self.classes]
        self._mean, self._patients = mean, np.array(counts)
        self._within = LedoitWolf(assume_centered=True).fit(residual).covariance_ + EVEN * np.eye(x.shape[1])

    def _standardized(self, descriptors: Descriptors) -> Floats:
        """What tells their structure from others', in standard deviations of the reference's images, shape (n, d)."""
        return standardized(descriptors.structure, self._centre, self._scale)[:, self._telling]

    def distances(self, source: Descriptors) -> Floats:
        """Of each image's structure to the nearest class's mean, in standard deviations (Mahalanobis), shape (n,)."""
        gaps = self._standardized(source)[:, None] - self._mean
        inverse = np.linalg.inv(self._within)
        return np.asarray(np.sqrt(np.einsum("nci,ij,ncj->nc", gaps, inverse, gaps)).min(1))

    def mix(self, source: Descriptors) -> dict[str, float]:
        """The source's class mix by its structure; empty where structure tells no classes."""
        if len(self.classes) < 2:
            return {}
        likelihood = (
            self._honest.predict_proba(_log(self._class.predict_proba(self._standardized(source)))) / self._prior
        )
        mix = estimate_mix(likelihood, np.ones(len(self.classes)))
        return {c: float(v) for c, v in zip(self.classes, mix, strict=True)}

    def mismatch(self, source: Descriptors, mix: dict[str, float]) -> tuple[float, float]:
        """How far the source's mean structure is from that of the reference at this class mix.

        Returns
        -------
        float
            Squared Mahalanobis distance in standard deviations of one image, what chance explains subtracted:
            about 0 for the same anatomy in the same view, whatever the response and the class mix; above
            the limit where something beyond tone differs (noise, sharpness, processing, field of view).
        float
            The limit: what chance hardly reaches and what matters.
        """
        gap, covariance, chance = self._gap(source, mix)
        return _beyond_chance(gap, covariance, chance), _limit(len(gap), chance)

    def apart(self, source: Descriptors, mix: dict[str, float]) -> NDArray[np.bool_] | None:
        """Which few numbers, shape (d,), say that the populations differ, where all the others say that they do not.

        Compression, noise, marks and frames change some numbers of the structure and leave the rest. The numbers are
        taken away one by one, each time the one that most of the distance is owed to.

        Returns
        -------
        bool array or None
            None: more than `APART` of the numbers disagree.
        """
        gap, covariance, chance = self._gap(source, mix)
        kept = np.arange(len(gap))
        least = len(gap) * (1 - APART)
        while _beyond_chance(gap[kept], covariance[np.ix_(kept, kept)], chance) > _limit(len(kept), chance):
            if len(kept) <= least:
                return None
            inverse = np.linalg.inv(covariance[np.ix_(kept, kept)])
            kept = np.delete(kept, np.argmax((inverse @ gap[kept]) ** 2 / np.diag(inverse)))
        found = self._telling.copy()
        found[np.flatnonzero(self._telling)[kept]] = False
        return found

    def _gap(self, source: Descriptors, mix: dict[str, float]) -> tuple[Floats, Floats, float]:
        """Of the source's mean structure to the reference's at a mix, its covariance, and what chance adds to both."""
        share = np.array([mix.get(c, 0.0) for c in self.classes]) if len(self.classes) > 1 else np.ones(1)
        share = share / share.sum() if share.sum() > 0 else np.full(len(share), 1 / len(share))
        centre = share @ self._mean
        apart = self._mean - centre
        covariance = self._within + apart.T @ (share[:, None] * apart)
        gap = np.clip(self._standardized(source) - centre, -ODDEST, ODDEST).mean(0)
        return gap, covariance, 1 / len(np.unique(source.patients)) + float((share**2 / self._patients).sum())

    def weights(self, source: Descriptors, mix: dict[str, float], *, balanced: bool = True) -> Floats:
        """Weights of the reference images, shape (n,), mean 1.

        Parameters
        ----------
        source : Descriptors
        mix : dict
            Class mix to reach; empty: leave the classes alone. Classes that the reference lacks are left out.
        balanced : bool
            Bring the expected brightness to that of the source as well, by entropy balancing (Hainmueller 2012,
            doi:10.1093/pan/mpr025) with as much tolerance as the number of source images calls for.
        """
        labels = self.reference.labels
        present = [c for c in mix if mix[c] > 0 and (labels == c).any()]
        base = mixed(labels, mix)
        if not balanced:
            return base
        base = base + 1e-9
        expected = self._tone.expected
        scale = expected.std(0).clip(1e-9)
        columns = [expected / scale]
        target = [self._tone.regression.of(source.structure).mean(0) / scale]
        slack = [np.full(len(scale), 1 / len(np.unique(source.patients)))]
        if len(present) > 1:
            total = sum(mix[c] for c in present)
            columns.append(np.stack([(labels == c).astype(float) for c in present[1:]], 1))
            target.append(np.array([mix[c] / total for c in present[1:]]))
            slack.append(np.full(len(present) - 1, 1e-4))
        return _entropy_balance(np.hstack(columns), np.concatenate(target), np.concatenate(slack), base)


def _beyond_chance(gap: Floats, covariance: Floats, chance: float) -> float:
    return float(gap @ np.linalg.solve(covariance, gap) - len(gap) * chance)


def _limit(numbers: int, chance: float) -> float:
    return float(0.5 + 3 * np.sqrt(2 * numbers) * chance)


def _log(probabilities: Floats) -> Floats:
    return np.log(np.maximum(probabilities, 1e-6))


def _entropy_balance(x: Floats, target: Floats, slack: Floats, base: Floats) -> Floats:
    """Weights nearest to `base` in relative entropy that bring the means of `x` to `target`, up to `slack`."""
    start = base / base.sum()

    def tilted(b: Floats) -> tuple[Floats, float]:
        exponent = (x - target) @ b
        largest = exponent.max()
        raw = start * np.exp(exponent - largest)
        return raw / raw.sum(), float(np.log(raw.sum()) + largest)

    def dual(b: Floats) -> tuple[float, Floats]:
        weights, log_sum = tilted(b)
        return log_sum + float((slack * b * b).sum()) / 2, weights @ (x - target) + slack * b

    found = minimize(dual, np.zeros(x.shape[1]), jac=True, method="BFGS")
    weights, _ = tilted(found.x)
    return np.asarray(weights / weights.mean())
