"""The same object in a transfer syntax that a destination takes: nothing is lost, and the UID stays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.uid import UID

from isotone.deployment.dicom_objects.derived_image import ALTERED
from isotone.deployment.dicom_objects.encapsulate import EXTENDED
from isotone.deployment.dicom_objects.write import PIXEL_DATA, write_dicom
from isotone.errors import RadiographError
from isotone.imaging.dicom.part10 import open_part10
from isotone.imaging.dicom.read_dicom import read_dicom
from isotone.imaging.radiograph import Radiograph


@dataclass(frozen=True)
class Transcoding:
    """Writes an object in an uncompressed transfer syntax.

    Attributes
    ----------
    path, target : Path
    syntax : str
        Explicit or Implicit VR Little Endian.
    """

    path: Path
    target: Path
    syntax: str

    def run(self) -> None:
        """Write it, and read it back.

        Raises
        ------
        RadiographError
            It cannot be done without loss: E_UNSUPPORTED for colour and for several frames, E_CODEC for a transfer
            syntax that is not read; what is damaged, with the codes of `isotone.imaging.read.read_radiograph`.
        IsotoneError
            E_WRITE.
        """
        with open_part10(self.path) as file:
            dataset, has_pixels = file.dataset, file.pixel is not None
        if has_pixels:
            radiograph, dataset = read_dicom(self.path)
            if set(radiograph.header.codes) & ALTERED.keys():
                raise RadiographError("E_UNSUPPORTED", "its pixel words hold more than its stored values")
            for keyword in EXTENDED:
                dataset.pop(keyword, None)
            words = words_of(radiograph, int(dataset.BitsAllocated))
            dataset[PIXEL_DATA] = DataElement(PIXEL_DATA, "OB" if dataset.BitsAllocated == 8 else "OW", words)
        write_dicom(dataset, UID(self.syntax), self.target)


def words_of(radiograph: Radiograph, allocated: int) -> bytes:
    """Native pixel data, little-endian (PS3.5 8.1.1); signed values with their sign in the upper bits."""
    header = radiograph.header
    values = radiograph.stored.astype(np.int32)
    if header.signed:
        values -= 2 ** (header.bits_stored - 1)
    data = values.astype(f"<{'i' if header.signed else 'u'}{allocated // 8}").tobytes()
    return data + b"\0" * (len(data) % 2)
