"""A data set that somebody holds in memory, as the bytes of a file: it is then read with the same care as any file."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from isotone.errors import RadiographError
from isotone.imaging.opening.source import InMemory

SYNTAXES: dict[tuple[bool | None, bool | None], UID] = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
}
"""Of a data set without file meta information, by the encoding it was read in: implicit VR, little-endian."""


def encoded(dataset: Dataset) -> InMemory:
    """The file that a data set would be; the data set itself stays as it is.

    Parameters
    ----------
    dataset : Dataset
        As read, or made; without a transfer syntax its pixel data are taken as native ones.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: some value cannot be written.
    """
    named = getattr(dataset, "filename", None)
    name = Path(named) if isinstance(named, str) and named else Path("dataset")
    buffer = DicomBytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd values, which reading tells again
            whole = _copy(dataset)
            dcmwrite(buffer, whole, enforce_file_format=False)
    except Exception:  # pydicom raises many types, and its messages quote header values
        raise RadiographError(
            "E_UNSUPPORTED",
            "the data set cannot be written as a file",
            file=name,
            next_step="Correct its values: pydicom's Dataset.save_as says which one is wrong.",
        ) from None
    return InMemory(buffer.getvalue(), name)


def _copy(dataset: Dataset) -> Dataset:
    """The same elements in another data set, which writing may change: `copy.copy` would share them."""
    whole = Dataset()
    whole.update(dataset)
    if "PixelData" in whole:  # whose length dcmwrite sets
        whole["PixelData"] = copy.copy(whole["PixelData"])
    implicit, little = dataset.original_encoding
    whole.set_original_encoding(implicit, little, dataset.original_character_set)
    whole.file_meta = copy.deepcopy(getattr(dataset, "file_meta", None)) or FileMetaDataset()
    whole.preamble = getattr(dataset, "preamble", None) or bytes(128)
    if "TransferSyntaxUID" not in whole.file_meta:
        # What was made, and not read, may be written in any encoding.
        whole.file_meta.TransferSyntaxUID = SYNTAXES.get((implicit, little), ExplicitVRLittleEndian)
    return whole
