"""What in an image is no picture: collimation, shutters, frames, labels and burnt-in marks.

Two kinds are found, both by the order of grey levels and by place alone, so that every increasing response leaves the
same pixels: plateaus of exactly one value that end abruptly, wherever they lie; and strips along the borders whose grey
levels do not overlap with those of the rest, which noise and JPEG leave as they are. A picture's own plateaus, air or
what a response clipped, run out into neighbouring grey levels, and stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

SMALLEST = 0.002
"""Share of the image that the inside of a plateau (pixels whose eight neighbours have their value) has at least."""
FEWEST = 6
"""Pixels that it has at least."""
ABRUPT = 0.15
"""How far, in ranks of the picture from 0 to 1, a mark lies from what is beside it, in the median along its rim."""
BETWEEN = 0.01
"""Share of the picture whose grey levels lie between the two: air of few levels has none there."""
HOLE = 0.05
"""Share of the image up to which what a mark encloses (the letters on a label) is taken for part of it."""
LEVELS = 128
"""Thresholds that are tried for strips, evenly spaced in area."""
FULL = 0.95
"""Share of a row or column that lies beyond the threshold, where it is part of a strip."""
LEAK = 0.01
"""Share of the rest that may lie there too."""
WIDEST = 0.6
"""Share of a side that strips may take."""
JUMP = 0.97
"""How often pixels behind a strip are above its own, at least, where it ends sharply."""
RISE = 0.2
"""How much more often than even a pixel of the next lines may be above one of the first."""
BEYOND = 7
"""Pixels behind a strip in which that is asked: compression rings about its edge."""
SQUARE = np.ones((3, 3), bool)


def picture(pixels: NDArray[np.uint16], valid: Mask) -> Mask:
    """What is left of an image without its marks.

    Parameters
    ----------
    pixels : uint16 array of shape (h, w)
    valid : bool array of shape (h, w)
        False where the file declares padding.

    Returns
    -------
    bool array of shape (h, w)
        `valid` itself where nearly nothing would be left.
    """
    inside = valid & ~plateaus(pixels, valid)
    inside &= within_strips(pixels, inside)
    return inside if np.count_nonzero(inside) > 0.1 * np.count_nonzero(valid) else valid.copy()


def dilated(mask: Mask, times: int = 1) -> Mask:
    """The mask and the eight neighbours of its pixels; ndimage.binary_dilation takes ten times as long."""
    for _ in range(times):
        rows = mask.copy()
        rows[1:] |= mask[:-1]
        rows[:-1] |= mask[1:]
        mask = rows.copy()
        mask[:, 1:] |= rows[:, :-1]
        mask[:, :-1] |= rows[:, 1:]
    return mask


def plateaus(pixels: NDArray[np.uint16], valid: Mask) -> Mask:
    """Pieces of exactly one value whose neighbours are far away in rank, and what they enclose."""
    marks = np.zeros(pixels.shape, bool)
    cores, count = ndimage.label(_alike(pixels) & valid)
    sizes = np.bincount(cores.ravel(), minlength=count + 1)
    sizes[0] = 0
    large = np.flatnonzero(sizes >= max(FEWEST, SMALLEST * pixels.size))
    if not len(large):
        return marks
    wide = np.zeros(count + 1, bool)
    wide[large] = True
    flat = dilated(wide[cores])
    up_to = np.cumsum(np.bincount(pixels[valid & ~flat], minlength=int(pixels.max()) + 1))
    boxes = ndimage.find_objects(cores)
    found: list[tuple[Mask, np.uint16, Mask]] = []
    for number in large:
        box = tuple(slice(max(0, side.start - 2), side.stop + 2) for side in boxes[number - 1])
        own = dilated(cores[box] == number)
        own = _closed(own, box, pixels.shape)
        rim = np.zeros_like(valid)
        rim[box] = dilated(own) & ~own & valid[box]
        value = pixels[box][cores[box] == number][0]
        if rim.any() and _abrupt(up_to, value, pixels[rim]):
            alike = ndimage.label(pixels == value, SQUARE)[0]  # with its tips, too thin for an inside
            found.append((alike == alike[box][cores[box] == number][0], value, rim))
            marks |= found[-1][0]
    # Air that ends at a frame is no mark where it does not end abruptly elsewhere, too.
    for own, value, rim in found:
        beside = rim & ~(marks & ~own)
        if beside.any() and not _abrupt(up_to, value, pixels[beside]):
            marks &= ~own
    return _filled(marks) if marks.any() else marks


def _abrupt(up_to: NDArray[np.intp], level: np.uint16, beside: NDArray[np.uint16]) -> bool:
    """Whether a plateau lies far from what is beside it: in rank, and not because pixels share few grey levels.

    `up_to` has the number of pixels up to each value, plateaus left out.
    """
    if not up_to[-1]:
        return True
    low, high = np.minimum(beside, level), np.maximum(beside, level)
    below = np.concatenate([[0], up_to])
    apart = (below[high] + up_to[high] - below[low] - up_to[low]) / 2
    between = (below[high] - up_to[low]).clip(0)
    return bool(np.median(apart) > ABRUPT * up_to[-1] and np.median(between) > BETWEEN * up_to[-1])


def _closed(own: Mask, box: tuple[slice, ...], shape: tuple[int, ...]) -> Mask:
    """A plateau with the letters on it, those that reach the border of the image, too."""
    at_border = [(s.start == 0, s.stop >= n) for s, n in zip(box, shape, strict=True)]
    padded = np.pad(own, 1)
    padded[0] |= at_border[0][0]
    padded[-1] |= at_border[0][1]
    padded[:, 0] |= at_border[1][0]
    padded[:, -1] |= at_border[1][1]
    around = ndimage.label(np.pad(~padded, 1, constant_values=True))[0]
    closed = (around != around[0, 0])[2:-2, 2:-2]
    return closed if np.count_nonzero(closed) - np.count_nonzero(own) < HOLE * shape[0] * shape[1] else own


def _filled(marks: Mask) -> Mask:
    holes, count = ndimage.label(~marks)
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    small = sizes < HOLE * marks.size
    small[0] = False
    return np.asarray(marks | small[holes])


def _alike(pixels: NDArray[np.uint16]) -> Mask:
    """Whether a pixel and its eight neighbours have one value; beyond the border lies the border's own."""
    around = np.pad(pixels, 1, mode="edge")
    columns = (around[:-2] == around[1:-1]) & (around[1:-1] == around[2:])
    rows = (around[1:-1, :-2] == pixels) & (pixels == around[1:-1, 2:])
    return np.asarray(columns[:, :-2] & columns[:, 1:-1] & columns[:, 2:] & rows)


