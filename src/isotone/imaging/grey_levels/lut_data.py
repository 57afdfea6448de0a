"""LUTDescriptor and LUTData of one item of a Modality or VOI LUT Sequence (PS3.3 C.11.1.1.1, C.11.2.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset


@dataclass(frozen=True)
class LookUpTable:
    """A table over stored or modality values.

    Attributes
    ----------
    entries : uint16 array
    first : int
        The value that the first entry belongs to.
    depth : int
        Bits of an entry, as stated.
    """

    entries: NDArray[np.uint16]
    first: int
    depth: int

    @classmethod
    def read(cls, item: Dataset, header: Dataset, signed: bool) -> Self:
        """The table of an item.

        Parameters
        ----------
        item : Dataset
        header : Dataset
            The whole data set, which knows its byte order.
        signed : bool
            Whether input values can be negative: implicit VR leaves it to the reader whether the first value is signed.

        Raises
        ------
        Exception
            Of many types: it is empty, or has fewer entries than described.
        """
        count, first, depth = (int(n) for n in item.LUTDescriptor)
        count = count % 2**16 or 2**16
        first = (first + 2**15) % 2**16 - 2**15 if signed else first % 2**16
        data = item.LUTData
        if isinstance(data, bytes):
            order = ">" if header.original_encoding[1] is False else "<"
            entries = np.frombuffer(data, np.uint8 if len(data) < 2 * count else f"{order}u2")
        else:
            entries = np.atleast_1d(np.asarray(data, np.int64)) % 2**16
        if not 0 < count <= len(entries):
            raise ValueError("fewer entries than described")
        return cls(entries[:count].astype(np.uint16), first, depth)

    @property
    def white(self) -> int:
        """The entry that is shown white: the largest of the stated depth, if the entries go with that, else their own.

        Some writers state the bits of a word for those of an entry (Agfa: 16, with entries up to 4095), which would
        show a black image, or 8 for entries of 12.

        Raises
        ------
        ValueError
            Every entry is 0.
        """
        largest = int(self.entries.max())
        if not largest:
            raise ValueError("every entry is 0")
        return 2**self.depth - 1 if self.depth in range(1, 17) and largest.bit_length() == self.depth else largest
