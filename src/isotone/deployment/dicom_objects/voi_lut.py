"""`--deliver voi-lut`: the pixel data as they are, byte for byte, and the curve as VOI LUT (PS3.3 C.11.2)."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from isotone.deployment.dicom_objects.derived_image import RESCALE
from isotone.deployment.dicom_objects.encapsulate import copied
from isotone.deployment.dicom_objects.functional_groups import regrouped
from isotone.deployment.dicom_objects.lossy_compression import lossy_elements
from isotone.deployment.dicom_objects.polarity import polarity_of
from isotone.deployment.dicom_objects.provenance import stamp
from isotone.deployment.dicom_objects.write import write_dicom
from isotone.deployment.record import Record, Table
from isotone.errors import RadiographError
from isotone.imaging.dicom.frames import Frames
from isotone.imaging.dicom.sop_classes import WINDOW_IN_GROUPS
from isotone.imaging.own_files import NAME
from isotone.imaging.radiograph import Header

WINDOW = [Tag(k) for k in ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction")]


def write_voi_lut_image(
    dataset: Dataset, header: Header, frames: Frames, table: Table, record: Record, target: Path
) -> None:
    """Write a copy of the image that a viewer shows through the curve.

    The rescale or Modality LUT becomes a mere shift of signed values, so that the table is indexed by stored values
    and holds the curve exactly, whatever the slope.

    Parameters
    ----------
    dataset : Dataset
        As read; it becomes the new object.
    header : Header
        Of the same image.
    frames : Frames
        Its pixel data.
    table : uint16 array of shape (2**bits_stored,)
        From `isotone.deployment.dicom_objects.derived_image.output_table`.
    record : Record
        Without a table: no pixel has to be undone.
    target : Path

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: a FOR PROCESSING image may not have a VOI LUT.
    IsotoneError
        E_WRITE.
    """
    if header.intent == "FOR PROCESSING":
        raise RadiographError(
            "E_UNSUPPORTED", "a FOR PROCESSING image may not have a VOI LUT", next_step='Use deliver="pixels".'
        )
    syntax = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    if syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        syntax = ExplicitVRLittleEndian  # the same pixel bytes, and no doubt about US or SS
    changes, removed = modality_shift(dataset, header), [*WINDOW, Tag("ModalityLUTSequence")]
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [len(table) % 2**16, 0, 16])  # 0 stands for 65,536
    lut.LUTExplanation = explanation(record)
    lut.add_new("LUTData", "OW", table.astype(">u2" if syntax == ExplicitVRBigEndian else "<u2").tobytes())
    changes.VOILUTSequence = [lut]
    intercept = 2 ** (header.bits_stored - 1) if header.signed else 0
    identity = None
    if str(dataset.get("SOPClassUID")) in WINDOW_IN_GROUPS:
        # Over n bits this window is the identity (C.11.2.1.2, note 4).
        identity = str(2 ** (header.bits_stored - 1)), str(2**header.bits_stored)
    changes.update(regrouped(dataset, changes, intercept=intercept, pixels=False, window=identity))
    changes.update(polarity_of(dataset, header))
    changes.update(lossy_elements(dataset, header, frames.length))
    if "W_HIGHBIT" in header.codes:
        changes.HighBit = header.bits_stored - 1
    stamp(dataset, record, table, changes, removed)
    # `copied` drops the bytes that sources append after the last row (PS3.5 8.1.1).
    pixels = copied(dataset, frames)
    write_dicom(dataset, syntax, target, pixels, made=changes.keys() & dataset.keys())


def modality_shift(dataset: Dataset, header: Header) -> Dataset:
    """The rescale that maps the smallest possible stored value to 0 with slope 1; empty where nothing need be said."""
    shift = Dataset()
    if header.signed or any(keyword in dataset for keyword in RESCALE):
        shift.RescaleIntercept = str(2 ** (header.bits_stored - 1) if header.signed else 0)
        shift.RescaleSlope, shift.RescaleType = "1", "US"
    return shift


def explanation(record: Record) -> str:
    """What the table is, in at most 64 characters."""
    return f"{NAME} tone curve, model {record.digest[:12]}, for algorithms"
