"""DICOM images (CR, DX, MG and their like) → `Header` and `Radiograph`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue

from isotone.imaging.codecs.codecs import CODECS
from isotone.imaging.codecs.lossy import HEADER
from isotone.imaging.codecs.reduced import JPEG_2000, decode_reduced
from isotone.imaging.dicom.element_value import value_of
from isotone.imaging.dicom.frame import Layout, read_layout, refuse_empty
from isotone.imaging.dicom.frames import Frames, starts
from isotone.imaging.dicom.header_values import (
    BODY_PARTS,
    INTENTS,
    LATERALITIES,
    MODALITIES,
    VIEWS,
    coded,
    hashed,
)
from isotone.imaging.dicom.part10 import Part10File, open_part10, refusing
from isotone.imaging.dicom.scanner_name import without_version
from isotone.imaging.dicom.sop_classes import INTENT_OF_CLASS
from isotone.imaging.dicom.warning_codes import Warned, caught_warnings
from isotone.imaging.grey_levels.presentation import Presentation, read_presentation
from isotone.imaging.opening.source import Source, name_of, open_source
from isotone.imaging.own_files import is_ours
from isotone.imaging.radiograph import Header, Radiograph, Stored

PROGRAMS = (b"MZ", b"\x7fELF", b"#!", b"PK\x03\x04", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""First bytes of executables and archives that a preamble can hide."""
VALID_UID = re.compile(r"[0-9.]{1,64}")
IDENTITY, PLACE = ("SOPClassUID", "SOPInstanceUID"), ("SeriesInstanceUID", "StudyInstanceUID")
"""UIDs without which no object can be derived from it, and those without which none can refer to it."""


def read_dicom_header(path: Source, *, domain: str | None = None, inverted: bool | None = None) -> Header:
    """What a DICOM file says of its image; no pixel is decoded, but every size is checked.

    Raises
    ------
    RadiographError
        As `isotone.imaging.read.read_header`.
    """
    return read_dicom_tables(path, domain=domain, inverted=inverted)[0].header


def read_dicom_tables(
    path: Source, *, domain: str | None = None, inverted: bool | None = None
) -> tuple[Radiograph, FileDataset]:
    """A DICOM image without its pixels, of shape (0, 0), and the dataset up to them.

    Raises
    ------
    RadiographError
        As `isotone.imaging.read.read_header`.
    """
    with caught_warnings() as warned, open_part10(path) as file:
        told = _tell(file, warned, domain=domain, inverted=inverted)
    nothing = np.zeros((0, 0), np.uint8 if told.layout.bits <= 8 else np.uint16)
    return told.radiograph(nothing, warned), file.dataset


@dataclass(frozen=True)
class OpenDicom:
    """An open DICOM file.

    Attributes
    ----------
    radiograph : Radiograph
        Its image; of several frames the middle one.
    dataset : FileDataset
        As read, without the pixel data.
    frames : Frames
        These.
    """

    radiograph: Radiograph
    dataset: FileDataset
    frames: Frames


@contextmanager
def open_dicom(
    source: Source, *, domain: str | None = None, inverted: bool | None = None, window: str | None = None
) -> Iterator[OpenDicom]:
    """A DICOM image and its frames, which can be read, one at a time, as long as the context lasts.

    Raises
    ------
    RadiographError
        As `isotone.imaging.read.read_radiograph`.
    """
    path = name_of(source)
    with open_source(source) as opened:
        with caught_warnings() as warned, refusing(path):
            file = Part10File(path, opened)
            told = _tell(file, warned, domain=domain, inverted=inverted, window=window)
            dataset = file.with_rest()
            warned.extend(code for code in file.codes if code not in warned)
            frames = Frames(file, told.layout, warned)
            stored = frames.middle
        refuse_empty(stored, told.presentation.padding, path)
        yield OpenDicom(told.radiograph(stored, warned), dataset, frames)


def read_dicom(
    source: Source, *, domain: str | None = None, inverted: bool | None = None, window: str | None = None
) -> tuple[Radiograph, FileDataset]:
    """A DICOM image, and the dataset that it was read from.

    The pixel data, as they are in the file, are in the dataset where there is one frame. Of several frames the image is
    the middle one, and the dataset has none: `open_dicom` gives them one by one.

    Raises
    ------
    RadiographError
        As `isotone.imaging.read.read_radiograph`.
    """
    with open_dicom(source, domain=domain, inverted=inverted, window=window) as image:
        if len(image.frames) == 1:
            image.dataset["PixelData"] = image.frames.file.pixels(image.frames.layout.length)
        return image.radiograph, image.dataset


def read_dicom_reduced(path: Path, side: int, *, inverted: bool | None = None) -> Radiograph | None:
    """A JPEG 2000 image at 1 / 2, 1 / 4, … of its size, in a fraction of the time; its header is that of the whole.

    Parameters
    ----------
    path : Path
    side : int
        Pixels that the shorter side keeps, at least.
    inverted : bool, optional
        As for `isotone.imaging.read.read_radiograph`.

    Returns
    -------
    Radiograph or None
        With its `step`. None: `read_dicom` must do, for another transfer syntax, a smaller image, or one that is odd.

    Raises
    ------
    RadiographError
        As `read_dicom`, for what is told before decoding.
    """
    with caught_warnings() as warned, open_part10(path) as file:
        told = _tell(file, warned, inverted=inverted)
        frames = Frames(file, told.layout, warned)
        found = None
        if told.layout.syntax in JPEG_2000:
            found = decode_reduced(frames.raw(frames.number_of_middle), told.layout, path, side)
    if found is None:
        return None
    stored, step = found
    refuse_empty(stored, told.presentation.padding, path)
    return replace(told.radiograph(stored, warned), display=None, step=step)


