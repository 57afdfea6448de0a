"""Which images were left out because the classifier was trained on them, in numbers and in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from isotone.data.manifests.manifest import Row
from isotone.data.trained_on import NO_RECORD

Use = Literal["test", "validation"]

_DOCUMENTED = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class LeftOut(BaseModel):
    """Labelled images of one domain that the classifier was trained on."""

    model_config = _DOCUMENTED
    domain: str
    reference: bool
    use: Use
    """What they would have been used for."""
    images: int
    """Left out."""
    remaining: int
    """Used."""

    @property
    def sentence(self) -> str:
        """How many, why, and what is missing for it."""
        why = "the classifier was trained on them, or on images of the same patients"
        if self.remaining:
            number = f"{self.images} of {self.images + self.remaining}"
            return f"W_TRAINED_ON {number} {self.use} images of {self.domain} were left out: {why}."
        said = f"W_TRAINED_ON all {self.images} {self.use} images of {self.domain} were left out: {why}."
        if self.reference and self.use == "test":
            said += " So there is no test figure of this reference, and neither loss nor gain can be predicted from it."
        elif self.reference:
            said += " So no threshold was frozen on them."
        return said


class Training(BaseModel):
    """What is known of the images that the classifier was trained on."""

    model_config = _DOCUMENTED
    recorded: bool
    """Whether the classifier has a record of them; without one nothing can be left out (W_NO_RECORD)."""
    left_out: list[LeftOut] = []
    """Every domain and use of which images were left out."""

    @classmethod
    def of(cls, classifier: Any) -> Self:
        """Of a classifier, before anything was left out."""
        return cls(recorded=getattr(classifier, "trained_on", None) is not None)

    def add(self, use: Use, lost: Iterable[Row], kept: Iterable[str], reference_domains: Collection[str]) -> None:
        """Count the images that were left out, and by their domains those that remain."""
        remaining = Counter(kept)
        self.left_out += [
            LeftOut(domain=d, reference=d in reference_domains, use=use, images=n, remaining=remaining[d])
            for d, n in sorted(Counter(row.domain or "" for row in lost).items())
        ]

    @property
    def sentences(self) -> list[str]:
        """For the console and the report's first screen, each with its code."""
        if not self.recorded:
            return [f"{NO_RECORD}."]
        return [found.sentence for found in self.left_out]