def within_strips(pixels: NDArray[np.uint16], inside: Mask) -> Mask:
    """True between the widest strips, on any of the four sides, darker or brighter than (nearly) all the rest."""
    kept = np.ones(pixels.shape, bool)
    if not inside.any():
        return kept
    up_to = np.cumsum(np.bincount(pixels[inside]))
    cuts = np.unique(np.searchsorted(up_to, np.arange(1, LEVELS) / LEVELS * (up_to[-1] - 1) // 1, side="right"))
    # At most `LEVELS`; small numbers are sorted faster.
    level = np.searchsorted(cuts, np.arange(int(pixels.max()) + 1)).astype(np.int16)[pixels]
    boxes = [_clear_of_strips(side, inside) for side in (level, len(cuts) - level)]
    box = min(boxes, key=lambda box: pixels[box].size)
    kept[:] = False
    kept[box] = True
    return kept


def _clear_of_strips(level: NDArray[np.int16], inside: Mask) -> tuple[slice, slice]:
    """The smallest box between strips of low levels that are nowhere in it."""
    height, width = level.shape
    low = np.where(inside, level, -1)
    at_row, at_column = int(FULL * (width - 1)), int(FULL * (height - 1))
    rows = np.partition(low, at_row, axis=1)[:, at_row]
    columns = np.partition(low, at_column, axis=0)[at_column]
    reached = [np.maximum.accumulate(line) for line in (rows, rows[::-1], columns, columns[::-1])]
    whole = best = (slice(0, height), slice(0, width))
    smallest = level.size
    thresholds = np.unique(np.concatenate(reached)).tolist()
    widths = zip(*(np.searchsorted(line, thresholds, "right").tolist() for line in reached), strict=True)
    for threshold, (top, bottom, left, right) in zip(thresholds, widths, strict=True):
        if top + bottom > WIDEST * height or left + right > WIDEST * width:
            break
        box = (slice(top, height - bottom), slice(left, width - right))
        if level[box].size < smallest and _apart(level, inside, box, threshold):
            best, smallest = box, level[box].size
    return best if smallest < level.size else whole


def _apart(level: NDArray[np.int16], inside: Mask, box: tuple[slice, slice], threshold: int) -> bool:
    """Whether nearly nothing in the box is as low as the strips, not even where it begins."""
    known = inside[box]
    size = np.count_nonzero(known)
    if not size or np.count_nonzero(known & (level[box] <= threshold)) / size > LEAK:
        return False
    own = level[box][known]
    begins = np.ones(level[box].shape, bool)
    sides = zip(box, level.shape, strict=True)
    begins[tuple(slice(int(s.start > 0), s.stop - s.start - int(s.stop < n)) for s, n in sides)] = False
    edge = level[box][begins & known]
    return bool(len(edge)) and (float(np.mean(own < np.median(edge))) > ABRUPT or _sharp(level, inside, box))


def _sharp(level: NDArray[np.int16], inside: Mask, box: tuple[slice, slice]) -> bool:
    """Whether grey levels jump where each strip ends, and rise no further behind it: air at a collimator's edge.

    The outline of a body is not as straight, a ramp does not stop, and what compression leaves rises and falls.
    """
    shown = np.where(inside, level, -1)
    for axis in (0, 1):
        lines = np.moveaxis(shown, axis, 0)[:, box[1 - axis]]
        for width, inwards in ((box[axis].start, lines), (len(lines) - box[axis].stop, lines[::-1])):
            if not width or width + BEYOND > len(lines):
                continue
            strip, (near, *further) = inwards[max(0, width - 2)], inwards[width + 1 : width + BEYOND]
            if _above(near, strip) < JUMP or min(_above(line, near) for line in further) > 0.5 + RISE:
                return False
    return True


def _above(these: NDArray[np.int16], those: NDArray[np.int16]) -> float:
    """How often a pixel of these is above one of those, ties half; 1 where none is known."""
    these, those = these[these >= 0], np.sort(those[those >= 0])
    if not (len(these) and len(those)):
        return 1.0
    below = np.searchsorted(those, these, "left") + np.searchsorted(those, these, "right")
    return float(below.mean() / (2 * len(those)))