@dataclass(frozen=True)
class _Told:
    """What a header tells, warnings apart: further ones may come up while the pixels are decoded."""

    layout: Layout
    presentation: Presentation
    header: Header

    def radiograph(self, stored: Stored, warned: Warned) -> Radiograph:
        shown = self.presentation
        header = replace(self.header, warnings=warned.lines())
        return Radiograph(stored, shown.tone, header, display=shown.display, padding=shown.padding)


def _tell(
    file: Part10File,
    warned: Warned,
    *,
    domain: str | None = None,
    inverted: bool | None = None,
    window: str | None = None,
) -> _Told:
    layout = read_layout(file)
    presentation = read_presentation(
        file.dataset, layout.bits, layout.signed, file.path, warned, window=window, inverted=inverted
    )
    return _Told(layout, presentation, _header(file, layout, presentation, domain, warned))


def _header(file: Part10File, layout: Layout, presentation: Presentation, domain: str | None, warned: Warned) -> Header:
    header = file.dataset
    for code in file.codes:
        warned.add(code)
    if (header.preamble or b"").startswith(PROGRAMS):
        warned.add("W_PREAMBLE")
    if is_ours(header):
        warned.add("W_HARMONIZED")
    _check_uids(header, warned)
    scanner = [_text(header, keyword, warned) for keyword in ("Manufacturer", "ManufacturerModelName")]
    processing = [_text(header, f"AcquisitionDeviceProcessing{part}", warned) for part in ("Description", "Code")]
    serial = _text(header, "DetectorID", warned) or _text(header, "DeviceSerialNumber", warned)
    return Header(
        path=file.path,
        format="dicom",
        domain=" ".join(filter(None, scanner)) or domain,
        version=without_version(scanner[1] or "")[1],
        bits_stored=layout.bits,
        rows=layout.rows,
        columns=layout.columns,
        frames=layout.frames,
        signed=layout.signed,
        inverted=presentation.inverted,
        window=presentation.window,
        explanation=presentation.explanation,
        modality=coded(_text(header, "Modality", warned), MODALITIES),
        body_part=coded(_text(header, "BodyPartExamined", warned), BODY_PARTS),
        view=coded(_text(header, "ViewPosition", warned), VIEWS),
        laterality=coded(_text(header, "ImageLaterality", warned) or _text(header, "Laterality", warned), LATERALITIES),
        intent=_intent(header, warned),
        photometric=_text(header, "PhotometricInterpretation", warned),
        transfer_syntax=str(layout.syntax),
        software=_text(header, "SoftwareVersions", warned),
        station=_text(header, "StationName", warned),
        processing=" ".join(filter(None, processing)) or None,
        detector=None if serial is None else hashed(serial),
        patient_id=_text(header, "PatientID", warned),
        study_uid=_text(header, "StudyInstanceUID", warned),
        instance_uid=_text(header, "SOPInstanceUID", warned),
        lossy=_is_lossy(file, layout, warned),
    )


def _is_lossy(file: Part10File, layout: Layout, warned: Warned) -> bool:
    """Whether the pixels have been lossily compressed, as any frame shows or the header says."""
    codec = CODECS.get(layout.syntax)
    shown = codec is not None and codec.is_lossy is not None and any(map(codec.is_lossy, starts(file, layout, HEADER)))
    if shown and codec is not None and not codec.lossy:
        warned.add("W_LOSSY")
    return shown or _text(file.dataset, "LossyImageCompression", warned) == "01"


def _check_uids(header: Dataset, warned: Warned) -> None:
    """Say beforehand which deliveries will refuse an image for its UIDs."""
    uids = {keyword: _text(header, keyword, warned) or "" for keyword in (*IDENTITY, *PLACE)}
    if not all(map(VALID_UID.fullmatch, uids.values())):
        warned.add("W_UID")
    if not all(uids.values()) or any(" " in uid for uid in uids.values()):  # a blank parts several values
        warned.add("W_NO_STATE")
    if not all(uids[keyword] for keyword in IDENTITY):
        warned.add("W_NO_UID")


def _intent(header: Dataset, warned: Warned) -> str | None:
    """What the image is for: by its SOP class where that says it, since it decides which modules there may be."""
    stated = _text(header, "PresentationIntentType", warned)
    if stated not in (None, *INTENTS):
        warned.add("W_HEADER")
        stated = None
    by_class = INTENT_OF_CLASS.get(_text(header, "SOPClassUID", warned) or "")
    if stated and by_class and stated != by_class:
        warned.add("W_INTENT")
    return by_class or stated


def _text(header: Dataset, keyword: str, warned: Warned) -> str | None:
    """A value as one line of printable text, at most 128 characters; None where it is absent, empty or malformed."""
    try:
        value = value_of(header, keyword)
        parts = value if isinstance(value, MultiValue) else [value]
        text = " ".join(str(part) for part in parts if part is not None)
    except Exception:  # pydicom raises many types for malformed values
        warned.add("W_HEADER")
        return None
    text = " ".join(text.split())
    return (text if text.isprintable() else "".join(filter(str.isprintable, text)))[:128] or None
