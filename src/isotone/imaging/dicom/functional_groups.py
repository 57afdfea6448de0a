"""What an enhanced image says of its frames in functional groups instead of in the data set (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from isotone.imaging.dicom.element_value import value_of

GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
"""The frame's own, then those that all frames share. The standard allows a macro in one of them only."""
VOI, MODALITY = "FrameVOILUTSequence", "PixelValueTransformationSequence"
"""The macros with the window or VOI LUT (C.7.6.16.2.10) and with the rescale (C.7.6.16.2.9)."""


def middle(frames: int) -> int:
    """Number, from 0, of the frame that stands for all: contrast is in the vessels, and a slice lies in the breast."""
    return frames // 2


def holder(header: Dataset, macro: str, *keywords: str) -> Dataset:
    """Where an image says one of `keywords`: an item of the macro that has one of them, else the data set.

    An enhanced image says it in its groups alone, of several frames here for the `middle` one. Where somebody has put a
    copy into the data set too, the groups count, as the standard has it.

    Parameters
    ----------
    header : Dataset
    macro : str
        Keyword of the sequence that is the macro, such as `VOI`.
    *keywords : str
    """
    return next((item for item in _items(header, macro) if any(keyword in item for keyword in keywords)), header)


def of_each_frame(header: Dataset, macro: str) -> Iterator[Dataset]:
    """The items of a macro in the groups of all frames that have their own."""
    for group in value_of(header, GROUPS[0]) or []:
        yield from (value_of(group, macro) or [])[:1]


def _items(header: Dataset, macro: str) -> Iterator[Dataset]:
    for groups, number in zip(GROUPS, (middle(int(value_of(header, "NumberOfFrames") or 1)), 0), strict=True):
        for group in (value_of(header, groups) or [])[number : number + 1]:
            yield from (value_of(group, macro) or [])[:1]
