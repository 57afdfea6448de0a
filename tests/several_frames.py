"""X-ray objects of several frames made by script: runs of XA and RF, tomosynthesis, and their enhanced forms."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from dicoms import encoded, pixels, radiograph

CLASSIC = {
    "xa": "1.2.840.10008.5.1.4.1.1.12.1",
    "xrf": "1.2.840.10008.5.1.4.1.1.12.2",
    "dx": "1.2.840.10008.5.1.4.1.1.1.1",
    "secondary-capture": "1.2.840.10008.5.1.4.1.1.7.3",
}
"""SOP classes whose window and rescale lie in the data set."""
ENHANCED = {
    "tomosynthesis": "1.2.840.10008.5.1.4.1.1.13.1.3",
    "projections": "1.2.840.10008.5.1.4.1.1.13.1.4",
    "enhanced-xa": "1.2.840.10008.5.1.4.1.1.12.1.1",
    "enhanced-xrf": "1.2.840.10008.5.1.4.1.1.12.2.1",
}
"""Those that have functional groups."""
KINDS = CLASSIC | ENHANCED


def frames_of(count: int, bits: int = 12, rows: int = 48, columns: int = 64) -> NDArray[np.uint16]:
    """Images that differ, of shape (count, rows, columns)."""
    return np.stack([np.roll(pixels(bits, rows=rows, columns=columns, seed=n), 3 * n, 1) for n in range(count)])


def run(
    stored: NDArray[np.integer],
    kind: str = "tomosynthesis",
    *,
    syntax: UID = ExplicitVRLittleEndian,
    own: Iterable[str] = ("window",),
    bits: int = 12,
    inverted: bool = False,
    slopes: Iterable[float] = (1.0,),
) -> Dataset:
    """An object of these frames.

    Parameters
    ----------
    stored : integer array of shape (frames, rows, columns)
    kind : str
        One of `KINDS`.
    syntax : UID
    own : iterable of str
        Of "window" and "rescale" what each frame says for itself in its functional group; the rest is shared.
    slopes : iterable of float
        Rescale slopes, one for each frame where "rescale" is its own.
    """
    ds = radiograph(stored[0], modality="DX", bits=bits, inverted=inverted)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = KINDS[kind]
    ds.NumberOfFrames = len(stored)
    if kind in ENHANCED:
        _group(ds, len(stored), set(own), list(slopes))
    single = [encoded(_one(ds, frame), syntax) for frame in stored]
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax.is_encapsulated:
        data = encapsulate([next(generate_frames(one.PixelData, number_of_frames=1)) for one in single])
        ds["PixelData"] = DataElement(0x7FE00010, "OB", data, is_undefined_length=True)
    else:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        data = stored.astype(f"{order}{stored.dtype.kind}{ds.BitsAllocated // 8}").tobytes()
        if syntax == ExplicitVRBigEndian and ds.BitsAllocated == 8:  # in OW, whose bytes are swapped
            data = np.frombuffer(data + bytes(len(data) % 2), "<u2").astype(">u2").tobytes()
        vr = "OB" if ds.BitsAllocated == 8 and syntax != ExplicitVRBigEndian else "OW"
        ds["PixelData"] = DataElement(0x7FE00010, vr, data + bytes(len(data) % 2))
    return ds


def _one(ds: Dataset, stored: NDArray[np.integer]) -> Dataset:
    return radiograph(stored, modality="DX", bits=ds.BitsStored)


def _group(ds: Dataset, count: int, own: set[str], slopes: list[float]) -> None:
    for keyword in ("WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope", "RescaleType"):
        ds.pop(keyword, None)
    shared = Dataset()
    shared.XRay3DFrameTypeSequence = [Dataset()]
    shared.XRay3DFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "TOMOSYNTHESIS", "NONE"]
    groups = [Dataset() for _ in range(count)]
    for number, group in enumerate(groups):
        window, rescale, content = Dataset(), Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = 1000 + 100 * number, 1500
        slope = slopes[number % len(slopes)]
        rescale.RescaleIntercept, rescale.RescaleSlope, rescale.RescaleType = number, slope, "US"
        content.DimensionIndexValues = [1, number + 1]
        group.FrameContentSequence = [content]
        (group if "window" in own else shared).FrameVOILUTSequence = [window]
        (group if "rescale" in own else shared).PixelValueTransformationSequence = [rescale]
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], groups
