"""One X-ray image: its stored integers, and the table that says how bright each of them is.

Whatever a tone curve, a window or a normalizer does to all pixels alike, it does to the table: 65,536 numbers at
most, whatever the size of the image. `Radiograph.pixels` looks the integers up when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import quantize

Floats = NDArray[np.float64]
Stored = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of an image, pixels apart; None where it says nothing.

    Attributes
    ----------
    path : Path
        As the user gave it.
    format : str
        "dicom", "png", "tiff", "jpeg" or "array".
    domain : str or None
        Manufacturer and model in one string (DICOM), or what the user said.
    version : str or None
        The software version that stood in the model's name (`isotone.imaging.dicom.scanner_name`).
    bits_stored : int
        Bits that carry the value, 1 to 16.
    signed : bool
        PixelRepresentation 1.
    rows, columns : int
        Size in pixels.
    frames : int
        How many there are; the middle one stands for all.
    inverted : bool
        The largest modality output is black: by MONOCHROME1, PresentationLUTShape INVERSE, or what the user said.
    window : str or None
        The display window or table in words, and which of how many; None: none, full range.
    explanation : str or None
        What the file calls that window or table, such as NORMAL (a code, as below).
    modality, body_part, view, laterality : str or None
        Codes; what is not one is replaced by a mark (`isotone.imaging.dicom.header_values`).
    intent : str or None
        "FOR PRESENTATION" or "FOR PROCESSING", by the SOP class or PresentationIntentType (DX, MG).
    lossy : bool
        The pixels have been lossily compressed: the file says so, or its compressed frame shows it.
    software, station, processing : str or None
        SoftwareVersions, StationName, and AcquisitionDeviceProcessingDescription with its code: free text, so that a
        model, or the name of a domain, holds its SHA-256 alone.
    detector : str or None
        SHA-256, first 16 hexadecimals, of the device's or detector's serial number.
    patient_id, study_uid, instance_uid : str or None
        For grouping only: never written to a log, report or model.
    warnings : tuple of str
        Each starts with its stable code, W_….
    """

    path: Path
    format: str
    domain: str | None
    bits_stored: int
    rows: int
    columns: int
    frames: int = 1
    signed: bool = False
    inverted: bool = False
    window: str | None = None
    explanation: str | None = None
    modality: str | None = None
    body_part: str | None = None
    view: str | None = None
    laterality: str | None = None
    intent: str | None = None
    photometric: str | None = None
    transfer_syntax: str | None = None
    version: str | None = None
    lossy: bool = False
    software: str | None = field(default=None, repr=False)
    station: str | None = field(default=None, repr=False)
    processing: str | None = field(default=None, repr=False)
    detector: str | None = None
    patient_id: str | None = field(default=None, repr=False)
    study_uid: str | None = field(default=None, repr=False)
    instance_uid: str | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes alone of the warnings."""
        return tuple(line.split(":")[0] for line in self.warnings)


@dataclass(frozen=True, eq=False)
class Radiograph:
    """An X-ray image whose brightness is a table over its stored values.

    Attributes
    ----------
    stored : integer array of shape (rows, columns)
        As decoded, before any look-up; for signed images shifted by ``2**(bits − 1)``, so that 0 is the smallest
        possible value.
    tone : float64 array of shape (2**bits_stored,)
        Presentation value in [0, 1] of each possible stored value: 0 is black, whatever the photometric
        interpretation. Full range on reading (`PS3.3 C.11`).
    display : float64 array of shape (2**bits_stored,) or None
        The same through the display window or VOI LUT of the file; None: it has none.
    padding : pair of int or None
        Smallest and largest (inclusive) index into `tone` that mean "no image here" (PS3.3 C.7.5.1.1.2).
    header : Header
        Where the image comes from.
    step : int
        1; of an image that was read reduced, how many rows, and columns, of ``header.rows × header.columns`` each one
        here stands for: pixel (i, j) is that at (i · step, j · step) of the whole, smoothed.

    Examples
    --------
    >>> import isotone
    >>> image = isotone.read_radiograph("phantom/images/alder/P0001/LCC.dcm")
    >>> pixels = image.pixels
    >>> pixels.dtype.name, bool(0 <= pixels.min() and pixels.max() <= 1)
    ('float32', True)
    >>> darker = image.map_tone(lambda x: x**2)
    >>> bool((darker.pixels <= pixels).all())
    True
    """

    stored: Stored
    tone: Floats = field(repr=False)
    header: Header
    display: Floats | None = field(default=None, repr=False)
    padding: tuple[int, int] | None = None
    step: int = 1

    @classmethod
    def from_array(cls, pixels: NDArray[np.generic], *, domain: str | None = None) -> Self:
        """An image from an array: uint8, uint16, or floats in [0, 1], which are rounded to 16 bits; 0 is black.

        Raises
        ------
        ValueError
            Not two-dimensional, or floats outside [0, 1].
        """
        array = np.asarray(pixels)
        if array.ndim != 2:
            raise ValueError(f"an image has two dimensions, not {array.ndim}")
        if array.dtype.kind == "f":
            if not (array.min() >= 0 and array.max() <= 1):  # NaN fails too
                raise ValueError("grey levels lie in [0, 1]")
            array = quantize(array, 16)
        if array.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"pixels are uint8, uint16 or floats, not {array.dtype}")
        bits = 8 * array.dtype.itemsize
        header = Header(
            path=Path("array"),
            format="array",
            domain=domain,
            bits_stored=bits,
            rows=array.shape[0],
            columns=array.shape[1],
        )
        return cls(array, np.linspace(0, 1, 2**bits), header)

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """Grey levels, float32 of shape (rows, columns) in [0, 1]; padding is looked up like the rest."""
        return self.tone.astype(np.float32)[self.stored]

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """True where the image is, False where it is padding; shape (rows, columns)."""
        if self.padding is None:
            return np.ones(self.stored.shape, bool)
        return (self.stored < self.padding[0]) | (self.stored > self.padding[1])

    def decimated(self, size: int) -> Self:
        """Every k-th pixel of every k-th row, so that the longer side has at most `size` pixels.

        Unlike averaging, this commutes with every tone curve, so grey-level statistics stay exact.
        """
        k = -(-max(self.stored.shape) // size)
        return replace(self, stored=self.stored[::k, ::k].copy())

    def map_tone(self, curve: Callable[[Floats], Floats]) -> Self:
        """The same image through a map of grey levels [0, 1] → [0, 1]; the pixels stay untouched."""
        return replace(self, tone=np.clip(curve(self.tone), 0.0, 1.0))

    def displayed(self) -> Self:
        """The same image through its display window (unchanged where it has none)."""
        return self if self.display is None else replace(self, tone=self.display)

    def with_domain(self, domain: str | None) -> Self:
        """The same image under a scanner's name."""
        return replace(self, header=replace(self.header, domain=domain))
