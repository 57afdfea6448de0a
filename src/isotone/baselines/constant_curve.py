"""One fixed curve for all images of a scanner: its pooled grey levels onto those of the pooled reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from isotone.baselines.baseline import Baseline
from isotone.baselines.grey_levels import GreyLevels
from isotone.baselines.histogram_matching import match
from isotone.errors import RadiographError
from isotone.imaging.radiograph import Radiograph


class ConstantCurve(Baseline):
    """Plain pooled quantile matching: T = F_ref⁻¹ ∘ F_src, with F over all pixels of all images of a scanner.

    It reads no label, corrects no class mix, and does not tell air from anatomy. It differs from
    `HistogramMatching(foreground=False)` in one thing: F_src is that of the scanner, not of the image, so every image
    of a scanner gets the same curve. What a scanner curve adds must show against this one.

    Images of the reference pass unchanged. The rule of matching is that of `HistogramMatching`.

    Examples
    --------
    >>> import numpy as np
    >>> dark, bright = (
    ...     Radiograph.from_array(np.array([[0.0, a], [2 * a, 3 * a]], np.float32)).with_domain(name)
    ...     for name, a in (("Src", 0.1), ("Ref", 0.3))
    ... )
    >>> ConstantCurve().fit([bright]).fit_source([dark]).transform(dark).pixels.astype(float).round(2).tolist()
    [[0.0, 0.3], [0.6, 0.9]]
    """

    name = "constant-curve"

    def __init__(self) -> None:
        self.fitted = False
        self.reference_domains: set[str | None] = set()
        self.pools: dict[str | None, GreyLevels] = {}

    def fit(self, reference: Iterable[Radiograph]) -> Self:
        """Pool the grey levels of the reference, each image with the same weight, padding excluded.

        Raises
        ------
        IsotoneError
            E_DATA: no image.
        """
        images = list(reference)
        self.reference = GreyLevels.pooled(map(GreyLevels.of, images))
        self.reference_domains = {image.header.domain for image in images}
        self.fitted = True
        return self

    def fit_source(self, source: Iterable[Radiograph]) -> Self:
        """Pool the grey levels of each other scanner in the same way, told by the images' domain."""
        images: dict[str | None, list[GreyLevels]] = {}
        for image in source:
            images.setdefault(image.header.domain, []).append(GreyLevels.of(image))
        self.pools |= {domain: GreyLevels.pooled(levels) for domain, levels in images.items()}
        return self

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The image through the curve of its scanner.

        Raises
        ------
        RadiographError
            E_DOMAIN: no image of this scanner was given to `fit_source`.
        IsotoneError
            E_USAGE: not fitted.
        """
        self.refuse_unfitted()
        domain = radiograph.header.domain
        if domain in self.reference_domains:
            return radiograph
        if domain not in self.pools:
            raise RadiographError("E_DOMAIN", "no curve was fitted for its scanner", file=radiograph.header.path)
        return match(radiograph, self.pools[domain], self.reference)

    def learned(self) -> dict[str, Any]:
        """The pools of the reference and of the other scanners."""
        self.refuse_unfitted()
        return {
            "reference": self.reference.to_json(),
            "reference_domains": sorted(self.reference_domains, key=str),
            "pools": [[domain, levels.to_json()] for domain, levels in self.pools.items()],
        }

    def remember(self, learned: Mapping[str, Any]) -> None:
        """Take them in the place of a fit."""
        self.reference = GreyLevels.from_json(learned["reference"])
        self.reference_domains = set(learned["reference_domains"])
        self.pools = {domain: GreyLevels.from_json(levels) for domain, levels in learned["pools"]}
        self.fitted = True
