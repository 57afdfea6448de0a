"""Compressed pixel data as they have to lie in a file (PS3.5 A.4), whatever the source has made of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from isotone.deployment.dicom_objects.pixel_value import PixelValue, Region
from isotone.imaging.dicom.frames import Frames

ITEM = b"\xfe\xff\x00\xe0"
EXTENDED = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
"""Offsets in 64 bits (PS3.3 C.7.6.3.1.8); with them each frame lies in one fragment and the other table is empty."""


def copied(dataset: Dataset, frames: Frames) -> PixelValue:
    """The pixel data of a source, byte for byte unless it has packed them by other rules than the standard's.

    Fragments of odd length, a wrong offset table of either kind, and bytes behind the last fragment are what sources
    get wrong. The frames themselves stay as they are, and a right encapsulation stays byte for byte.

    Parameters
    ----------
    dataset : Dataset
        Of the copy; an extended offset table that is not right is taken from it.
    frames : Frames
        Of the source.
    """
    fragments, pieces = frames.file.fragments, frames.pieces
    if fragments is None or pieces is None:
        vr = frames.value.vr or "OW"  # PS3.5 A.1
        narrow = vr == "OB" or (vr != "OW" and frames.layout.allocated == 8)
        return Region(frames, frames.value.offset, frames.length, "OB" if narrow else "OW")
    whole = all(len(fragments) == 1 for fragments in pieces)
    extended = any(keyword in dataset for keyword in EXTENDED)
    right = frames.is_sound and (whole or not (extended or frames.layout.syntax == RLELossless))  # PS3.5 A.4.2
    if right and (not extended or _extended_is_right(dataset, frames)):
        start = fragments.table[0] - 8
        offset, length = fragments.pieces[-1]
        return Region(frames, start, offset + length - start, "OB")
    for keyword in EXTENDED:
        dataset.pop(keyword, None)
    lengths = [sum(length for _, length in some) for some in pieces]
    return Encapsulated((frames.raw(number) for number in range(len(frames))), offset_table(lengths))


def _extended_is_right(dataset: Dataset, frames: Frames) -> bool:
    pieces = [some[0] for some in frames.pieces or ()]
    table = frames.file.fragments.table if frames.file.fragments else (0, 0)
    offsets = np.array([offset - pieces[0][0] for offset, _ in pieces], "<u8").tobytes()
    lengths = np.array([length for _, length in pieces], "<u8").tobytes()
    return table[1] == 0 and [bytes(dataset.get(keyword) or b"") for keyword in EXTENDED] == [offsets, lengths]


def offset_table(lengths: Iterable[int]) -> bytes:
    """Where each of these frames begins, if each lies in one fragment; empty where 32 bits cannot tell."""
    sizes = np.array([8 + length + length % 2 for length in lengths], np.uint64)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return b"" if offsets[-1] >= 2**32 else offsets.astype("<u4").tobytes()


@dataclass(frozen=True, eq=False)
class Encapsulated:
    """Frames that are compressed already, or one after the other while they are written, each as one fragment.

    Attributes
    ----------
    frames : iterable of bytes
        Each is asked for once.
    table : bytes
        Offset table; empty where it is not known beforehand, as it may be.
    """

    frames: Iterable[bytes]
    table: bytes = b""
    vr: str = "OB"
    again: bool = False

    @property
    def length(self) -> int:
        return 0xFFFFFFFF

    def pieces(self) -> Iterator[bytes | memoryview]:
        yield item(self.table)
        for frame in self.frames:
            yield item(frame)


def item(data: bytes) -> bytes:
    """One item (PS3.5 A.4), an odd length padded."""
    odd = len(data) % 2
    return ITEM + (len(data) + odd).to_bytes(4, "little") + data + bytes(odd)
