"""Transforms for MONAI: load radiographs, harmonize them, and undo it.

An array or `MetaTensor` is channel-first, of shape (1, rows, columns); rows and columns stand as in the file; MONAI's
own readers transpose them unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Transform
from monai.utils import TransformBackends

from isotone.curves.tone_curve import ToneCurve
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.transform import Said, array_curve, through
from isotone.imaging.read import read_radiograph
from isotone.interop.harmonize import loaded

CURVE = "tone_curve"
"""Under which the curve stands, as JSON, in what MONAI keeps of an applied transform."""


class LoadRadiograph(Transform):
    """A file → `MetaTensor` of grey levels, float32 of shape (1, rows, columns) in [0, 1], 0 black.

    Its ``meta`` has "domain" and "filename_or_obj". Unlike MONAI's readers it follows rescale, LUTs and polarity.

    Parameters
    ----------
    domain : str, optional
        Of files whose header names none.
    """

    def __init__(self, domain: str | None = None) -> None:
        self.domain = domain

    def __call__(self, path: str | Path) -> MetaTensor:
        """Read one file; errors as `isotone.read_radiograph`."""
        radiograph = read_radiograph(path, domain=self.domain)
        meta = {"filename_or_obj": str(path), "domain": radiograph.header.domain or ""}
        return MetaTensor(np.ascontiguousarray(radiograph.pixels)[None], meta=meta)


class LoadRadiographd(MapTransform):
    """`LoadRadiograph` for items of a dictionary.

    Parameters
    ----------
    keys : hashable or sequence of hashable
    domain : str, optional
        As for `LoadRadiograph`.
    allow_missing_keys : bool
    """

    def __init__(self, keys: Any, domain: str | None = None, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.load = LoadRadiograph(domain)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the files that the keys name."""
        found = dict(data)
        for key in self.key_iterator(found):
            found[key] = self.load(found[key])
        return found


class Harmonize(InvertibleTransform):
    """An array, tensor or `MetaTensor` through the curve of its scanner; of a `MetaTensor` it can be undone.

    Parameters
    ----------
    harmonizer : ToneCurveHarmonizer, or path of one
    domain : str, optional
        Scanner of the images; default: ``meta["domain"]`` of a `MetaTensor`, as `LoadRadiograph` writes it.
    bits, inverted, allow
        As for `isotone.ToneCurveHarmonizer.transform`.
    """

    backend = (TransformBackends.TORCH, TransformBackends.NUMPY)

    def __init__(
        self,
        harmonizer: ToneCurveHarmonizer | str | Path,
        domain: str | None = None,
        *,
        bits: int | None = None,
        inverted: bool | None = None,
        allow: Collection[str] = (),
    ) -> None:
        self.harmonizer = loaded(harmonizer)
        self.domain, self.bits, self.inverted, self.allow = domain, bits, inverted, tuple(allow)

    def __call__(self, img: Any, domain: str | None = None) -> Any:
        """The image through its curve; errors as for `isotone.ToneCurveHarmonizer.transform`.

        Parameters
        ----------
        img : array, tensor or MetaTensor of shape (1, rows, columns)
        domain : str, optional
            In the place of the transform's own.
        """
        named = domain or self.domain
        if named is None and isinstance(img, MetaTensor):
            named = img.meta.get("domain") or None
        said = Said(named, self.bits, self.inverted, self.allow)
        curve = array_curve(img, self.harmonizer, said)
        mapped = through(img, curve, said)
        if isinstance(mapped, MetaTensor):
            self.push_transform(mapped, extra_info={CURVE: curve.to_json()})
        return mapped

    def inverse(self, data: MetaTensor) -> Any:
        """Undo it: exactly up to rounding where no affine stage clipped; integers where their levels stayed apart."""
        return self.undone(data, self.pop_transform(data))

    def undone(self, image: Any, applied: Mapping[str, Any]) -> Any:
        """An image through the inverse of the curve that MONAI kept of it."""
        curve = ToneCurve.from_json(applied["extra_info"][CURVE])
        return through(image, curve.inverse(), Said(bits=self.bits, inverted=self.inverted))


class Harmonized(MapTransform, InvertibleTransform):
    """`Harmonize` for items of a dictionary, also where they are plain arrays or tensors.

    Parameters
    ----------
    keys : hashable or sequence of hashable
    harmonizer, domain, bits, inverted, allow
        As for `Harmonize`.
    domain_key : hashable, optional
        Item of the dictionary that names the scanner.
    allow_missing_keys : bool

    Examples
    --------
    >>> from monai.transforms import Compose
    >>> from isotone.interop.monai import Harmonized, LoadRadiographd
    >>> Compose([LoadRadiographd("image"), Harmonized("image", "harmonizer")])({"image": "1.dcm"})  # doctest: +SKIP
    """

    backend = Harmonize.backend

    def __init__(
        self,
        keys: Any,
        harmonizer: ToneCurveHarmonizer | str | Path,
        domain: str | None = None,
        *,
        domain_key: Hashable | None = None,
        bits: int | None = None,
        inverted: bool | None = None,
        allow: Collection[str] = (),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.domain_key = domain_key
        self.harmonize = Harmonize(harmonizer, domain, bits=bits, inverted=inverted, allow=allow)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The images of the keys through their curves."""
        found = dict(data)
        domain = None if self.domain_key is None else str(found[self.domain_key])
        for key in self.key_iterator(found):
            found[key] = self.harmonize(found[key], domain)
        return found

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Undo it for the keys, as `Harmonize.inverse`."""
        found = dict(data)
        for key in self.key_iterator(found):
            found[key] = self.harmonize.inverse(found[key])
        return found
