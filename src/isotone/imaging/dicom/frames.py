"""The frames of an open DICOM file, read and decoded one at a time, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from pydicom.uid import ExplicitVRBigEndian

from isotone.errors import RadiographError
from isotone.imaging.codecs.codecs import CODECS
from isotone.imaging.dicom.fragments import Pieces, start_of
from isotone.imaging.dicom.frame import Layout, decode
from isotone.imaging.dicom.functional_groups import middle
from isotone.imaging.dicom.part10 import Part10File, PixelElement, refusing
from isotone.imaging.dicom.warning_codes import Warned
from isotone.imaging.radiograph import Stored


@dataclass(frozen=True)
class Frames:
    """The frames of one object; memory holds one of them at a time, and the middle one.

    Attributes
    ----------
    file : Part10File
        Open as long as frames are read.
    layout : Layout
        Of that file (`isotone.imaging.dicom.frame.read_layout`).
    warned : Warned
        Takes the codes that come up while frames are decoded.
    """

    file: Part10File
    layout: Layout
    warned: Warned

    def __len__(self) -> int:
        return self.layout.frames

    def __iter__(self) -> Iterator[Stored]:
        """The stored values of each frame, from the first to the last, as of `middle`."""
        if len(self) == 1:
            yield self.middle
        else:
            yield from (self._decoded(number) for number in range(len(self)))

    @property
    def number_of_middle(self) -> int:
        """Number, from 0, of the frame that stands for all."""
        return middle(len(self))

    @cached_property
    def middle(self) -> Stored:
        """Stored values of the middle frame; array of shape (rows, columns), see `isotone.imaging.dicom.frame.decode`.

        Raises
        ------
        RadiographError
            As `decode`; E_READ, E_TRUNCATED.
        """
        return self._decoded(self.number_of_middle)

    @cached_property
    def pieces(self) -> tuple[Pieces, ...] | None:
        """The fragments of each frame; None: they are native."""
        fragments = self.file.fragments
        return None if fragments is None else fragments.by_frame(self.file.peek, len(self))

    @property
    def is_sound(self) -> bool:
        """Whether compressed frames are packed as PS3.5 A.4 says."""
        fragments, pieces = self.file.fragments, self.pieces
        return fragments is not None and pieces is not None and fragments.is_sound(self.file.peek, pieces)

    @property
    def may_warn(self) -> bool:
        """Whether another frame may bring up what the middle one did not show: bits outside BitsStored, overshoot."""
        codec = CODECS.get(self.layout.syntax)
        tells = codec is None or codec.size is None or codec.lossy or "W_LOSSY" in self.warned
        return tells and len(self) > 1

    @property
    def length(self) -> int:
        """Bytes of all frames as they lie in the file."""
        fragments = self.file.fragments
        return self.layout.length * len(self) if fragments is None else fragments.length

    @property
    def value(self) -> PixelElement:
        """Where the pixel data lie."""
        return cast(PixelElement, self.file.pixel)  # read_layout has refused an object without

    def raw(self, number: int) -> bytes:
        """One frame as it lies in the file; bytes of 8 bits in swapped words (PS3.5 A.3) are in their order."""
        if self.pieces is not None:
            return b"".join(self.bytes_at(*piece) for piece in self.pieces[number])
        start, length = number * self.layout.length, self.layout.length
        if self.layout.allocated == 8 and self.layout.syntax == ExplicitVRBigEndian and self.value.vr == "OW":
            odd = start % 2
            words = np.frombuffer(self.bytes_at(self.value.offset + start - odd, (length + odd + 1) // 2 * 2), ">u2")
            return words.astype("<u2").tobytes()[odd : odd + length]
        return self.bytes_at(self.value.offset + start, length)

    def _decoded(self, number: int) -> Stored:
        return decode(self.raw(number), self.layout, self.file.path, self.warned)

    def bytes_at(self, offset: int, length: int) -> bytes:
        """So many bytes of the file.

        Raises
        ------
        RadiographError
            E_READ; E_TRUNCATED: it ends before.
        """
        with refusing(self.file.path):
            found = self.file.peek(offset, length)
        if len(found) < length:
            raise RadiographError("E_TRUNCATED", "the pixel data are incomplete", file=self.file.path)
        return found


def starts(file: Part10File, layout: Layout, length: int) -> Iterator[bytes]:
    """The first bytes of each compressed frame, `length` of them at most."""
    for pieces in Frames(file, layout, Warned()).pieces or ():
        yield start_of(pieces, file.peek, length)
