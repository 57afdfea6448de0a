"""Which reference images a scanner's grey levels are matched with, and in what proportion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isotone.curves import ToneCurve
from isotone.data.sample import Sample
from isotone.joint import joint_mix
from isotone.mix import confusion, estimate_mix
from isotone.population import Population
from isotone.transport import Levels, free_curve
from isotone.views import Described, Views, air_share, windowed

Floats = NDArray[np.float64]

WINDOWS = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Middle sides of the windows tried where the source's field of view is not the reference's."""
FINER = (0.0, -0.05, 0.05)
"""What is added to the best of them where none is alike: tone and class mix choose behind which they explain most."""
AROUND = (-0.1, 0.0, 0.1)
"""What is added to the middle side, image by image in turn: a smaller field is not of one size either."""
SEARCHED = 160
"""Reference images on which a window is tried."""
INFORMED = 0.25
"""Share of the way from chance to certainty that structure must go on classes, for its mix to be used."""


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
        "stated", "labels", "structure", "tone", "classifier" or "none".
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
        gap = population.mismatch(ours, mix or population.mix(ours))
        views = population.reference
        return Match(views, np.ones(len(views)), mix, origin, window, gap, population.limit(ours))

    def through(window: float, images: NDArray[np.intp]) -> Views:
        sides = [window + AROUND[n % len(AROUND)] for n in range(len(images))]
        return windowed([reference[i] for i in images], [reference.parts[i] for i in images], sides, reference.air)

    population, joint = _population(reference.views, seed), None
    match = compared(population, 1.0)
    if match.mismatch > match.limit:
        order = np.random.default_rng(seed).permutation(len(reference))
        tried = [compared(Population(through(w, order[:SEARCHED]), seed), w) for w in WINDOWS]
        best = min(tried, key=lambda m: m.mismatch)
        if best.mismatch < match.mismatch / 2:
            finer = FINER if best.mismatch > best.limit else FINER[:1]
            seen = [(w, through(w, order)) for w in (round(best.window + more, 2) for more in finer)]
            joints = [joint_mix(ours, v, air_share(v) if reference.air else 0.0) for _, v in seen]
            nearest = int(np.argmin([j.distance for j in joints]))
            joint = joints[nearest]
            window, views = seen[nearest] if joint.explained else seen[0]
            population = Population(views, seed)
            match = compared(population, window)
    alike = match.mismatch <= match.limit
    mix, origin = (match.mix, match.mix_from) if alike or known else ({}, "none")
    if joint is not None and joint.believed and not alike and not known:
        mix, origin = joint.mix, "tone"
    weights = population.weights(ours, mix, balanced=alike)
    return replace(match, weights=weights, mix=mix, mix_from=origin)


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
    """The class mix by what the classifier says of the matched images, in rounds of match and reweight."""
    classes = list(classifier.config.classes)
    held_out = [s for s in reference if s.split == "val"] or reference
    tested = [s for s in held_out if s.label in classes and s.prepared is not None]
    if not tested or any(s.prepared is None for s in source):
        return match
    true = np.array([classes.index(str(s.label)) for s in tested])
    matrix = confusion(_say(tested, classifier, ToneCurve()), true, len(classes))
    prior = np.array([float((match.reference.labels == c).any()) for c in classes])
    x, mix, weights = pools[0].quantiles(np.ones(len(source))), prior / prior.sum(), match.weights
    for _ in range(rounds):
        said = _say(source, classifier, free_curve(x, pools[1].quantiles(weights)))
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
