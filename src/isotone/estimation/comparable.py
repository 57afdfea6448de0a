"""What the images of two scanners have in common: air where most show some, and the field that collimation leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isotone.data.descriptors.foreground import Mask, Regions
from isotone.data.descriptors.image_set import FEWEST, ImageSet
from isotone.data.sample import Sample

COPIES = 3
"""Frames of the source behind which each reference image is seen; more make its structure less a matter of chance."""
HIDES = 0.02
"""Share of an image that collimation or marks take, from which on it is framed."""
LEFT = 0.1
"""Share of its anatomy that a frame leaves of an image, at least, where it is put on."""


def comparable(source: ImageSet, reference: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    """The images of both sides between which nothing but tone and class mix should differ.

    Where air is told from anatomy, images that show none are left out: which of their pixels are anatomy, nobody knows.
    Where images of one side are collimated, framed or labelled, those of the other are seen through their frames, too,
    so that as much of the body is hidden on either side; an image of the reference through several, one copy each.

    Parameters
    ----------
    source, reference : ImageSet
    seed : int
        Of the order in which frames are dealt out.

    Returns
    -------
    source, reference : ImageSet
        The same objects where there is nothing to do.
    """
    if reference.air:
        source, reference = source.showing_air, reference.showing_air
    ours, theirs = _frames(source), _frames(reference)
    return _through(source, theirs, 1, seed), _through(reference, ours, COPIES, seed)


@dataclass(frozen=True, eq=False)
class _Frame:
    """What collimation and marks leave of an image, and on which side of it the anatomy lies."""

    seen: Mask
    right: bool


def _frames(images: ImageSet) -> list[_Frame]:
    """Of each image, where one in ten or more is framed; else none."""
    framed = [_hidden(s, part) > HIDES for s, part in zip(images, images.parts, strict=True)]
    if np.mean(framed) < FEWEST:
        return []
    return [_Frame(part.picture, _on_the_right(part)) for part in images.parts]


def _hidden(sample: Sample, part: Regions) -> float:
    """Share of an image that is no picture, padding apart."""
    return float(np.mean(sample.known.of("valid", lambda: (sample.valid,))[0] & ~part.picture))


def _through(images: ImageSet, frames: Sequence[_Frame], copies: int, seed: int) -> ImageSet:
    """The images, each behind as many of the frames."""
    if not frames:
        return images
    rng = np.random.default_rng(seed)
    dealt = [rng.permutation(len(images)) % len(frames) for _ in range(copies)]
    parts = [_behind(part, frames[k]) for order in dealt for part, k in zip(images.parts, order, strict=True)]
    return images.with_parts(parts, copies)


def _behind(part: Regions, frame: _Frame) -> Regions:
    """What the frame leaves of an image's regions; mirrored where it was about anatomy on the other side."""
    seen = frame.seen if frame.right == _on_the_right(part) else frame.seen[:, ::-1]
    rows, columns = (np.arange(n) * m // n for n, m in zip(part.picture.shape, seen.shape, strict=True))
    seen = seen[np.ix_(rows, columns)]
    if (part.foreground & seen).sum() < LEFT * part.foreground.sum():
        return part
    return replace(
        part, foreground=part.foreground & seen, background=part.background & seen, picture=part.picture & seen
    )


def _on_the_right(part: Regions) -> bool:
    columns = part.foreground.sum(0)
    return bool(columns @ (np.arange(len(columns)) - (len(columns) - 1) / 2) > 0)
