"""The size that a JPEG XL frame claims, and whether it has lost anything (ISO/IEC 18181-1 annex D; boxes: 18181-2)."""

from __future__ import annotations

from contextlib import suppress

from isotone.imaging.codecs.codestream import FrameSize, find_box

SIGNATURE, CODESTREAM = b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a"
"""First bytes of a file of boxes, and of a bare codestream."""
RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
"""Width to height, by the codestream's number for it."""
SIZE_BITS = (9, 13, 18, 30)


class _Bits:
    """Bits from the least significant one of the first byte on (annex B.2)."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the codestream ends within its header")
        found = self._value & (1 << count) - 1
        self._value >>= count
        self._left -= count
        return found

    def choose(self, *choices: tuple[int, int]) -> int:
        """One of four: bits to read, and what to add to them (annex B.2.2)."""
        bits, offset = choices[self.take(2)]
        return self.take(bits) + offset


def jpegxl_size(frame: bytes) -> FrameSize:
    """Size of a JPEG XL image; components and precision are read with the pixels and are 1 and 0 here.

    Raises
    ------
    ValueError
        No codestream.
    """
    bits = _Bits(_codestream(frame)[:64])
    rows, columns = _size(bits)
    return FrameSize(rows, columns, 1, 0)


def jpegxl_is_lossy(start: bytes) -> bool:
    """Whether the values went through XYB, which only lossy encoders use (annex D.3.1); False where it is not told."""
    with suppress(ValueError):
        bits = _Bits(_codestream(start)[:64])
        _size(bits)
        if bits.take(1):  # everything by default, XYB included
            return True
        if bits.take(1):
            bits.take(3)  # orientation
            if bits.take(1) or bits.take(1) or bits.take(1):
                return False  # intrinsic size, preview or animation: not followed further
        if bits.take(1):  # floats
            bits.choose((0, 32), (0, 16), (0, 24), (6, 1))
            bits.take(4)
        else:
            bits.choose((0, 8), (0, 10), (0, 12), (6, 1))
        bits.take(1)
        if bits.choose((0, 0), (0, 1), (4, 2), (12, 1)):
            return False
        return bool(bits.take(1))
    return False


def _size(bits: _Bits) -> tuple[int, int]:
    """SizeHeader (annex D.2)."""
    small = bits.take(1)
    rows = _side(bits, small)
    ratio = bits.take(3)
    if not ratio:
        return rows, _side(bits, small)
    width, height = RATIOS[ratio]
    return rows, rows * width // height


def _side(bits: _Bits, small: int) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return bits.choose(*((count, 1) for count in SIZE_BITS))


def _codestream(frame: bytes) -> bytes:
    """What follows the signature of the codestream, bare or in the first box that holds it or a part of it."""
    start = 0
    if frame.startswith(SIGNATURE):
        start, kind = find_box(frame, b"jxlc", b"jxlp")
        start += 4 * (kind == b"jxlp")  # a part has its number first
    if frame[start : start + 2] != CODESTREAM:
        raise ValueError("no codestream")
    return frame[start + 2 : start + 1024]
