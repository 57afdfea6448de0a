"""How the pixels of a delivery are written: compressed or not, with how many bits, resized or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from isotone.deployment.dicom_objects.compress import Compress
from isotone.deployment.dicom_objects.derived_image import BITS
from isotone.deployment.record import Deliver
from isotone.errors import UsageError
from isotone.imaging.radiograph import Header

Bits = Literal["16", "same"]
RESIZED = ("png", "npy")
"""Deliveries of images as a network sees them."""
LARGEST = 4096
"""Side of a resized image in pixels; no network of this field sees more."""


@dataclass(frozen=True)
class Encoding:
    """How the pixels of a delivery are written.

    Attributes
    ----------
    compress : {"none", "rle", "jpeg-ls", "htj2k", "jpeg2000", "same"} or None
        Of `deliver` "pixels", without loss; "same": the lossless form of the source's own family; None: JPEG-LS where
        the source was compressed.
    bits : {"16", "same"}
        Of "pixels": "same" as the source has, which makes grey levels meet.
    size : int or None
        Of "png" and "npy": side in pixels of the square that the network sees, 1 to 4096.

    Examples
    --------
    >>> import isotone
    >>> manifest = isotone.Manifest.read("phantom/manifest.csv")
    >>> harmonizer = isotone.ToneCurveHarmonizer.load("harmonizer")
    >>> encoding = isotone.Encoding(size=32)
    >>> report = isotone.apply(harmonizer, manifest, "array", deliver="npy", encoding=encoding, quiet=True)
    >>> report.curves.with_name("images.npy").exists()
    True
    """

    compress: Compress | None = None
    bits: Bits = "16"
    size: int | None = None

    def check(self, deliver: Deliver) -> None:
        """Refuse what does not go together.

        Raises
        ------
        UsageError
        """
        for name, given, known in (("compress", self.compress, Compress), ("bits", self.bits, Bits)):
            if given is not None and given not in get_args(known):
                raise UsageError(f'unknown {name}="{given}"', next_step=f"Use one of {', '.join(get_args(known))}.")
        if (self.compress is not None or self.bits != "16") and deliver != "pixels":
            raise UsageError(
                f'compress= and bits= are for deliver="pixels", not for {deliver}', next_step="Leave them out."
            )
        if deliver in RESIZED and not 1 <= (self.size or 0) <= LARGEST:
            raise UsageError(
                f'deliver="{deliver}" needs size=, 1 to {LARGEST}', next_step="Give the side that the network sees."
            )
        if self.size is not None and deliver not in RESIZED:
            raise UsageError(f"size= is for {' and '.join(RESIZED)}, not for {deliver}", next_step="Leave it out.")

    def said(self) -> dict[str, str]:
        """What differs from the usual, for the journal of an output folder."""
        return {name: str(value) for name, value in vars(self).items() if value not in (None, "16")}

    def bits_of(self, source: Header) -> int:
        """Bits of a delivered value; a raster file has 8 or 16."""
        if self.bits == "16":
            return BITS
        if source.format == "dicom":
            return source.bits_stored
        return 8 if source.bits_stored <= 8 else 16


USUAL = Encoding()
"""16 bits; pixels compressed where the source was."""
