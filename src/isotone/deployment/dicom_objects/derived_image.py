"""`--deliver pixels`: the curve burned into new pixels, 16 bits each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ExplicitVRLittleEndian

from isotone._runtime.files import replace_file
from isotone.curves.tone_curve import quantize
from isotone.deployment.dicom_objects.compress import Compress, encoder_for
from isotone.deployment.dicom_objects.encapsulate import EXTENDED, Encapsulated, offset_table
from isotone.deployment.dicom_objects.functional_groups import regrouped
from isotone.deployment.dicom_objects.lossy_compression import lossy_elements
from isotone.deployment.dicom_objects.pixel_value import Mapped, PixelValue, Words
from isotone.deployment.dicom_objects.polarity import polarity_of
from isotone.deployment.dicom_objects.provenance import derived_type, stamp
from isotone.deployment.dicom_objects.read_back import confirm_png
from isotone.deployment.dicom_objects.write import file_meta_of, parse_all, write_dicom
from isotone.deployment.record import Record, Table
from isotone.imaging.dicom.frames import Frames
from isotone.imaging.grey_levels.lookup import gather
from isotone.imaging.own_files import NAME
from isotone.imaging.radiograph import Radiograph

BITS = 16
"""Twelve bits in and out would lose half the levels of a moderate curve."""
GREY_STAGES = [
    Tag(keyword)
    for keyword in (
        "ModalityLUTSequence",
        "VOILUTSequence",
        "VOILUTFunction",
        "WindowCenter",
        "WindowWidth",
        "WindowCenterWidthExplanation",
        "PixelIntensityRelationshipLUTSequence",
        "RealWorldValueMappingSequence",
    )
]
"""Elements that describe the meaning of the source's stored values; invalid for the new values."""
RESCALE = ("ModalityLUTSequence", "RescaleIntercept", "RescaleSlope", "RescaleType")
PIXEL_FACTS = [
    Tag(keyword)
    for keyword in (
        "SmallestImagePixelValue",
        "LargestImagePixelValue",
        "SmallestPixelValueInSeries",
        "LargestPixelValueInSeries",
        "PixelPaddingValue",
        "PixelPaddingRangeLimit",
    )
]
ENCODED = (*EXTENDED, "PixelData")
ALTERED = {
    "W_HIGHBIT": "values lie where HighBit says, which they did not",
    "W_SIGN": "negative values have their sign in the upper bits too, which they had not",
    "W_HIGHBITS": "bits outside BitsStored are gone",
    "W_OVERSHOOT": "values beyond BitsStored were clipped",
}
"""Warnings about changed pixel words of a source, and the clause that the record states for each."""


def output_table(harmonized: Radiograph, bits: int = BITS) -> Table:
    """Delivered value of each stored value: the tone, in the polarity of the source.

    For MONOCHROME1 that is ``1 − f(1 − x)`` (f the curve, x the stored grey level), and the copy of an image in the
    other polarity gets exactly equal presentation values. A raster file cannot say its polarity: 0 becomes black.

    Parameters
    ----------
    harmonized : Radiograph
    bits : int
        Of a delivered value.

    Returns
    -------
    uint16 array of shape (2**bits_stored,)
    """
    table = quantize(harmonized.tone, bits).astype(np.uint16)
    header = harmonized.header
    return np.uint16(2**bits - 1) - table if header.inverted and header.format == "dicom" else table


def levels_in(table: Table) -> int:
    """How many distinct values a table has."""
    return int(np.count_nonzero(np.diff(np.sort(table)))) + 1


def write_derived_dicom(
    dataset: Dataset,
    source: Radiograph,
    frames: Frames,
    record: Record,
    target: Path,
    *,
    compress: Compress | None = "none",
) -> None:
    """Write the derived image.

    Parameters
    ----------
    dataset, source, frames, record
        As for `derive`.
    target : Path
    compress : str, optional
        As for `isotone.deployment.dicom_objects.compress.encoder_for`; else the file is Explicit VR Little Endian.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED, E_WRITTEN.
    IsotoneError
        E_WRITE.
    """
    words, values = derive(dataset, source, frames, record)
    encoder = encoder_for(compress, frames.layout.syntax)
    if encoder is None:
        pixels: PixelValue = Mapped(frames, words, len(frames) * source.stored.size)
        write_dicom(dataset, ExplicitVRLittleEndian, target, pixels, values)
    else:
        only = offset_table([0]) if len(frames) == 1 else b""
        pixels = Encapsulated(encoder.frames(frames, words, record.bits), only)
        write_dicom(dataset, encoder.syntax, target, pixels, values)


