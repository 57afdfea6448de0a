"""One image as a network sees it: harmonized, resized, 16 bits; for training, not for an archive."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from isotone._runtime.files import replace_file
from isotone.curves.tone_curve import quantize
from isotone.deployment.deliver import (
    Job,
    Outcome,
    curve_of,
    outcome_of,
    passed_through,
    record_of,
    refuse_ours,
    safe_target,
    under_its_domain,
)
from isotone.deployment.dicom_objects.derived_image import BITS, output_table
from isotone.deployment.dicom_objects.read_back import confirm_png
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.dicom.warning_codes import caught_warnings
from isotone.imaging.own_files import NAME, RESIZED
from isotone.imaging.read import read_radiograph
from isotone.imaging.resize import to_square


class Resized(NamedTuple):
    """An image on its way into an array.

    Attributes
    ----------
    outcome : Outcome
    pixels : uint16 array of shape (size, size)
        0 is black.
    """

    outcome: Outcome
    pixels: NDArray[np.uint16]


@dataclass(frozen=True)
class Resizing:
    """Resizes one image, of several frames the middle one, exactly as `isotone.networks.prepare` does for a network.

    Images that stay as they are get resized too, and not harmonized.

    Attributes
    ----------
    harmonizer : ToneCurveHarmonizer
    output : Path
    deliver : str
        "png": the file is written here; "npy": the pixels go back to whoever writes the array.
    size : int
        Side of the square in pixels.
    allow : collection of str
        Guards to overrule (`isotone.monitoring.guards`).
    """

    harmonizer: ToneCurveHarmonizer
    output: Path
    deliver: Literal["png", "npy"]
    size: int
    allow: Collection[str] = ()

    def writes(self, outcome: Outcome) -> bool:
        """Every image has a file."""
        return True

    def __call__(self, job: Job) -> Outcome | Resized:
        """Write the file, or give the pixels.

        Raises
        ------
        IsotoneError
            The image is refused, or cannot be written; no output file is left.
        """
        with caught_warnings():
            return self._deliver(job)

    def _deliver(self, job: Job) -> Outcome | Resized:
        target = safe_target(self.output, job.target) if self.deliver == "png" else None
        radiograph = read_radiograph(job.path, inverted=job.inverted)
        radiograph, text = under_its_domain(self.harmonizer, radiograph, job), PngInfo()
        domain = radiograph.header.domain
        if self.harmonizer.passing(domain, self.allow):
            outcome = passed_through(self.harmonizer, domain, radiograph.header, self.allow)
        else:
            refuse_ours(radiograph.header, self.allow)
            curve, seen = curve_of(self.harmonizer, radiograph, self.allow)
            harmonized = radiograph.map_tone(curve)
            outcome = outcome_of(self.harmonizer, curve, radiograph, output_table(harmonized), seen)
            text.add_text(NAME, record_of(self.harmonizer, curve, "png", domain=domain).to_json())
            radiograph = harmonized
        pixels = quantize(to_square(radiograph.pixels, self.size).astype(np.float64), BITS).astype(np.uint16)
        if target is None:
            return Resized(outcome, pixels)
        text.add_text(RESIZED, str(self.size))
        with replace_file(target) as temporary:
            Image.fromarray(pixels).save(temporary, "PNG", pnginfo=text, compress_level=1)
            confirm_png(temporary, pixels)
        return outcome
