"""What a DICOM header says about grey levels, as tables over every possible stored value (PS3.3 C.11)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from isotone.errors import RadiographError
from isotone.imaging.dicom.element_value import value_of
from isotone.imaging.dicom.functional_groups import MODALITY, holder, of_each_frame
from isotone.imaging.dicom.warning_codes import Warned
from isotone.imaging.grey_levels import grayscale
from isotone.imaging.grey_levels.grayscale import Floats
from isotone.imaging.grey_levels.levels import Levels, rescaled
from isotone.imaging.grey_levels.lut_data import LookUpTable
from isotone.imaging.grey_levels.voi import read_voi


@dataclass(frozen=True)
class Presentation:
    """The tables of one image.

    Attributes
    ----------
    tone : float64 array of shape (2**bits,)
        Full range: presentation value in [0, 1] of each stored value of any frame, polarity included.
    display : float64 array of shape (2**bits,) or None
        The same through the VOI LUT or window, of several frames that of the middle one; None: it has none, or it is
        the identity.
    window : str or None
        The VOI LUT or window in words.
    explanation : str or None
        What the file calls it, if with a code.
    inverted : bool
        The largest modality output is black.
    padding : pair of int or None
        Smallest and largest index into `tone` that mean padding.
    """

    tone: Floats
    display: Floats | None
    window: str | None
    explanation: str | None
    inverted: bool
    padding: tuple[int, int] | None


def read_presentation(
    header: Dataset,
    bits: int,
    signed: bool,
    path: Path,
    warned: Warned,
    *,
    window: str | None = None,
    inverted: bool | None = None,
) -> Presentation:
    """The tables that a header describes.

    Parameters
    ----------
    header : Dataset
        Pixel data are not needed.
    bits, signed : int, bool
        BitsStored and PixelRepresentation.
    path : Path
        For messages.
    warned : Warned
        Takes W_WINDOW, W_TABLE, W_POLARITY, W_PADDING.
    window : str, optional
        Explanation of the VOI LUT or window to take; default: the first that can be used.
    inverted : bool, optional
        Polarity as the user states it, whatever the header says: True, the largest modality output is black.

    Raises
    ------
    RadiographError
        E_RESCALE: the Modality LUT or rescale is unusable; E_UNSUPPORTED: no window has that explanation.
    """
    try:
        modality = _modality(header, bits, signed)
        tone = modality.tone
        one_way = _one_way(header)
    except Exception:  # pydicom raises many types for malformed numbers
        raise RadiographError("E_RESCALE", "the rescale or Modality LUT is unusable", file=path) from None
    if not one_way:
        raise RadiographError("E_RESCALE", "the rescale slopes of its frames have both signs", file=path)
    voi = read_voi(header, modality, warned, window)
    if window is not None and voi is None:
        raise RadiographError("E_UNSUPPORTED", f"it has no usable window that is called {window!r}", file=path)
    display = None if voi is None else voi.display
    if inverted is None:
        inverted = _inverted(header, warned)
    if inverted:
        tone = 1 - tone
        display = None if display is None else 1 - display
    if display is not None and np.abs(display - tone).max() < 1e-9:
        display = None
    padding = _padding(header, bits, signed, warned)
    words, explanation = (None, None) if voi is None else (voi.words, voi.explanation)
    return Presentation(tone, display, words, explanation, inverted, padding)


def _modality(header: Dataset, bits: int, signed: bool) -> Levels:
    """Modality LUT (PS3.3 C.11.1): a table, else slope and intercept, else the identity."""
    if value_of(header, "ModalityLUTSequence"):
        table = LookUpTable.read(header.ModalityLUTSequence[0], header, signed)
        return Levels(grayscale.look_up(grayscale.stored_values(bits, signed), table.entries, table.first))
    place = holder(header, MODALITY, "RescaleSlope", "RescaleIntercept")
    slope, intercept = value_of(place, "RescaleSlope"), value_of(place, "RescaleIntercept")
    return rescaled(
        bits, signed, 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)
    )


def _one_way(header: Dataset) -> bool:
    """Whether the same grey levels belong to the stored values of every frame.

    At full range they do, whatever slopes and intercepts are, as long as all slopes have one sign.
    """
    slopes = [float(item.RescaleSlope) for item in of_each_frame(header, MODALITY) if "RescaleSlope" in item]
    if not all(slopes) or not np.isfinite(slopes).all():
        raise ValueError("a rescale slope is 0 or not finite")
    return len({slope > 0 for slope in slopes}) < 2


def polarity(header: Dataset) -> tuple[bool, bool | None]:
    """Whether an image is inverted by its photometric interpretation, and by its PresentationLUTShape if it has one."""
    monochrome1 = str(value_of(header, "PhotometricInterpretation") or "").strip().upper() == "MONOCHROME1"
    shape = str(value_of(header, "PresentationLUTShape") or "").strip().upper()
    return monochrome1, shape == "INVERSE" if shape in ("IDENTITY", "INVERSE") else None


def _inverted(header: Dataset, warned: Warned) -> bool:
    """Polarity: PresentationLUTShape where it is given, else the photometric interpretation."""
    monochrome1, shape = polarity(header)
    if shape not in (None, monochrome1):
        warned.add("W_POLARITY")
    return monochrome1 if shape is None else shape


def _padding(header: Dataset, bits: int, signed: bool, warned: Warned) -> tuple[int, int] | None:
    """Padding as a range of table indices; the limit lies above for MONOCHROME2 and below for MONOCHROME1."""
    value = value_of(header, "PixelPaddingValue")
    if value is None or value == "":
        return None
    limit = value_of(header, "PixelPaddingRangeLimit")
    try:
        ends = [int(v) for v in (value, value if limit in (None, "") else limit)]
    except (TypeError, ValueError):
        warned.add("W_PADDING")
        return None
    # US or SS: whichever of both somebody wrote, the word is the same.
    shift = 2**15 if signed else 0
    ends = sorted((v + shift) % 2**16 - shift + (2 ** (bits - 1) if signed else 0) for v in ends)
    low, high = max(ends[0], 0), min(ends[1], 2**bits - 1)
    if low > high:
        warned.add("W_PADDING")
        return None
    return low, high
