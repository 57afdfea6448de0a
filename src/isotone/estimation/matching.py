"""Which reference images a scanner's grey levels are matched with, and in what proportion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import Descriptors, Place, windowed
from isotone.data.sample import Sample
from isotone.estimation.balancing import Population
from isotone.estimation.class_prior import confusion, estimate_mix
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.report import MixFrom
from isotone.estimation.settings import FrozenClassifier
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


@dataclass(frozen=True, eq=False)
class Match:
    """Which reference images the source's grey levels are matched with.

    Attributes
    ----------
    reference : Descriptors
        Of the whole images, or of windows as small as the source's field of view.
    weights : float64 array of shape (n,)
    mix : dict
        The source's class mix; empty: unknown.
    mix_from : str
    window : float
        Middle side of the windows as a share of the image; 1: whole images.
    mismatch, limit : float
        As `Population` has them.
    """

    reference: Descriptors
    weights: Floats
    mix: dict[str, float]
    mix_from: MixFrom
    window: float
    mismatch: float
    limit: float

    @property
    def alike(self) -> bool:
        """Whether tone and class mix are all that differs."""
        return self.mismatch <= self.limit


def match_populations(
    ours: Descriptors, reference: ReferenceModel, known: Mapping[str, float], known_from: MixFrom
) -> Match:
    """Weigh the reference images; where the source shows less of the body, windows of them.

    Parameters
    ----------
    ours : Descriptors
    reference : ReferenceModel
    known : mapping of str to float
        The source's class mix; empty: structure tells it, where it can.
    known_from : str
        Where it comes from.
    """
    population = reference.population
    match = _compared(population, ours, known, known_from)
    if not match.alike:
        apart = population.apart(ours, match.mix or population.mix(ours))
        few = None if apart is None else Population(reference.descriptors, reference.seed, apart)
        found = None if few is None else _compared(few, ours, known, known_from)
        if few is not None and found is not None and found.alike:
            weights = few.weights(ours, found.mix)
            return replace(found, weights=weights, mismatch=match.mismatch, limit=match.limit)
        windows = _Windows(ours, reference, known, known_from)
        field = windows.nearest(match.mismatch)
        if field is not None:
            population = windows.population(*field, windows.order)
            match = replace(_compared(population, ours, known, known_from), window=field[0])
    mix, origin = (match.mix, match.mix_from) if match.alike or known else ({}, "none")
    weights = population.weights(ours, mix, balanced=match.alike)
    return replace(match, weights=weights, mix=mix, mix_from=origin)


def _compared(population: Population, ours: Descriptors, known: Mapping[str, float], known_from: MixFrom) -> Match:
    """The match with all images of a population, weighing alike."""
    chance = 1 / max(len(population.classes), 1)
    tells = population.accuracy > chance + INFORMED * (1 - chance)
    mix = dict(known) or (population.mix(ours) if tells else {})
    origin: MixFrom = known_from if known else "structure" if mix else "none"
    descriptors, gap = population.reference, population.mismatch(ours, mix or population.mix(ours))
    return Match(descriptors, np.ones(len(descriptors)), mix, origin, 1.0, *gap)


@dataclass(frozen=True, eq=False)
class _Windows:
    """The reference seen through a smaller field, of the size and at the place that make it most like the source."""

    ours: Descriptors
    reference: ReferenceModel
    known: Mapping[str, float]
    known_from: MixFrom

    @cached_property
    def order(self) -> NDArray[np.intp]:
        return np.random.default_rng(self.reference.seed).permutation(len(self.reference.images))

    def population(self, window: float, place: Place, images: NDArray[np.intp]) -> Population:
        """Of some images of the reference through windows."""
        given = self.reference.images
        sides = [window + AROUND[n % len(AROUND)] for n in range(len(images))]
        chosen, parts = [given[i] for i in images], [given.parts[i] for i in images]
        return Population(windowed(chosen, parts, sides, place, self.reference.air), self.reference.seed)

    def mismatch(self, window: float, place: Place) -> float:
        population = self.population(window, place, self.order[:SEARCHED])
        return _compared(population, self.ours, self.known, self.known_from).mismatch

    def nearest(self, mismatch: float) -> tuple[float, Place] | None:
        """Middle side and place of the windows; None where they are not much nearer than whole images are."""
        least, window = min((self.mismatch(w, PLACES[0]), w) for w in WINDOWS)
        least, place = min([(least, PLACES[0]), *((self.mismatch(window, p), p) for p in PLACES[1:])])
        finer = [round(window + more, 2) for more in FINER]
        least, window = min([(least, window), *((self.mismatch(w, place), w) for w in finer)])
        return (window, place) if least < mismatch / 2 else None


def odd_images(ours: Descriptors, reference: ReferenceModel) -> NDArray[np.bool_]:
    """Which few images, shape (n,), look like none of the reference: flat fields, failed exposures, test objects."""
    population = reference.population
    far = population.distances(ours) > FAR * population.distances(reference.descriptors).max()
    return far if far.mean() <= ODD else np.zeros(len(far), bool)


def classified(
    match: Match,
    pools: tuple[Levels, Levels],
    sides: tuple[Sequence[Sample], Sequence[Sample]],
    classifier: FrozenClassifier,
    rounds: int,
) -> Match:
    """The class mix by what the classifier says of the matched images, in rounds of match and reweight.

    Images that it was trained on are not asked about: it is surer of them than of others. Where it was trained on every
    reference image of a class, the match stays as it is.
    """
    source, reference = sides
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
