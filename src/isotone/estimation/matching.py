"""Which reference images a scanner's grey levels are matched with, and in what proportion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import Described, Place, Views, windowed
from isotone.data.sample import Sample
from isotone.estimation.balancing import Population
from isotone.estimation.class_prior import confusion, estimate_mix
from isotone.estimation.transport import Levels, free_curve

Floats = NDArray[np.float64]

WINDOWS = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Middle sides of the windows tried where the source's field of view is not the reference's."""
PLACES = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
"""Where they lie: a breast's lies at its chest wall, and in the middle of the image's height."""
FINER = (-0.05, 0.05)
"""What is added to the size of the best of them, once its place is known."""
AROUND = (-0.1, 0.0, 0.1)
"""What is added to the middle side, image by image in turn: a smaller field is not of one size either."""
SEARCHED = 160
"""Reference images on which a window is tried."""
INFORMED = 0.25
"""Share of the way from chance to certainty that structure must go on classes, for its mix to be used."""


FAR = 3.0
"""An image this many times as far from the reference's as the farthest of those shows something else."""
ODD = 0.1
"""Where more images than this share are far, the scanner is another, and not an image of it odd."""


class FrozenClassifier(Protocol):
    """What a fit needs of a classifier."""

    @property
    def config(self) -> Any:
        """Has `classes`, a tuple of str."""
        ...

    def predict(self, prepared: NDArray[np.float32]) -> Floats:
        """Probabilities of shape (n, classes) for inputs of shape (n, S, S) in [0, 1]."""
        ...


@dataclass(frozen=True, eq=False)
class Match:
    """Which reference images the source's grey levels are matched with.

    Attributes
    ----------
    reference : Views
        Of the whole images, or of windows as small as the source's field of view.
    weights : float64 array of shape (n,)
    mix : dict
        The source's class mix; empty: unknown.
    mix_from : str
        "stated", "labels", "structure", "classifier" or "none".
    window : float
        Middle side of the windows as a share of the image; 1: whole images.
    mismatch, limit : float
        As `Population` has them.
    """

    reference: Views
    weights: Floats
    mix: dict[str, float]
    mix_from: str
    window: float
    mismatch: float
    limit: float


def match_populations(ours: Views, reference: Described, known: dict[str, float], known_from: str, seed: int) -> Match:
    """Weigh the reference images; where the source shows less of the body, windows of them."""

    def compared(population: Population, window: float) -> Match:
        chance = 1 / max(len(population.classes), 1)
        tells = population.accuracy > chance + INFORMED * (1 - chance)
        mix = known or (population.mix(ours) if tells else {})
        origin = known_from if known else "structure" if mix else "none"
        views, gap = population.reference, population.mismatch(ours, mix or population.mix(ours))
        return Match(views, np.ones(len(views)), mix, origin, window, *gap)

    order = np.random.default_rng(seed).permutation(len(reference))

    def through(window: float, place: Place, images: NDArray[np.intp]) -> Population:
        sides = [window + AROUND[n % len(AROUND)] for n in range(len(images))]
        chosen, parts = [reference[i] for i in images], [reference.parts[i] for i in images]
        return Population(windowed(chosen, parts, sides, place, reference.air), seed)

    def mismatch(window: float, place: Place) -> float:
        return compared(through(window, place, order[:SEARCHED]), window).mismatch

    population = _population(reference.views, seed)
    match = compared(population, 1.0)
    if match.mismatch > match.limit:
        apart = population.apart(ours, match.mix or population.mix(ours))
        few = None if apart is None else Population(reference.views, seed, apart)
        found = None if few is None else compared(few, 1.0)
        if few is not None and found is not None and found.mismatch <= found.limit:
            weights = few.weights(ours, found.mix)
            return replace(found, weights=weights, mismatch=match.mismatch, limit=match.limit)
        least, window = min((mismatch(w, PLACES[0]), w) for w in WINDOWS)
        least, place = min([(least, PLACES[0]), *((mismatch(window, p), p) for p in PLACES[1:])])
        finer = [round(window + more, 2) for more in FINER]
        least, window = min([(least, window), *((mismatch(w, place), w) for w in finer)])
        if least < match.mismatch / 2:
            population = through(window, place, order)
            match = compared(population, window)
    alike = match.mismatch <= match.limit
    mix, origin = (match.mix, match.mix_from) if alike or known else ({}, "none")
    weights = population.weights(ours, mix, balanced=alike)
    return replace(match, weights=weights, mix=mix, mix_from=origin)


def odd_images(ours: Views, reference: Described, seed: int) -> NDArray[np.bool_]:
    """Which few images, shape (n,), look like none of the reference: flat fields, failed exposures, test objects."""
    population = _population(reference.views, seed)
    far = population.distances(ours) > FAR * population.distances(reference.views).max()
    return far if far.mean() <= ODD else np.zeros(len(far), bool)


@lru_cache(maxsize=1)
def _population(reference: Views, seed: int) -> Population:
    """One for all scanners and presets: images are told apart as objects, and are not changed."""
    return Population(reference, seed)


def classified(
    match: Match,
    pools: tuple[Levels, Levels],
    source: Sequence[Sample],
    reference: Sequence[Sample],
    classifier: FrozenClassifier,
    rounds: int,
) -> Match:
    """The class mix by what the classifier says of the matched images, in rounds of match and reweight.

    Images that it was trained on are not asked about: it is surer of them than of others. Where it was trained on every
    reference image of a class, the match stays as it is.
    """
    classes = list(classifier.config.classes)
    unseen = [s for s in reference if not s.trained]
    held_out = [s for s in unseen if s.split == "val"] or unseen
    if {s.label for s in held_out} < {s.label for s in unseen}:
        held_out = unseen
    tested = [s for s in held_out if s.label in classes and s.prepared is not None]
    asked = [s for s in source if not s.trained]
    if not tested or not asked or any(s.prepared is None for s in asked):
        return match
    if {s.label for s in reference if s.label in classes} - {s.label for s in tested}:
        return match  # of a class without images nobody knows what the classifier calls it
    true = np.array([classes.index(str(s.label)) for s in tested])
    matrix = confusion(_say(tested, classifier, ToneCurve()), true, len(classes))
    prior = np.array([float((match.reference.labels == c).any()) for c in classes])
    x, mix, weights = pools[0].quantiles(np.ones(len(source))), prior / prior.sum(), match.weights
    for _ in range(rounds):
        said = _say(asked, classifier, free_curve(x, pools[1].quantiles(weights)))
        mix, before = estimate_mix(matrix[:, said].T, prior), mix
        members = np.array([match.reference.labels == c for c in classes])
        weights = (mix / np.maximum(members.sum(1), 1)) @ members
        if np.abs(mix - before).max() < 0.005:
            break
    found = {c: float(v) for c, v in zip(classes, mix, strict=True)}
    return replace(match, weights=weights / weights.mean(), mix=found, mix_from="classifier")


def _say(samples: Sequence[Sample], classifier: FrozenClassifier, curve: ToneCurve) -> NDArray[np.intp]:
    prepared = np.stack([s.prepared for s in samples if s.prepared is not None])
    return np.asarray(np.argmax(classifier.predict(curve(prepared)), axis=1))