def derived_dataset(dataset: Dataset, source: Radiograph, frames: Frames, record: Record) -> Dataset:
    """The derived image in memory, ready to be saved as Explicit VR Little Endian.

    Parameters
    ----------
    dataset, source, frames, record
        As for `derive`.

    Returns
    -------
    Dataset
        The given dataset; its header states the warnings of all frames.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED.
    """
    if frames.may_warn:  # what it warns of is said in the header
        for _ in frames:
            pass
    header = replace(source.header, warnings=frames.warned.lines())
    words, _ = derive(dataset, replace(source, header=header), frames, record)
    parse_all(dataset, ExplicitVRLittleEndian)
    dataset.file_meta, dataset.preamble = file_meta_of(dataset, ExplicitVRLittleEndian), bytes(128)
    dataset.set_original_encoding(False, True, dataset.original_character_set)
    pixels = Mapped(frames, words, len(frames) * source.stored.size)
    dataset.add_new("PixelData", pixels.vr, b"".join(map(bytes, pixels.pieces())))
    return dataset


def derive(dataset: Dataset, source: Radiograph, frames: Frames, record: Record) -> tuple[Words, list[BaseTag]]:
    """Turn a data set into that of the derived image (PS3.3 C.7.6.1.1.2), without its pixel data.

    Parameters
    ----------
    dataset : Dataset
        As read; it becomes the derived object.
    source : Radiograph
        The same image, before any curve.
    frames : Frames
        Its pixel data.
    record : Record
        With its table.

    Returns
    -------
    words : array of Words
        Pixel word of each stored value.
    values : list of tag
        Elements whose values were made here.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED.
    """
    table, bits = _table(record), record.bits
    altered = [clause for code, clause in ALTERED.items() if code in source.header.codes]
    said = lossy_elements(dataset, source.header, frames.length)
    if said:  # restore keeps it: the compressed frame implied the loss, and a restored image is uncompressed
        dataset.update(said)
        altered.append("that it was compressed with loss is said now")
    changes, removed = _grey_stages(dataset, source, bits), [*GREY_STAGES, *PIXEL_FACTS, *overlays_in_pixels(dataset)]
    changes.BitsAllocated, changes.BitsStored, changes.HighBit = 8 if bits <= 8 else 16, bits, bits - 1
    changes.PixelRepresentation = 0
    if source.padding is not None:
        low, high = sorted(int(table[i]) for i in source.padding)
        ends = (high, low) if source.header.inverted else (low, high)  # PS3.3 C.7.5.1.1.2
        changes.add_new("PixelPaddingValue", "US", ends[0])
        if low < high:
            changes.add_new("PixelPaddingRangeLimit", "US", ends[1])
    changes.ImageType = derived_type(dataset)
    changes.update(regrouped(dataset, changes, pixels=True))
    changes.update(polarity_of(dataset, source.header))
    for keyword in ENCODED:
        dataset.pop(keyword, None)
    stamp(dataset, replace(record, altered=(*record.altered, *altered)), table, changes, removed)
    return table.astype(np.uint8 if bits <= 8 else "<u2"), [element.tag for element in changes if element.VR != "SQ"]


def write_derived_png(source: Radiograph, record: Record, target: Path) -> None:
    """Write a PNG of 8 or 16 bits, 0 black whatever the source, with the record as text.

    Raises
    ------
    RadiographError
        E_WRITTEN.
    IsotoneError
        E_WRITE.
    """
    text = PngInfo()
    text.add_text(NAME, record.to_json())
    pixels = gather(_table(record).astype(np.uint8 if record.bits <= 8 else np.uint16), source.stored)
    with replace_file(target) as temporary:
        # Level 1: higher ones take several times as long for a few per cent of noise.
        Image.fromarray(pixels).save(temporary, "PNG", pnginfo=text, compress_level=1)
        confirm_png(temporary, pixels)


def _table(record: Record) -> Table:
    if record.table is None:
        raise ValueError("a record of derived pixels has a table")
    return record.table


def _grey_stages(dataset: Dataset, source: Radiograph, bits: int) -> Dataset:
    """All stages before the presentation LUT as identity."""
    stages = Dataset()
    if any(keyword in dataset for keyword in RESCALE):
        stages.RescaleIntercept, stages.RescaleSlope, stages.RescaleType = "0", "1", "US"
    if source.header.intent != "FOR PROCESSING":  # which shall have no VOI LUT (PS3.3 A.26, A.27)
        # Over n-bit data this window is the identity (PS3.3 C.11.2.1.2, note 4).
        stages.WindowCenter, stages.WindowWidth = str(2 ** (bits - 1)), str(2**bits)
    return stages


def overlays_in_pixels(dataset: Dataset) -> list[BaseTag]:
    """Overlays in unused bits of the source's pixel data; the derived image has no such bits."""
    groups = {tag.group for tag in list(dataset.keys()) if 0x6000 <= tag.group <= 0x60FF}
    gone = {group for group in groups if (group, 0x3000) not in dataset}
    return [tag for tag in list(dataset.keys()) if tag.group in gone]
