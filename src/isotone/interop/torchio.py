"""Transforms for TorchIO, whose images have shape (1, columns, rows, 1); the history of a subject holds the curves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torchio.data.subject import Subject
from torchio.transforms.intensity_transform import IntensityTransform

from isotone.curves.tone_curve import ToneCurve
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.transform import Said, array_curve, through
from isotone.interop.harmonize import loaded


class ApplyToneCurve(IntensityTransform):
    """Images through known curves: what `Harmonize` leaves in a subject's history, to be repeated or undone.

    Parameters
    ----------
    curves : mapping of str to str
        For each image of the subject, by name, its curve as `isotone.ToneCurve.to_json` writes it.
    bits, inverted
        As for `isotone.ToneCurveHarmonizer.transform`.
    **kwargs
        Of `torchio.transforms.Transform`.
    """

    def __init__(
        self, curves: Mapping[str, str], bits: int | None = None, inverted: bool | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.curves, self.bits, self.inverted = dict(curves), bits, inverted
        self.args_names = ["curves", "bits", "inverted"]
        self.invert_transform = False

    def apply_transform(self, subject: Subject) -> Subject:
        """Each named image through its curve, or through the inverse."""
        for name, image in self.get_images_dict(subject).items():
            if name in self.curves:
                curve = ToneCurve.from_json(self.curves[name])
                said = Said(bits=self.bits, inverted=self.inverted)
                image.set_data(through(image.data, curve.inverse() if self.invert_transform else curve, said))
        return subject


class Harmonize(IntensityTransform):
    """Scalar images of a subject through the curve of their scanner.

    Parameters
    ----------
    harmonizer : ToneCurveHarmonizer, or path of one
    domain : str, optional
        Scanner of the images; default: what the subject has as "domain".
    bits, inverted, allow
        As for `isotone.ToneCurveHarmonizer.transform`.
    **kwargs
        Of `torchio.transforms.Transform`.

    Examples
    --------
    >>> import torchio as tio
    >>> from isotone.interop.torchio import Harmonize
    >>> pipeline = tio.Compose([Harmonize("harmonizer", "Birch Mammo Two"), tio.RandomFlip()])  # doctest: +SKIP
    """

    def __init__(
        self,
        harmonizer: ToneCurveHarmonizer | str | Path,
        domain: str | None = None,
        *,
        bits: int | None = None,
        inverted: bool | None = None,
        allow: Collection[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.harmonizer = loaded(harmonizer)
        self.domain, self.bits, self.inverted, self.allow = domain, bits, inverted, tuple(allow)

    def apply_transform(self, subject: Subject) -> Subject:
        """Find the curve of each image, and apply it."""
        said = Said(self.domain or subject.get("domain"), self.bits, self.inverted, self.allow)
        curves = {
            name: array_curve(_plane(image.data), self.harmonizer, said).to_json()
            for name, image in self.get_images_dict(subject).items()
        }
        arguments = self._get_base_args() | {"copy": False}
        found: Subject = ApplyToneCurve(curves, self.bits, self.inverted, **arguments)(subject)
        return found

    def _add_transform_to_subject_history(self, subject: Subject) -> None:
        """The curves that were applied stand there already."""


def _plane(data: Any) -> Any:
    """Rows and columns, as every other image here has them.

    Raises
    ------
    ValueError
        More than one channel or slice.
    """
    if data.shape[0] != 1 or data.shape[3] != 1:
        raise ValueError(f"a radiograph has one channel and one slice, not shape {tuple(data.shape)}")
    return data[0, :, :, 0].T
