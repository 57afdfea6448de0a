"""What the first bytes of a file and of its data set tell: whether it is DICOM, and in which byte order."""

from __future__ import annotations

from struct import unpack_from

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

PREFIX, PREAMBLE = b"DICM", 128
"""What follows the preamble, and the length of that (PS3.10 7.1)."""
FIRST_GROUPS = (0x0002, 0x0008)
"""Groups that a file without preamble begins with: file meta information, or the first group of every image."""
LAST_FIRST_GROUP = 0xFF
"""Largest group that a data set begins with in the right byte order; in the wrong one it is 256 times as large."""
START = 144
"""Bytes that tell: preamble, prefix and the first element."""


def first_element(start: bytes, size: int) -> int | None:
    """Where the elements of a file begin: behind the prefix, or with one that only a data set begins with.

    Without preamble and prefix they may begin at once; behind a preamble of zeros without prefix; or behind a prefix
    without preamble.

    Parameters
    ----------
    start : bytes
        The first `START` bytes, fewer where the file is shorter.
    size : int
        Bytes in the file.

    Returns
    -------
    int or None
        Offset in bytes; None: the file is not DICOM.
    """
    if start[PREAMBLE : PREAMBLE + 4] == PREFIX:
        return PREAMBLE + 4
    begin = 0 if any(start[:PREAMBLE]) else PREAMBLE
    candidate = len(PREFIX) if start.startswith(PREFIX) else begin
    return candidate if is_element(start[candidate:], size) else None


def is_element(start: bytes, size: int) -> bool:
    """Whether a data set begins here.

    Its first element has a tag of the dictionary in one of `FIRST_GROUPS`, the value representation of the dictionary
    (where it states one), and a length that `size` bytes can hold. Of random bytes fewer than one in 10¹⁰ pass.
    """
    return any(_is_element(start, order, size) for order in "<>")


def is_little_endian(start: bytes, stated: bool) -> bool:
    """The byte order of a data set: as its transfer syntax states, unless only the other one gives a first group.

    Parameters
    ----------
    start : bytes
        The first bytes of the data set.
    stated : bool
        The transfer syntax is little-endian.
    """
    groups = {little: int.from_bytes(start[:2], "little" if little else "big") for little in (True, False)}
    return stated if groups[stated] <= LAST_FIRST_GROUP or groups[not stated] > LAST_FIRST_GROUP else not stated


def _is_element(start: bytes, order: str, size: int) -> bool:
    if len(start) < 12:
        return False
    group, number = unpack_from(f"{order}HH", start)
    if group not in FIRST_GROUPS:
        return False
    try:
        known = "UL" if number == 0 else dictionary_VR((group, number))
    except KeyError:
        return False
    stated = start[4:6].decode("latin-1")
    if stated not in known.split(" or "):
        (length,) = unpack_from(f"{order}I", start, 4)
        return order == "<" and length % 2 == 0 and 8 + length <= size
    if stated in EXPLICIT_VR_LENGTH_32:
        return start[6:8] == b"\0\0" and bool(unpack_from(f"{order}I", start, 8)[0] <= size - 12)
    return bool(unpack_from(f"{order}H", start, 6)[0] <= size - 8)
