"""The reference domain as every source is compared with it: described, and learned from, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from isotone.data.descriptors.image_set import Descriptors, ImageSet, image_set
from isotone.data.sample import Sample
from isotone.data.weak_classifier import auc_on, weak_sentence
from isotone.estimation.balancing import Population
from isotone.estimation.image_blend import ImageBlend, image_blend
from isotone.estimation.report import Blend
from isotone.estimation.settings import FrozenClassifier
from isotone.estimation.tone_model import ToneModel, tone_model


@dataclass(frozen=True, eq=False)
class Asked:
    """What a classifier makes of the reference: the same for every source scanner.

    Attributes
    ----------
    reference : sequence of Sample
        Its images of split "val" on which the classifier was not trained are looked at.
    classifier : FrozenClassifier or None
    """

    reference: Sequence[Sample]
    classifier: FrozenClassifier | None

    @cached_property
    def weak(self) -> str | None:
        """A sentence (W_WEAK) where the classifier does not tell its own classes there; None without a classifier."""
        if self.classifier is None:
            return None
        found = auc_on([s for s in self.reference if s.split == "val" and not s.trained], self.classifier)
        return None if found is None else weak_sentence("validation images of the reference", *found)

    @cached_property
    def blend(self) -> tuple[ImageBlend | None, Blend | None]:
        """As `image_blend` gives it; none where the classifier is weak."""
        return (None, None) if self.weak else image_blend(self.reference, self.classifier)


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
        self._asked: Asked | None = None
        self.images = images or (self.telling.showing_air if self.air else self.telling)

    def asked(self, classifier: FrozenClassifier | None) -> Asked:
        """What a classifier makes of all images; of the last one that was named it is found out once."""
        if self._asked is None or self._asked.classifier is not classifier:
            self._asked = Asked(self.given, classifier)
        return self._asked

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
