"""Compressed pixel data as they have to lie in a file (PS3.5 A.4), whatever the source has made of that."""

from __future__ import annotations

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless

from isotone.errors import RadiographError

ITEM = b"\xfe\xff\x00\xe0"
OFFSETS = (b"", bytes(4))
"""What the offset table of a single frame can say: nothing, or that it begins with the first fragment."""
EXTENDED = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
"""The same in 64 bits (PS3.3 C.7.6.3.1.8); with it the frame lies in one fragment and the other table is empty."""


def straighten(dataset: Dataset, syntax: UID) -> None:
    """Encapsulate the one frame of a dataset anew, in place, unless its source has done so by the rules.

    Fragments of odd length, a wrong offset table of either kind, and bytes behind the last fragment are what sources
    get wrong. The frame itself stays as it is, and a right encapsulation stays byte for byte.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: there are no fragments, or they end early.
    """
    value = dataset.PixelData
    items, end = _items(value)
    if len(items) < 2:
        raise RadiographError("E_UNSUPPORTED", "its compressed pixel data have no fragments")
    table, *fragments = items
    right = end == len(value) and table in OFFSETS and not any(len(fragment) % 2 for fragment in fragments)
    if syntax == RLELossless or any(keyword in dataset for keyword in EXTENDED):
        right &= len(fragments) == 1  # PS3.5 A.4.2
    if right and _extended_is_right(dataset, table, fragments):
        return
    for keyword in EXTENDED:
        dataset.pop(keyword, None)
    element = DataElement(0x7FE00010, "OB", encapsulate([b"".join(fragments)]))
    element.is_undefined_length = True
    dataset["PixelData"] = element


def _items(value: bytes) -> tuple[list[bytes], int]:
    """What the items hold, the offset table first, and where the last one ends."""
    items, at = [], 0
    while value[at : at + 4] == ITEM:
        end = at + 8 + int.from_bytes(value[at + 4 : at + 8], "little")
        if end > len(value):
            raise RadiographError("E_UNSUPPORTED", "its compressed pixel data end within a fragment")
        items.append(value[at + 8 : end])
        at = end
    return items, at


def _extended_is_right(dataset: Dataset, table: bytes, fragments: list[bytes]) -> bool:
    if not any(keyword in dataset for keyword in EXTENDED):
        return True
    said = [bytes(dataset.get(keyword) or b"") for keyword in EXTENDED]
    return not table and said == [bytes(8), len(fragments[0]).to_bytes(8, "little")]
