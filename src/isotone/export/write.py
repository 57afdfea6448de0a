"""Writing a dataset that was read from somebody's file, odd values included."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from isotone._version import __version__
from isotone.errors import RadiographError
from isotone.files import replace_file

IMPLEMENTATION = UID("2.25.301843871446131853071217270474126903518")


def write_dicom(dataset: Dataset, transfer_syntax: UID, target: Path) -> None:
    """Write a dataset as a DICOM file, whole or not at all.

    Parameters
    ----------
    dataset : Dataset
        With its pixel data in the form that the transfer syntax wants.
    transfer_syntax : UID
    target : Path

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: some value of the header cannot be written.
    IsotoneError
        E_WRITE.
    """
    encoding = (transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian)
    if dataset.original_encoding not in (encoding, (None, None)):
        for tag in list(dataset.keys()):
            dataset[tag] = element_of(dataset, tag)  # raw bytes are written as they are: in the old encoding
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = f"ISOTONE_{__version__}"[:16]
    dataset.file_meta = meta
    dataset.preamble = bytes(128)  # a hostile one would be copied through (PS3.10 7.5)
    with replace_file(target) as temporary:
        try:
            dataset.save_as(temporary, enforce_file_format=True)
        except OSError:
            raise
        except Exception:  # whatever pydicom's many converters raise; their messages quote values
            raise RadiographError("E_UNSUPPORTED", "some value of its header cannot be written") from None


def element_of(dataset: Dataset, tag: BaseTag) -> DataElement:
    """The element; one whose value cannot be parsed as unknown bytes, as it stood."""
    raw = dataset.get_item(tag)
    try:
        return dataset[tag]
    except Exception:  # as above
        return DataElement(tag, "UN", raw.value or b"" if isinstance(raw, RawDataElement) else b"")
