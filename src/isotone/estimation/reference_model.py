"""The reference domain as every source is compared with it: described, and learned from, once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from isotone.data.descriptors.image_set import Descriptors, ImageSet, image_set
from isotone.data.sample import Sample
from isotone.estimation.balancing import Population
from isotone.estimation.tone_model import ToneModel, tone_model


class ReferenceModel:
    """The images of the reference domain and what was learned from them.

    Parameters
    ----------
    samples : sequence of Sample
        Train and validation images; those of split "val" show what the classifier makes of images.
    seed : int
        Of folds and of every draw of the fits.

    Attributes
    ----------
    given : ImageSet
        All images.
    air : bool
        Whether air is told from anatomy, on either side.
    telling : ImageSet
        Those that are no noise.
    images : ImageSet
        Those whose grey levels are compared: of which air is told, where it is.
    """

    def __init__(self, samples: Sequence[Sample], seed: int = 0, images: ImageSet | None = None) -> None:
        self.given = image_set(samples)
        self.air = self.given.air
        self.seed = seed
        self.telling = self.given if self.air else self.given.telling
        self.images = images or (self.telling.showing_air if self.air else self.telling)

    def seen_as(self, images: ImageSet) -> ReferenceModel:
        """The same reference of whose images less is compared (`isotone.estimation.comparable`)."""
        return self if images is self.images else ReferenceModel(self.given, self.seed, images)

    @property
    def descriptors(self) -> Descriptors:
        """Structure and grey levels of the images."""
        return self.images.descriptors_with(self.air)

    @cached_property
    def tone(self) -> ToneModel | None:
        """From structure to grey levels; None where patients are too few to learn that from."""
        return tone_model(self.descriptors, self.seed)

    @cached_property
    def population(self) -> Population:
        """From structure to classes, and weights that make the population another's."""
        return Population(self.descriptors, self.seed)
