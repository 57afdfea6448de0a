"""What an image says of the shape of its pixels and of a shutter: a presentation state has to repeat it (PS3.4 N.2)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from isotone.imaging.dicom.functional_groups import holder

SHAPES = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
"""Rows first, then columns; the ratio counts where no spacing is given (PS3.3 C.7.6.3.1.7)."""
LARGEST = 1000
"""Ratio beyond which a spacing is a mistake; its square bounds denominators, so that 12 characters hold the numbers."""
SHUTTERS = {
    "RECTANGULAR": {
        "ShutterLeftVerticalEdge": 1,
        "ShutterRightVerticalEdge": 1,
        "ShutterUpperHorizontalEdge": 1,
        "ShutterLowerHorizontalEdge": 1,
    },
    "CIRCULAR": {"CenterOfCircularShutter": 2, "RadiusOfCircularShutter": 1},
    "POLYGONAL": {"VerticesOfThePolygonalShutter": 6},
}
"""What each shape needs, and at least how many numbers of it (PS3.3 C.7.6.11)."""


def aspect_ratio(dataset: Dataset) -> tuple[int, int]:
    """Height and width of a pixel, as two integers; 1, 1 where the header says nothing usable."""
    for keyword in SHAPES:
        with suppress(Exception):  # pydicom raises many types for malformed numbers
            measures = holder(dataset, "PixelMeasuresSequence", keyword)
            height, width = (Fraction(str(value)) for value in measures[keyword].value)
            ratio = (height / width).limit_denominator(LARGEST**2)
            if height > 0 and 1 / LARGEST < ratio < LARGEST:
                return ratio.numerator, ratio.denominator
    return 1, 1


def shutter_of(dataset: Dataset) -> Mapping[str, object]:
    """Elements of the Display Shutter, by keyword; empty where it has none, or none that is complete."""
    shutter: dict[str, object] = {}
    shapes = []
    with suppress(Exception):  # as above
        dataset = holder(dataset, "FrameDisplayShutterSequence", "ShutterShape")
    for shape, needed in SHUTTERS.items():
        with suppress(Exception):  # as above; what a shape lacks is a KeyError
            values = dataset["ShutterShape"].value
            if shape in ([values] if isinstance(values, str) else values):
                shutter |= {keyword: _integers(dataset, keyword, count) for keyword, count in needed.items()}
                shapes.append(shape)
    if shapes:
        shutter["ShutterShape"] = shapes
        shutter["ShutterPresentationValue"] = 0  # black; a presentation state has to say it (PS3.3 C.11.12)
        with suppress(Exception):
            shutter["ShutterPresentationValue"] = int(dataset["ShutterPresentationValue"].value)
    return shutter


def _integers(dataset: Dataset, keyword: str, count: int) -> list[int]:
    values = dataset[keyword].value
    numbers = [int(value) for value in (values if isinstance(values, MultiValue) else [values])]
    if len(numbers) < count:
        raise ValueError("too few numbers")
    return numbers
