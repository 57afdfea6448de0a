"""A harmonizer as one step of a pipeline: a callable for `torch.utils.data` and transforms in torchvision's style."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Self, TypeVar

from isotone.errors import RadiographError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer

Image = TypeVar("Image")


class Harmonize:
    """Maps each image by a harmonizer, with what is the same for all images said once.

    It needs no torch, can be pickled, and holds no state, so that loader processes and persistent ones may share it.

    Parameters
    ----------
    harmonizer : ToneCurveHarmonizer, or path of one
    domain : str, optional
        Scanner of the images; needed for arrays and tensors, which name none.
    bits, inverted, allow
        As for `ToneCurveHarmonizer.transform`. The gate ("look") compares whole images with those of the fit, which
        takes longer than all else: allow it where crops come in, or let `checked` do it once for all images.

    Examples
    --------
    >>> import numpy as np
    >>> from isotone.interop.harmonize import Harmonize
    >>> step = Harmonize("harmonizer", domain="Birch Mammo Two")  # doctest: +SKIP
    >>> step(np.linspace(0, 1, 64 * 64).reshape(1, 64, 64)).shape  # doctest: +SKIP
    (1, 64, 64)
    """

    def __init__(
        self,
        harmonizer: ToneCurveHarmonizer | str | Path,
        *,
        domain: str | None = None,
        bits: int | None = None,
        inverted: bool | None = None,
        allow: Collection[str] = (),
    ) -> None:
        self.harmonizer = loaded(harmonizer)
        self.domain, self.bits, self.inverted, self.allow = domain, bits, inverted, tuple(allow)

    def __call__(self, image: Image) -> Image:
        """The image through its curve; types and errors as for `ToneCurveHarmonizer.transform`."""
        said = {"domain": self.domain, "bits": self.bits, "inverted": self.inverted}
        return self.harmonizer.transform(image, allow=self.allow, **said)  # type: ignore[arg-type]

    def checked(self, images: Iterable[Any]) -> Self:
        """The same step without the gate, for images that the gate has seen: once, not in every epoch.

        Parameters
        ----------
        images : iterable
            All that the step will get, in whatever type `ToneCurveHarmonizer.transform` takes.

        Raises
        ------
        RadiographError
            As `ToneCurveHarmonizer.transform`, of the first image that is refused, with its number from 0.

        Examples
        --------
        >>> import numpy as np
        >>> from isotone.interop.harmonize import Harmonize
        >>> cached = np.load("images.npy", mmap_mode="r")  # doctest: +SKIP
        >>> step = Harmonize("harmonizer", domain="Birch Mammo Two", bits=14).checked(cached)  # doctest: +SKIP
        """
        for number, image in enumerate(images):
            try:
                self(image)
            except RadiographError as error:
                raise RadiographError(
                    error.code, f"image {number}: {error.what}", file=error.file, next_step=error.next_step
                ) from None
        said = {"domain": self.domain, "bits": self.bits, "inverted": self.inverted}
        return type(self)(self.harmonizer, allow={*self.allow, "look"}, **said)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Harmonize({self.harmonizer.name!r}, domain={self.domain!r})"


def loaded(harmonizer: ToneCurveHarmonizer | str | Path) -> ToneCurveHarmonizer:
    """The harmonizer itself, or that of a folder."""
    return harmonizer if isinstance(harmonizer, ToneCurveHarmonizer) else ToneCurveHarmonizer.load(harmonizer)
