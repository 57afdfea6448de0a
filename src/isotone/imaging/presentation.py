"""What a DICOM header says about grey levels, as tables over every possible stored value (PS3.3 C.11)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from isotone.errors import RadiographError
from isotone.imaging import grayscale
from isotone.imaging.coded import coded
from isotone.imaging.grayscale import Floats
from isotone.imaging.warned import Warned


@dataclass(frozen=True)
class Presentation:
    """The tables of one image.

    Attributes
    ----------
    tone : float64 array of shape (2**bits,)
        Full range: presentation value in [0, 1] of each stored value, polarity included.
    display : float64 array of shape (2**bits,) or None
        The same through the VOI LUT or window; None: it has none, or it is the identity.
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
    header: Dataset, bits: int, signed: bool, path: Path, warned: Warned, window: str | None = None
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
        Explanation of the VOI LUT or window to take; default: the first.

    Raises
    ------
    RadiographError
        E_RESCALE: the Modality LUT or rescale is unusable; E_UNSUPPORTED: no window has that explanation.
    """
    try:
        modality = _modality(header, grayscale.stored_values(bits, signed), signed)
        tone = grayscale.full_range(modality)
    except Exception:  # pydicom raises many types for malformed numbers
        raise RadiographError("E_RESCALE", "the rescale or Modality LUT is unusable", file=path) from None
    try:
        display, taken, explanation = _voi(header, modality, warned, window)
    except Exception:
        warned.add("W_WINDOW")
        display, taken, explanation = None, None, None
    if window is not None and display is None:
        raise RadiographError("E_UNSUPPORTED", f"it has no usable window that is called {window!r}", file=path)
    inverted = _inverted(header, warned)
    if inverted:
        tone = 1 - tone
        display = None if display is None else 1 - display
    if display is not None and np.abs(display - tone).max() < 1e-9:
        display = None
    return Presentation(tone, display, taken, explanation, inverted, _padding(header, bits, signed, warned))


def _modality(header: Dataset, stored: Floats, signed: bool) -> Floats:
    """Modality LUT (PS3.3 C.11.1): a table, else slope and intercept, else the identity."""
    if header.get("ModalityLUTSequence"):
        table = _Table.read(header.ModalityLUTSequence[0], header, signed)
        return grayscale.look_up(stored, table.entries, table.first)
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    return grayscale.rescale(
        stored, 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)
    )


def _voi(
    header: Dataset, modality: Floats, warned: Warned, wanted: str | None
) -> tuple[Floats | None, str | None, str | None]:
    """One VOI LUT, else one window (PS3.3 C.11.2), which it is, and what the file calls it.

    Several are alternative views of which exactly one applies. Explanations are free text: only codes leave the file.
    """
    tables = list(header.get("VOILUTSequence") or [])
    names = [item.get("LUTExplanation") for item in tables]
    number = _position(names, wanted)
    if number is not None:
        table = _Table.read(tables[number], header, bool(modality.min() < 0))
        depth = table.depth
        if not table.entries.max() < 2**depth <= 2**16:
            depth = max(8, int(table.entries.max()).bit_length())
            warned.add("W_TABLE")
        display = grayscale.look_up(modality, table.entries, table.first) / (2**depth - 1)
        return display, f"VOI LUT of {len(table.entries)} entries{_of(number, len(tables))}", _name(names[number])
    centers, widths = (_numbers(header.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    if len(centers) != len(widths):
        raise ValueError("as many centers as widths")
    said = header.get("WindowCenterWidthExplanation")
    names = [*(said if isinstance(said, MultiValue) else [said]), *[None] * len(centers)][: len(centers)]
    number = _position(names, wanted)
    if number is not None:
        function = str(header.get("VOILUTFunction") or "LINEAR").strip().upper()
        display = grayscale.window(modality, centers[number], widths[number], function)
        of = _of(number, len(centers))
        return display, f"{function} {centers[number]:g}/{widths[number]:g}{of}", _name(names[number])
    return None, None, None


def _position(names: list[Any], wanted: str | None) -> int | None:
    """Of the one that is wanted, the first by default."""
    if wanted is None:
        return 0 if names else None
    found = (i for i, name in enumerate(names) if name and str(name).strip().casefold() == wanted.strip().casefold())
    return next(found, None)


def _of(number: int, count: int) -> str:
    if count < 2:
        return ""
    return f" ({'first' if number == 0 else f'number {number + 1}'} of {count})"


def _name(explanation: Any) -> str | None:
    """The explanation, or the mark that `coded` puts in the place of free text."""
    return coded(str(explanation).strip()) if explanation else None


def _numbers(value: Any) -> list[float]:
    if value is None or value == "":
        return []
    return [float(v) for v in value] if isinstance(value, MultiValue) else [float(value)]


@dataclass(frozen=True)
class _Table:
    """LUTDescriptor and LUTData of one item."""

    entries: NDArray[np.uint16]
    first: int
    depth: int

    @classmethod
    def read(cls, item: Dataset, header: Dataset, signed: bool) -> _Table:
        count, first, depth = (int(n) for n in item.LUTDescriptor)
        count = count % 2**16 or 2**16
        # Implicit VR leaves it to the reader whether the second number is signed (PS3.3 C.11.1.1.1).
        first = (first + 2**15) % 2**16 - 2**15 if signed else first % 2**16
        data = item.LUTData
        if isinstance(data, bytes):
            order = ">" if header.original_encoding[1] is False else "<"
            entries = np.frombuffer(data, np.uint8 if len(data) < 2 * count else f"{order}u2")
        else:
            entries = np.atleast_1d(np.asarray(data, np.int64)) % 2**16
        if not 0 < count <= len(entries):
            raise ValueError("fewer entries than described")
        return cls(entries[:count].astype(np.uint16), first, depth)


def _inverted(header: Dataset, warned: Warned) -> bool:
    """Polarity: PresentationLUTShape where it is given, else the photometric interpretation."""
    monochrome1 = str(header.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1"
    shape = str(header.get("PresentationLUTShape") or "").strip().upper()
    if shape not in ("IDENTITY", "INVERSE"):
        return monochrome1
    if (shape == "INVERSE") != monochrome1:
        warned.add("W_POLARITY")
    return shape == "INVERSE"


def _padding(header: Dataset, bits: int, signed: bool, warned: Warned) -> tuple[int, int] | None:
    """Padding as a range of table indices; the limit lies above for MONOCHROME2 and below for MONOCHROME1."""
    value = header.get("PixelPaddingValue")
    if value is None or value == "":
        return None
    limit = header.get("PixelPaddingRangeLimit")
    try:
        ends = sorted(int(v) for v in (value, value if limit in (None, "") else limit))
    except (TypeError, ValueError):
        warned.add("W_PADDING")
        return None
    if signed:
        ends = sorted((v + 2**15) % 2**16 - 2**15 + 2 ** (bits - 1) for v in ends)
    low, high = max(ends[0], 0), min(ends[1], 2**bits - 1)
    if low > high:
        warned.add("W_PADDING")
        return None
    return low, high
