"""One X-ray image: its stored integers, and the table that says how bright each of them is.

Whatever a tone curve, a window or a normalizer does to all pixels alike, it does to the table: 65,536 numbers at
most, whatever the size of the image. `Radiograph.pixels` looks the integers up when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

    path: Path = field(repr=False)  # a notebook keeps what is shown, and file names may name a patient
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

    stored: Stored = field(repr=False)
    tone: Floats = field(repr=False)
    header: Header
    display: Floats | None = field(default=None, repr=False)
    padding: tuple[int, int] | None = None
    step: int = 1

    @classmethod
    def from_array(
        cls, pixels: ArrayLike, *, bits: int | None = None, inverted: bool = False, domain: str | None = None
    ) -> Self:
        """An image from an array of grey levels or stored values.

        Floats are grey levels in [0, 1] and are rounded to 16 bits. Integers are stored values,
        0 to ``2**bits − 1``, kept as they are; `bits` is never guessed, but that uint8 has 8.

        Parameters
        ----------
        pixels : array_like of shape (rows, columns) or (1, rows, columns), or a batch (n, 1, rows, columns)
            NumPy array, nested list, or tensor on the CPU.
        bits : int, optional
            Of the stored values, 1 to 16, as BitsStored has them: 12 for most detectors, whatever the array's type.
        inverted : bool
            0 is white.
        domain : str, optional
            Name of the scanner.

        Returns
        -------
        Radiograph
            Of a batch the list that `from_batch` gives, which is also what tells a type checker so.

        Raises
        ------
        ValueError
            Another shape, or no pixel; floats outside [0, 1]; integers wider than 8 bits without `bits`, or values
            that `bits` excludes; `bits` of floats; a masked pixel.
        TypeError
            Neither integers nor floats; an `inverted` that is neither True nor False.

        Examples
        --------
        >>> import numpy as np
        >>> stored = np.array([[0, 1023], [2047, 4095]], np.uint16)
        >>> Radiograph.from_array(stored, bits=12).pixels.max()
        np.float32(1.0)
        """
        if np.ma.is_masked(pixels):
            raise ValueError("masked pixels have no grey level: fill them first")
        if not isinstance(inverted, bool | np.bool):
            raise TypeError(f"inverted is True or False, not {inverted!r}")
        array = np.asarray(pixels)
        if array.ndim == 4:
            return cls.from_batch(array, bits=bits, inverted=inverted, domain=domain)  # type: ignore[return-value]
        if array.ndim == 3 and len(array) == 1:
            array = array[0]
        if array.ndim != 2 or not array.size:
            raise ValueError(
                "an image has pixels and the shape (rows, columns) or (1, rows, columns), and a batch has the shape "
                f"(n, 1, rows, columns); this is {array.shape}"
            )
        stored, depth = stored_values(array, bits)
        tone = _ramp(depth)
        header = Header(
            path=Path("array"),
            format="array",
            domain=domain,
            bits_stored=depth,
            rows=array.shape[0],
            columns=array.shape[1],
            inverted=inverted,
        )
        return cls(stored, 1 - tone if inverted else tone, header)

    @classmethod
    def from_batch(
        cls, pixels: ArrayLike, *, bits: int | None = None, inverted: bool = False, domain: str | None = None
    ) -> list[Self]:
        """The images of a batch.

        Parameters
        ----------
        pixels : array_like of shape (n, 1, rows, columns), or sequence of n arrays that `from_array` takes
        bits, inverted, domain
            As for `from_array`.

        Raises
        ------
        ValueError, TypeError
            As `from_array`.
        """
        return [
            cls.from_array(image, bits=bits, inverted=inverted, domain=domain)
            for image in cast(Iterable[ArrayLike], pixels)
        ]

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

    def _repr_html_(self) -> str:
        """Histogram and header, for a notebook; no pixels, which may identify a patient where a notebook is shared."""
        from isotone.curves.notebook import card
        from isotone.curves.svg import Panel

        levels = self.pixels[self.valid]
        counts, edges = np.histogram(levels, bins=64, range=(0, 1))
        shown = np.sqrt(counts / max(counts.max(), 1))  # air would hide everything else
        panel = Panel("grey levels", "square root of their share", "grey level (0 black, 1 white)", "", ticks=False)
        said = self.header
        facts = {
            "scanner": said.domain or "unnamed",
            "size": f"{said.rows} × {said.columns}",
            "bits": f"{said.bits_stored}{', signed' if said.signed else ''}{', inverted' if said.inverted else ''}",
            "grey levels": f"{levels.min():.3f} to {levels.max():.3f}" if levels.size else None,
            "format": said.format,
            "modality": said.modality,
            "view": " ".join(filter(None, (said.laterality, said.view))) or None,
            "intent": said.intent,
            "window": said.window,
        }
        line = panel.line(np.repeat(edges, 2)[1:-1], np.repeat(shown, 2), "curve")
        return card("Radiograph", facts, [panel.draw(line)], said.warnings)

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


@lru_cache(maxsize=16)
def _ramp(bits: int) -> Floats:
    tone = np.linspace(0, 1, 2**bits)
    tone.setflags(write=False)  # many images share it
    return tone


def stored_values(array: NDArray[Any], bits: int | None) -> tuple[Stored, int]:
    """Stored values, and how many bits they have, by the rule of `Radiograph.from_array`.

    Returns
    -------
    stored : uint8 or uint16 array
        Of the shape of `array`.
    bits : int

    Raises
    ------
    ValueError, TypeError
        As `Radiograph.from_array`.
    """
    if array.dtype.kind == "f":
        return _stored_floats(array, bits), 16
    if array.dtype.kind not in "iu":
        raise TypeError(f"pixels are integers or floats, not {array.dtype}")
    if bits is None and array.dtype != np.uint8:
        raise ValueError(f"{array.dtype} does not say how many bits its values have: give bits=12, for example")
    depth = 8 if bits is None else bits
    if not 1 <= depth <= 16:
        raise ValueError(f"stored values have 1 to 16 bits, not {depth}")
    if array.size and not (array.min() >= 0 and array.max() < 2**depth):
        raise ValueError(
            f"values from {array.min()} to {array.max()} are not of {depth} bits, 0 to {2**depth - 1}: give the right "
            "bits, and shift signed values up first"
        )
    if depth <= 8:
        return np.ascontiguousarray(array, np.uint8), depth
    return np.ascontiguousarray(array, np.uint16), depth


def _stored_floats(array: NDArray[Any], bits: int | None) -> Stored:
    if bits is not None:
        raise ValueError("floats are grey levels in [0, 1] and have no bits: leave bits out")
    if np.isnan(array).any():
        raise ValueError("floats are grey levels in [0, 1], and NaN is none: fill it first")
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        raise ValueError("floats are grey levels in [0, 1]: divide by the largest possible value first")
    return quantize(array, 16)
